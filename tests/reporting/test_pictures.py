"""Images are embedded whole and small; attention is drawn as opacity."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmzoo.reporting.pictures import ATTENTION_COLOUR, MAX_BYTES, MAX_SIDE, attention_uri, data_uri, image_format


def decoded(uri: str, kind: str) -> np.ndarray:
    start = f"data:image/{kind};base64,"
    assert uri.startswith(start)
    return tf.io.decode_image(b64decode(uri.removeprefix(start), validate=True)).numpy()


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), "uint8")


def test_the_weights_are_the_opacity():
    weights = np.array([[0.0, 0.25], [0.5, 1.0]])
    pixels = decoded(attention_uri(weights), "png")
    assert pixels.shape == (2, 2, 4)
    assert pixels[..., 3] / 255 == pytest.approx(weights, abs=1 / 255)
    assert (pixels[..., :3] == ATTENTION_COLOUR).all()


@pytest.mark.parametrize(("encode", "kind"), [(tf.io.encode_png, "png"), (tf.io.encode_jpeg, "jpeg")])
def test_a_small_picture_is_embedded_as_it_is(encode, kind):
    data = encode(noise(9, 7)).numpy()
    assert image_format(data) == kind
    assert (decoded(data_uri(data), kind) == tf.io.decode_image(data).numpy()).all()


@pytest.mark.parametrize(("height", "width", "shape"), [(600, 300, (256, 128, 3)), (80, 90, (80, 90, 3))])
def test_a_large_picture_is_made_smaller_and_keeps_its_shape(height, width, shape):
    data = tf.io.encode_png(noise(height, width)).numpy()
    assert len(data) > MAX_BYTES
    pixels = decoded(data_uri(data), "jpeg")
    assert pixels.shape == shape
    assert max(pixels.shape) <= MAX_SIDE


def test_what_is_transparent_becomes_white_in_a_picture_made_smaller():
    pixels = np.concatenate([noise(300, 300), np.zeros((300, 300, 1), "uint8")], axis=-1)
    assert (decoded(data_uri(tf.io.encode_png(pixels, compression=0).numpy()), "jpeg") >= 254).all()


def test_a_large_damaged_picture_is_left_out():
    data = tf.io.encode_png(noise(200, 200)).numpy()
    assert data_uri(data[: len(data) // 2]) == ""


@pytest.mark.parametrize("value", [b"", b"PNG", b"<svg/>", "\x89PNG", 3, None])
def test_what_is_no_picture(value):
    assert image_format(value) == ""


def test_a_large_photograph_is_turned_upright():
    upright = np.zeros((300, 400, 3), "uint8")
    upright[:150] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # it lies on its head in the file
    data = BytesIO()
    Image.fromarray(upright[::-1, ::-1] // 2 + noise(300, 400) // 2).save(data, "JPEG", exif=exif)
    pixels = decoded(data_uri(data.getvalue()), "jpeg")
    assert pixels[:90].mean() > pixels[102:].mean() + 80
