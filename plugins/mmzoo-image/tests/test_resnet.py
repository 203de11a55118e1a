"""ResNet: the published sizes, and weights that somebody saved."""

import keras
import keras_hub
import numpy as np
import pytest
from mmzoo_image.resnet import ResNet

from mmzoo import StreamError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
FEATURES = {"shape": [16, 16, 3], "dtype": "uint8", "vocabulary": None}


@pytest.fixture
def saved(tmp_path):
    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.ResNetBackbone([64], [3], [64], [1], [1], "basic_block", image_shape=(None, None, 3))
    backbone.save_to_preset(tmp_path / "preset")
    return backbone, tmp_path / "preset"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # torchvision's 11,689,512 and 25,557,032 without the classifier of 1000 classes
        ({"blocks": [2, 2, 2, 2]}, 11_689_512 - 513_000),
        ({"blocks": [3, 4, 6, 3], "block": "bottleneck"}, 25_557_032 - 2_049_000),
    ],
)
@pytest.mark.slow
def test_published_depths_have_the_published_number_of_weights(options, expected, uninitialized):
    encoder = ResNet(features=FEATURES | {"shape": [224, 224, 3]}, **options)
    assert sum(int(np.prod(weight.shape)) for weight in encoder.trainable_weights) == expected


def test_weights_come_from_a_folder_and_pixels_are_imagenets(saved):
    backbone, folder = saved
    seen = np.asarray(backbone(((PIXELS / 255 - MEAN) / STD).astype("float32")))
    stream = ResNet(features=FEATURES, weights=str(folder))(PIXELS)
    np.testing.assert_allclose(stream["tokens"], seen.reshape(2, -1, 64), atol=1e-4)


def test_pixels_are_scaled_as_the_preset_says(saved):
    backbone, folder = saved
    keras_hub.layers.ResNetImageConverter(scale=1 / 100, offset=-1.0).save_to_preset(folder)
    seen = np.asarray(backbone((PIXELS / 100 - 1).astype("float32")))
    stream = ResNet(features=FEATURES, weights=str(folder))(PIXELS)
    np.testing.assert_allclose(stream["tokens"], seen.reshape(2, -1, 64), atol=1e-4)


def test_a_preset_that_does_not_exist_is_said():
    with pytest.raises(StreamError) as raised:
        ResNet(features=FEATURES, weights="resnet_50_imagenett")
    assert str(raised.value).startswith(
        "KerasHub has no preset 'resnet_50_imagenett' for this encoder, and there is no such folder. Nearest: "
    )


def test_a_preset_of_another_kind_is_said(tmp_path):
    keras_hub.models.ViTBackbone((8, 8, 3), 4, 1, 1, 8, 8).save_to_preset(tmp_path)
    with pytest.raises(StreamError) as raised:
        ResNet(features=FEATURES, weights=str(tmp_path))
    assert str(raised.value) == (
        f"the preset '{tmp_path}' cannot be used here: Saved preset has type `ViTBackbone` which is not a subclass of calling "
        "class `ResNetBackbone`. Call `from_preset` directly on `ViTBackbone` instead."
    )


def test_weights_that_are_cut_short_are_said(saved):
    _, folder = saved
    file = folder / "model.weights.h5"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(
        StreamError, match=r"^the preset '.*' cannot be fetched or read: .*truncated file.*folder that holds it\.$"
    ):
        ResNet(features=FEATURES, weights=str(folder))


def test_a_preset_that_cannot_be_fetched_is_said(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setattr("kagglehub.model_download", unreachable)
    with pytest.raises(StreamError) as raised:
        ResNet(features=FEATURES, weights="resnet_50_imagenet")
    assert str(raised.value) == (
        "the preset 'resnet_50_imagenet' cannot be fetched or read: no route to host. "
        "Check the network, or give a folder that holds it."
    )
