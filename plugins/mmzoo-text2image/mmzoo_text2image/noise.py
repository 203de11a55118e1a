"""Noise from seeds: the same seed gives the same numbers, whatever else is in the batch."""

import math
from typing import Any

from keras import ops

MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
"""Factors of the hash `lowbias32` (C. Wellons, 2018, "Prospecting for hash functions")."""
GOLDEN = 0x9E3779B9
"""2^32 / golden ratio: consecutive multiples of it are far apart."""


def normals(seeds: Any, size: int) -> Any:
    """Returns standard normal numbers that depend on each example's seed alone, `(batch, size)`, float32.

    Both halves of a seed and the number's place are hashed to two uniform numbers, which the Box-Muller transform makes normal.
    The operations are exact on integers, so a server gives the numbers that training gave.

    Args:
        seeds: `(batch,)`, integers, any.
        size: How many numbers.
    """
    low, high = ops.cast(seeds, "uint32"), ops.cast(ops.right_shift(seeds, 32 if "64" in str(seeds.dtype) else 31), "uint32")
    row = _hash(ops.bitwise_xor(_hash(low), high))[:, None]  # (batch, 1)
    place = ops.cast(ops.arange(2 * size, dtype="int32"), "uint32") * _constant(GOLDEN)
    bits = ops.right_shift(_hash(ops.bitwise_xor(row, place)), _constant(8))  # 24 bits, which float32 holds exactly
    uniform = (ops.cast(bits, "float32") + 0.5) / 2**24
    radius, angle = uniform[:, :size], uniform[:, size:]
    return ops.sqrt(-2 * ops.log(radius)) * ops.cos(2 * math.pi * angle)


def _hash(value: Any) -> Any:
    for shift, factor in zip((16, 15), MULTIPLIERS, strict=True):
        value = ops.bitwise_xor(value, ops.right_shift(value, _constant(shift))) * _constant(factor)
    return ops.bitwise_xor(value, ops.right_shift(value, _constant(16)))


def _constant(number: int) -> Any:
    return ops.convert_to_tensor(number, "uint32")
