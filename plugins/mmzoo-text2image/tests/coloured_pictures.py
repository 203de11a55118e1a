"""Pictures of one colour or of random pixels, and a judge that sees their mean colours: what tests of metrics share."""

import numpy as np
import tensorflow as tf
from mmzoo_text2image.pictures import encode

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def flat(colour, side=8):
    return encode(np.broadcast_to(np.array(COLOURS.get(colour, colour), "float32"), (side, side, 3)))


def speckled(seed, side=8):
    return encode(np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype("float32"))


def mean_colour(data):
    return tf.io.decode_png(data, channels=3).numpy().mean(axis=(0, 1)) / 255


class Judge:
    """Embeds a picture as its mean colour, and a caption as the colour that it names; classifies by the nearest colour."""

    name = "clip"

    def __init__(self):
        self.calls = []

    def __call__(self, signature, **raw):
        (values,) = raw.values()
        self.calls.append((signature, len(values)))
        if signature == "embed_image":
            return {"image_embedding": np.array([mean_colour(data) for data in values], "float32")}
        if signature == "embed_caption":
            found = [next((np.array(rgb) / 255 for c, rgb in COLOURS.items() if c in text), np.zeros(3)) for text in values]
            return {"caption_embedding": np.array(found, "float32"), "ok": np.array([text != "" for text in values])}
        if signature != "classify":
            raise KeyError(signature)
        away = np.array([[np.abs(mean_colour(data) * 255 - rgb).sum() for rgb in COLOURS.values()] for data in values])
        order = np.argsort(away, axis=1)
        label = np.array([name.encode() for name in COLOURS], object)[order]
        return {"answer": label[:, 0], "label": label[:, :2], "score": np.tile([0.75, 0.25], (len(values), 1))}


def training(pictures):
    return lambda: ({"image": [data], "caption": ["a picture"]} for data in pictures)


def scored(metric, rows):
    for row in rows:
        metric.update(**row)
    return metric.result()


def pairs(generated, real):
    return [{"image_bytes": one, "image": [other]} for one, other in zip(generated, real, strict=True)]


MANY = [speckled(seed) for seed in range(6)]
