"""Texts joined to features by one convolution are what a convolution over the texts at each place gives."""

import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.blocks import ConvBlock, tile_over
from mmzoo_text2image.joint import JointBlock


@pytest.mark.parametrize("options", [{"norm": "none"}, {"norm": "batch"}, {"norm": "none", "spectral": True}])
def test_joint_is_a_convolution_over_tiled_texts(options):
    rng = np.random.default_rng(0)
    features = ops.convert_to_tensor(rng.normal(size=(2, 4, 6, 5)), "float32")
    texts = [ops.convert_to_tensor(rng.normal(size=(2, 3)), "float32") for _ in range(2)]
    joint, plain = (kind(8, activation="leaky_relu", **options) for kind in (JointBlock, ConvBlock))
    for block in (joint, plain):
        block.build((None, 4, 6, 8))
    plain.set_weights(joint.get_weights())

    for found, text in zip(joint(features, texts), texts, strict=True):
        np.testing.assert_allclose(found, plain(tile_over(text, features)), atol=1e-5)
