"""`frame_mean` against the same encoder called frame by frame."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_video.frame_mean import FrameMean

from mmzoo import StreamError, make_stream
from mmzoo.testing import features

CLIP = features(3, 4, 5, 3, dtype="uint8", mask=[3])
THERE = np.array([[True, True, True], [False, True, True], [True, False, False], [False, False, False]])


class Patches(keras.layers.Layer):
    """Gives a picture's rows as tokens, the last of them masked, after batch normalisation if asked for."""

    def __init__(self, *, features, backbone_config=None, normal=False, **kwargs):
        super().__init__(**kwargs)
        self.features, self.backbone_config = features, backbone_config
        self.dense = keras.layers.Dense(6, activation="tanh")
        self.normal = keras.layers.BatchNormalization(momentum=0.0) if normal else None

    def build(self, shape):
        height, width, channels = self.features["shape"]
        self.dense.build((None, height, width * channels))
        if self.normal is not None:
            self.normal.build((None, height, width, channels))

    def call(self, pixels, training=False):
        pixels = ops.cast(pixels, "float32") / 255
        if self.normal is not None:
            pixels = self.normal(pixels, training=training)
        height, width, channels = self.features["shape"]
        tokens = self.dense(ops.reshape(pixels, (-1, height, width * channels)))
        real = ops.arange(height) < height - 1
        return make_stream(tokens, ops.broadcast_to(real, ops.shape(tokens)[:2]))


def clips(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 4, 5, 3), dtype=np.uint8)


def numbers(stream) -> dict[str, np.ndarray]:
    return {name: ops.convert_to_numpy(value) for name, value in stream.items()}


def one_by_one(layer: FrameMean, frames: np.ndarray) -> np.ndarray:
    """Encodes each frame by itself and averages its real tokens, `(batch, time, dim)`."""
    seen = [[numbers(layer.encoder(frame[None])) for frame in clip] for clip in frames]
    return np.array([[one["tokens"][0][one["mask"][0]].astype("float64").mean(axis=0) for one in clip] for clip in seen])


def test_the_mean_of_the_frames_that_are_there():
    layer = FrameMean(features=CLIP, encoder=Patches)
    stream, expected = numbers(layer(clips(), padding_mask=THERE)), one_by_one(layer, clips())
    assert stream["tokens"].shape == (4, 1, 6)
    assert stream["mask"].tolist() == [[True], [True], [True], [False]]
    for row in range(3):
        np.testing.assert_allclose(stream["tokens"][row, 0], expected[row][THERE[row]].mean(axis=0), rtol=1e-5, atol=1e-6)


def test_a_token_for_each_frame():
    layer = FrameMean(features=CLIP, encoder=Patches, tokens="frames")
    stream = numbers(layer(clips(), padding_mask=THERE))
    np.testing.assert_array_equal(stream["mask"], THERE)
    np.testing.assert_allclose(stream["tokens"][THERE], one_by_one(layer, clips())[THERE], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tokens", ["mean", "frames"])
def test_all_frames_are_there_if_nothing_is_said(tokens):
    layer = FrameMean(features=CLIP, encoder=Patches, tokens=tokens)
    said, unsaid = layer(clips(), padding_mask=np.ones((4, 3), bool)), layer(clips())
    for name in ("tokens", "mask"):
        np.testing.assert_array_equal(said[name], unsaid[name])


def test_what_stands_in_the_place_of_a_missing_frame_changes_nothing_in_training_either():
    layer = FrameMean(features=CLIP, encoder=partial(Patches, normal=True))
    other = np.where(THERE[..., None, None, None], clips(), 255 - clips())[:3]
    results = [numbers(layer(pixels[:3], padding_mask=THERE[:3], training=True)) for pixels in (clips(), other)]
    np.testing.assert_array_equal(results[0]["tokens"], results[1]["tokens"])


def test_batch_normalisation_sees_a_clips_first_frame_instead_of_a_missing_one():
    layer = FrameMean(features=CLIP, encoder=partial(Patches, normal=True))
    frames = clips()[:3]
    layer(frames, padding_mask=THERE[:3], training=True)
    filled = frames.copy()
    filled[1, 0], filled[2, 1:] = frames[1, 1], frames[2, 0]
    expected = (filled / 255).mean(axis=(0, 1, 2, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.encoder.normal.moving_mean), expected, rtol=1e-5)


def test_the_encoder_is_told_of_frames_and_what_it_keeps_is_kept():
    layer = FrameMean(features=CLIP, encoder=Patches, backbone_config={"scale": 1})
    assert layer.encoder.features == {"shape": [4, 5, 3], "dtype": "uint8", "vocabulary": None}
    assert layer.backbone_config == {"scale": 1}


@pytest.mark.parametrize("known", [features(4, 5, 3, dtype="uint8"), features(), features(3, 8, mask=[3])])
def test_what_is_no_clip_is_refused(known):
    with pytest.raises(StreamError) as error:
        FrameMean(features=known, encoder=Patches)
    what = f"frame_mean takes frames and their mask, received features {known['shape']}. Read them by `frames`."
    assert str(error.value) == what
