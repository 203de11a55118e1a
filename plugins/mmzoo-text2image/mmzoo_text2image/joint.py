"""Joins a picture's features and several texts by one convolution."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from mmzoo_text2image.blocks import ConvBlock, activate
from mmzoo_text2image.spectral import normalized

Tensors = Sequence[Any]


class JointBlock(ConvBlock):
    """A 3 x 3 `ConvBlock` of features with a text beside each place, for several texts at little more than the cost of one.

    `call(features, texts, training=False)` takes features `(batch, height, width, channels)` and a sequence of texts `(batch,
    dim)`, and returns a block's output for each text. A convolution is linear, so that of the features is computed once. A text
    is the same at all places, so its convolution is a matrix product with the sums of those taps of the kernel that lie inside.
    """

    def call(  # type: ignore[override]  # one output for each text
        self, features: Any, texts: Tensors, training: bool = False
    ) -> list[Any]:
        kernel = (
            normalized(self.conv, self.conv.kernel, training) if hasattr(self.conv, "singular_vector") else self.conv.kernel
        )
        kernel = ops.cast(kernel, features.dtype)
        height, width, channels = features.shape[1:]
        seen = ops.conv(features, kernel[:, :, :channels], padding="same")
        if self.conv.use_bias:
            seen = seen + ops.cast(self.conv.bias, features.dtype)
        taps = ops.cast(_taps_inside(height, width), features.dtype)  # (places, 9)
        said = ops.reshape(kernel[:, :, channels:], (9, -1))  # (9, dim * filters)
        said = ops.reshape(ops.matmul(taps, said), (height * width, -1, self.conv.filters))
        said = ops.reshape(ops.transpose(said, (1, 0, 2)), (said.shape[1], -1))  # (dim, places * filters)
        shape = (-1, height, width, self.conv.filters)
        joined = [seen + ops.reshape(ops.matmul(ops.cast(text, features.dtype), said), shape) for text in texts]
        if self.norm is not None:
            joined = [self.norm(one, training=training) for one in joined]
        return [activate(one, self.activation) for one in joined]


def _taps_inside(height: int, width: int) -> np.ndarray:
    """Returns which taps of a 3 x 3 kernel lie inside of the map at each place, `(height * width, 9)`, 0 or 1."""

    def inside(size: int) -> np.ndarray:
        places = np.arange(size)[:, None] + np.arange(-1, 2)  # (size, 3)
        return ((places >= 0) & (places < size)).astype("float32")

    return np.einsum("yi,xj->yxij", inside(height), inside(width)).reshape(height * width, 9)
