"""EfficientNet: Keras Applications' numbers, cut before the last convolution; small shapes; weights that somebody saved."""

import keras
import keras_hub
import numpy as np
import pytest
from mmzoo_image.efficientnet import EfficientNet

from mmzoo import StreamError

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 33, 33, 3), dtype=np.uint8)


def features(*shape: int) -> dict:
    return {"shape": list(shape), "dtype": "uint8", "vocabulary": None}


def published(name: str, size: int) -> keras.Model:
    """Keras Applications' network from the stem to the last stage, without the scaling of pixels before it."""
    whole = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(size, size, 3))
    return keras.Model(whole.get_layer("stem_conv_pad").input, whole.get_layer("top_conv").input)


@pytest.mark.parametrize(
    ("width", "depth", "dim", "with_top"),
    [(1.0, 1.0, 320, 4_049_564), (1.2, 1.4, 384, 10_783_528), (2.0, 3.1, 640, 64_097_680)],
    ids=["b0", "b3", "b7"],
)
def test_published_sizes_have_the_published_number_of_weights(width, depth, dim, with_top, uninitialized):
    # Keras' documentation counts the last convolution and its normalisation, 4 * dim wide, and 7 numbers of pixels' scale.
    top = 4 * dim * dim + 4 * (4 * dim)
    encoder = EfficientNet(features=features(64, 64, 3), width=width, depth=depth)
    assert encoder.backbone.output.shape[-1] == dim
    assert encoder.backbone.count_params() == with_top - top


def test_it_gives_what_keras_applications_give():
    encoder = EfficientNet(features=features(33, 33, 3))
    reference = published("EfficientNetB0", 33)
    rng = np.random.default_rng(1)
    values = [
        rng.uniform(0.5, 1.5, weight.shape) if "variance" in weight.path else rng.normal(size=weight.shape) * 0.1 + 0.01
        for weight in reference.weights
    ]
    reference.set_weights(values)
    encoder.backbone.set_weights(values)
    expected = np.asarray(reference(PIXELS / 127.5 - 1))  # odd sides, where both pad alike
    given = np.asarray(encoder(PIXELS)["tokens"])
    np.testing.assert_allclose(given, expected.reshape(2, -1, 320), rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_fewer_stages_make_a_smaller_network():
    encoder = EfficientNet(features=features(64, 64, 3), blocks=[1, 1, 2], filters=[16, 24, 48], expansions=[1, 4, 4])
    assert tuple(encoder(np.zeros((1, 64, 64, 3)))["tokens"].shape) == (1, 8 * 8, 48)
    assert encoder.backbone.count_params() < 50_000


def test_weights_come_from_a_folder(tmp_path):
    options = {"stackwise_force_input_filters": [0] * 2, "stackwise_nores_option": [False] * 2}
    whole = keras_hub.models.EfficientNetBackbone(
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_strides=[1, 2],
        stackwise_kernel_sizes=[3, 3],
        stackwise_expansion_ratios=[1, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
        stackwise_block_types=["v1", "v1"],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        **options,
    )
    whole.save_to_preset(tmp_path)
    loaded = EfficientNet(features=features(33, 33, 3), weights=str(tmp_path))
    cut = keras.Model(whole.input, whole.get_layer("top_conv").input)
    expected = np.asarray(cut(PIXELS / 127.5 - 1)).reshape(2, -1, 16)
    np.testing.assert_allclose(loaded(PIXELS)["tokens"], expected, atol=1e-5)


def test_lists_of_different_lengths_are_said():
    with pytest.raises(StreamError) as raised:
        EfficientNet(features=features(64, 64, 3), blocks=[1, 1], filters=[8, 8, 8])
    assert str(raised.value) == "blocks has 2 stages and filters 3. Give filters one value for each stage."
