"""What all image encoders do before and after their backbone."""

import json

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops
from mmzoo_image.backbone import IMAGENET, SIGNED, ImageEncoder, load_preprocessing

from mmzoo import StreamError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)


class Scaled(ImageEncoder):
    """Returns the pixels that a backbone would get."""

    scale = IMAGENET

    def run_backbone(self, pixels, training):
        return ops.cast(pixels, self.compute_dtype)


@pytest.mark.parametrize("augment", [[], [{"type": "random_brightness", "factor": [0.0, 0.0]}]])
def test_pixels_are_scaled_before_they_lose_precision(augment):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        stream = Scaled(0.0, augment)(PIXELS, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    expected = (PIXELS / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = ops.cast(ops.cast(expected.reshape(2, 12, 3), "float32"), "bfloat16")
    assert stream["tokens"].dtype == "bfloat16"
    np.testing.assert_allclose(ops.cast(stream["tokens"], "float32"), ops.cast(expected, "float32"), rtol=2**-7, atol=1e-5)


def preset_of(folder, **told) -> str:
    """Writes a preset in Hugging Face's format, without weights."""
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    if told:
        (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return str(folder)


MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]


@pytest.mark.parametrize(
    ("told", "levels"),
    [
        ({"image_mean": MEAN, "image_std": STD}, np.array([255.0])),
        ({"image_mean": MEAN, "image_std": STD, "do_rescale": True, "rescale_factor": 1 / 100}, np.array([100.0])),
        ({"image_mean": MEAN, "image_std": STD, "do_rescale": False}, np.array([1.0])),
    ],
)
def test_the_scale_of_a_preset_is_that_of_its_preprocessing(told, levels, tmp_path):
    (factor, offset), _ = load_preprocessing(preset_of(tmp_path, **told), SIGNED)
    expected = (PIXELS / levels - MEAN) / STD
    np.testing.assert_allclose(PIXELS * np.array(factor) + np.array(offset), expected, rtol=1e-5, atol=1e-5)


def test_pixels_that_a_preset_does_not_normalise(tmp_path):
    assert load_preprocessing(preset_of(tmp_path, do_normalize=False), SIGNED)[0] == (1 / 255, 0.0)


def test_a_preset_that_says_nothing_of_its_pixels(tmp_path):
    assert load_preprocessing(preset_of(tmp_path), SIGNED) == (SIGNED, {})


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(  # as in google/vit-base-patch16-224
            {"do_resize": True, "size": {"height": 224, "width": 224}, "resample": 2},
            {"interpolation": "bilinear", "fit": "stretch"},
            id="vit",
        ),
        pytest.param(  # as in facebook/dinov2-base
            {"do_resize": True, "size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {}, "resample": 3},
            {"interpolation": "bicubic", "fit": "resize_crop"},
            id="dinov2",
        ),
        pytest.param(  # as in facebook/deit-base-distilled-patch16-224: a square that is cropped
            {"do_resize": True, "size": 256, "do_center_crop": True, "crop_size": 224, "resample": 3},
            {"interpolation": "bicubic"},
            id="deit",
        ),
        pytest.param({"do_resize": False, "size": 224, "resample": 2}, {}, id="not resized"),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_how_pictures_became_square_is_told_by_a_preset(told, expected, tmp_path):
    scaled = {"image_mean": MEAN, "image_std": STD} if told else {}
    assert load_preprocessing(preset_of(tmp_path, **scaled, **told), SIGNED)[1] == expected


def test_how_pictures_became_square_is_told_by_an_image_converter(tmp_path):
    backbone = keras_hub.models.ViTBackbone((8, 8, 3), 4, 1, 1, 8, 8)
    backbone.save_to_preset(tmp_path)
    converter = keras_hub.layers.ViTImageConverter((8, 8), crop_to_aspect_ratio=True, interpolation="bicubic")
    converter.save_to_preset(tmp_path)
    assert load_preprocessing(str(tmp_path), SIGNED)[1] == {"fit": "crop", "interpolation": "bicubic"}


def test_a_preset_without_its_mean_is_said(tmp_path):
    preset = preset_of(tmp_path, image_std=STD)
    with pytest.raises(StreamError) as error:
        load_preprocessing(preset, SIGNED)
    assert str(error.value) == (
        f"the preset '{preset}' cannot be used here: its preprocessor_config.json has no image_mean or image_std."
    )
