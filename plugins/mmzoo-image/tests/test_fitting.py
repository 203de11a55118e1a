"""Pictures are fitted into a square as Pillow does it."""

import io

import numpy as np
import pytest
import tensorflow as tf
from encoded_pictures import pixels, reference, save, scene
from mmzoo_image import fitting
from mmzoo_image.image import Image
from PIL import Image as Pillow

from mmzoo import MmzooError

pytestmark = pytest.mark.slow

RESIZE = {"fit": "resize_crop", "shorter_side": 46}


def resize_crop(picture: Pillow.Image, kind: str, size: int = 40, shorter: int = 46) -> np.ndarray:
    """Preprocesses as Hugging Face's image processors do with `shortest_edge` and `do_center_crop`."""
    width, height = (int(shorter * side / min(picture.size)) for side in picture.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = picture.resize((width, height), Pillow.Resampling[kind])
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize(("kind", "bound"), [("BILINEAR", 1), ("BICUBIC", 3)])  # Pillow rounds between the two directions
def test_resizing_before_the_crop_equals_pillow(kind, bound):
    for encoding, height, width in (("PNG", 72, 96), ("JPEG", 101, 64), ("PNG", 40, 40), ("JPEG", 40, 40), ("PNG", 20, 11)):
        data = save(Pillow.fromarray(scene(height, width)), encoding)
        found = pixels(data, size=40, interpolation=kind.lower(), **RESIZE)
        assert np.abs(found.astype(int) - resize_crop(Pillow.open(io.BytesIO(data)), kind)).max() <= bound


def test_a_shorter_side_that_does_not_apply_is_said():
    for options in ({"fit": "crop", "shorter_side": 46}, {"fit": "resize_crop", "shorter_side": 39}):
        with pytest.raises(MmzooError) as error:
            Image(size=40, **options)
        assert str(error.value) == (
            f"image: option shorter_side: {options['shorter_side']} does not go with size: 40 and fit: {options['fit']}.\n"
            "It belongs to fit: resize_crop and is at least size. Change it, or leave it out."
        )


@pytest.mark.parametrize(
    "options", [{"size": 8}, {"size": 9, "fit": "crop"}, {"size": 8, "fit": "stretch"}, {"size": 8, **RESIZE}]
)
def test_a_large_picture_is_the_same_in_bands_and_at_a_reduced_size(options, monkeypatch):
    monkeypatch.setattr(fitting, "BAND", 2000)
    read = tf.function(Image(**options), input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    kinds = (("PNG", 121, 161), ("PNG", 300, 20), ("PNG", 20, 300), ("JPEG", 301, 403))
    raw = [save(Pillow.fromarray(scene(height, width)), kind, quality=95) for kind, height, width in kinds]
    for (kind, *_), data, found in zip(kinds, raw, read(tf.constant(raw)).features.numpy(), strict=True):
        whole, size, fit = Pillow.open(io.BytesIO(data)), options["size"], options.get("fit", "pad")
        expected = resize_crop(whole, "BILINEAR", size) if fit == "resize_crop" else reference(whole, size, fit)
        assert np.abs(found.astype(int) - expected).max() <= (4 if kind == "JPEG" else 1)  # reduced pixels lie across the edge


@pytest.mark.parametrize(("height", "width"), [(72, 72), (96, 41), (33, 100), (20, 11), (300, 7)])
@pytest.mark.parametrize(
    ("fit", "size"), [("pad", 32), ("pad", 61), ("crop", 61), ("stretch", 32)]
)  # an odd size pads unevenly
def test_resizing_equals_pillow_within_one_level(fit, size, height, width):
    picture = Pillow.fromarray(scene(height, width))
    found = pixels(save(picture, "PNG"), size=size, fit=fit)
    assert np.abs(found.astype(int) - reference(picture, size, fit)).max() <= 1
