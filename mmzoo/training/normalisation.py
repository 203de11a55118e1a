"""The statistics of batch normalisation, computed anew for averaged weights."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from mmzoo.modeling.task import Task

BATCHES = 32
"""Batches whose statistics are averaged."""


def recompute_statistics(task: Task, batches: Iterable[Mapping[str, Any]]) -> None:
    """Replaces the running means and variances of batch normalisation by the averages over some batches.

    A moving average of weights (`train.ema_momentum`) is a network that never ran in training: the running statistics beside it
    are those of the raw weights. Changes nothing in a task without batch normalisation.

    Source: Wu and Johnson 2021, arXiv 2105.07576, section 3.

    Args:
        task: With its final weights.
        batches: Of the training split, features by input.
    """
    layers = [one for one in task._flatten_layers() if isinstance(one, keras.layers.BatchNormalization) and one.trainable]
    momenta = [layer.momentum for layer in layers]
    if not layers:
        return
    try:
        for number, features in zip(range(BATCHES), batches, strict=False):
            for layer in layers:
                layer.momentum = number / (number + 1)  # so the running statistics are the mean over the batches so far
            task(features, training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
