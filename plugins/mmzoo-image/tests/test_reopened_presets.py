"""A run that began from a preset is reopened without it: the encoder is made of what the run has kept."""

import json
import shutil

import keras
import keras_hub
import numpy as np
import pytest
from mmzoo_image.efficientnet import EfficientNet
from mmzoo_image.keras_hub import KerasHub
from mmzoo_image.resnet import ResNet
from mmzoo_image.vit import ViT

from mmzoo.testing import features

pytestmark = pytest.mark.slow

PICTURES, TEXT = features(16, 16, 3, dtype="uint8"), features(6, dtype="int32", vocabulary=20)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
IDS = np.array([[4, 5, 6, 3, 0, 0], [7, 3, 0, 0, 0, 0]], "int32")
WIDTH = {"num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def clip() -> keras.Model:
    tower = keras_hub.models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(16, 16, 3))
    return keras_hub.models.CLIPBackbone(
        tower, keras_hub.models.CLIPTextEncoder(20, 8, 8, 1, 2, 16, max_sequence_length=6), projection_dim=4
    )


PRESETS = {
    "resnet": lambda: keras_hub.models.ResNetBackbone(
        [64], [3], [64, 128], [1, 1], [1, 2], "basic_block", image_shape=(16, 16, 3)
    ),
    "vit": lambda: keras_hub.models.ViTBackbone((16, 16, 3), (8, 8), 1, 2, 8, 16),
    "clip": clip,
    "efficientnet": lambda: keras_hub.models.EfficientNetBackbone(
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 8],
        stackwise_strides=[1, 2],
        stackwise_kernel_sizes=[3, 3],
        stackwise_expansion_ratios=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=["v1", "v1"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        input_shape=(16, 16, 3),
    ),
    "bert": lambda: keras_hub.models.BertBackbone(vocabulary_size=20, num_layers=1, max_sequence_length=6, **WIDTH),
    "gpt2": lambda: keras_hub.models.GPT2Backbone(vocabulary_size=20, num_layers=1, max_sequence_length=6, **WIDTH),
    "densenet": lambda: keras_hub.models.DenseNetBackbone([1], growth_rate=8, image_shape=(None, None, 3)),
    "dinov2": lambda: keras_hub.models.DINOV2Backbone(16, 1, 8, 2, 16, image_shape=(16, 16, 3)),
}


@pytest.mark.parametrize(
    ("preset", "encoder", "option", "known"),
    [
        ("resnet", ResNet, "weights", PICTURES),
        ("efficientnet", EfficientNet, "weights", PICTURES),
        ("vit", ViT, "weights", PICTURES),
        ("clip", lambda **options: ViT(flavour="clip", **options), "weights", PICTURES),
        ("clip", KerasHub, "preset", PICTURES),
        ("clip", KerasHub, "preset", TEXT),
        ("bert", lambda **options: KerasHub(tokens="pooled", **options), "preset", TEXT),
        ("gpt2", KerasHub, "preset", TEXT),
        ("densenet", KerasHub, "preset", PICTURES),
        ("dinov2", KerasHub, "preset", PICTURES),
    ],
)
def test_an_encoder_is_made_again_of_what_it_kept(preset, encoder, option, known, tmp_path):
    PRESETS[preset]().save_to_preset(tmp_path / "preset")
    if preset == "vit":
        keras_hub.layers.ViTImageConverter(scale=[0.1, 0.2, 0.3], offset=-1.0).save_to_preset(tmp_path / "preset")
    options = {"features": known, option: str(tmp_path / "preset")}
    begun = encoder(**options)
    values = IDS if known is TEXT else PIXELS
    expected = begun(values)
    shutil.rmtree(tmp_path / "preset")
    reopened = encoder(**options, backbone_config=json.loads(json.dumps(begun.backbone_config)))
    reopened.set_weights(begun.get_weights())
    np.testing.assert_array_equal(reopened(values)["tokens"], expected["tokens"])
    assert json.loads(json.dumps(reopened.backbone_config)) == json.loads(json.dumps(begun.backbone_config))
