"""The properties of losses and metrics."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmzoo.contracts.streams import describe
from mmzoo.recipe.options import tensors_of
from mmzoo.testing.subject import Subject, require
from mmzoo.testing.tensors import TOLERANCE, finite, numbers, same

LARGE = 1e4
"""Factor for numbers, to check that a loss stays finite."""


def per_example(value: Any, batch: int, who: str = "it") -> None:
    """Checks that a loss returns one floating point number per example."""
    right = tuple(value.shape) == (batch,) and keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))
    require(right, f"{who} must give one floating point number per example, ({batch},), received {describe(value)}.")


def check_shape(subject: Subject) -> None:
    """The loss returns one number per example, also for a batch of one."""
    one = {name: value[:1] if value.ndim else value for name, value in _arrays(subject.case.best).items()}
    for tensors in (subject.case.best, one):
        per_example(_loss(subject, tensors), len(next(iter(tensors.values()))))


def check_least(subject: Subject) -> None:
    """Each right answer has a lower loss than the worse one."""
    best, worse = numbers(_loss(subject, subject.case.best)), numbers(_loss(subject, subject.case.worse))
    text = (
        f"right answers cost {_short(best)}, worse ones {_short(worse)}. Each right one must cost less; look for a wrong sign."
    )
    require((best < worse).all(), text)


def check_finite(subject: Subject) -> None:
    """The loss and its gradients are finite, also for the largest numbers."""
    case = subject.case
    extremes = case.extremes or [_times(tensors, LARGE) for tensors in (case.best, case.worse)]
    for tensors in (case.best, case.worse, *extremes):
        given = _tensors(subject, tensors)
        moving = [value for value in given.values() if value.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(moving)
            value = subject.loaded(**given, **subject.bound.options)
        finite(
            value, f"it is not finite: {_short(numbers(value))}. Work with logarithms: `keras.ops.log_softmax`, `logsumexp`."
        )
        gradients = [gradient for gradient in tape.gradient(value, moving) if gradient is not None]
        require(gradients or not moving, "no tensor gets a gradient from it. Use differentiable `keras.ops` alone.")
        finite(gradients, "its gradient is not finite. Mask before a division or a logarithm, not after it.")


def check_padding(subject: Subject) -> None:
    """The loss does not depend on padding and other values that must not count."""
    best = _loss(subject, subject.case.best)
    for number, tensors in enumerate(subject.case.same):
        text = f"the tensors same[{number}] cost other than the best: what must not count does. Multiply by what is real."
        same(best, _loss(subject, tensors), text)


def _loss(subject: Subject, tensors: Mapping[str, Any]) -> Any:
    return subject.loaded(**_tensors(subject, tensors), **subject.bound.options)


def _tensors(subject: Subject, tensors: Mapping[str, Any]) -> dict[str, Any]:
    wanted = tensors_of(subject.loaded)
    right = {name for name, needs in wanted.items() if needs} <= set(tensors) <= set(wanted)
    require(right, f"it takes the tensors {list(wanted)}, the case gives {list(tensors)}.")
    return {name: tf.convert_to_tensor(value) for name, value in _arrays(tensors).items()}


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _array(value) for name, value in tensors.items()}


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))


def _times(tensors: Mapping[str, Any], factor: float) -> dict[str, Any]:
    return {name: value * np.float32(factor) if value.dtype.kind == "f" else value for name, value in _arrays(tensors).items()}


def _short(values: Any) -> str:
    return np.array2string(values, precision=4, threshold=8)


# Metrics


def check_order(subject: Subject) -> None:
    """Right answers score at least as well as wrong ones in every number, and better in one or more."""
    metric = _updated(subject, subject.case.perfect)
    perfect, wrong = dict(metric.result()), _result(subject, subject.case.wrong)
    told = any(value != wrong[name] for name, value in perfect.items())
    require(told, f"right answers and wrong ones score the same, {perfect}.")
    for name, value in perfect.items():
        falls = name in getattr(metric, "lower_is_better", ())
        better = value <= wrong[name] if falls else value >= wrong[name]
        text = f"'{name}' is {value:.4g} for right answers and {wrong[name]:.4g} for wrong ones."
        require(better, f"{text} Name it in the class's `lower_is_better` if it should fall.")


def check_empty(subject: Subject) -> None:
    """Without examples it returns the same names, with finite numbers."""
    empty, full = _result(subject, ()), _result(subject, subject.case.perfect)
    require(set(empty) == set(full), f"without examples it gives {sorted(empty)}, with some {sorted(full)}.")
    for name, value in empty.items():
        require(math.isfinite(value), f"'{name}' is {value} without examples. Choose a number, such as 0.")


def check_result(subject: Subject) -> None:
    """The result is plain numbers by name. It is the same when requested twice, and does not depend on the order."""
    case = subject.case
    metric = _updated(subject, case.perfect)
    first, second = metric.result(), metric.result()
    plain = isinstance(first, dict) and all(type(value) in (int, float) for value in first.values())
    require(plain, f"result must give plain numbers by name, received {first!r}. Convert with float().")
    json.dumps(first)
    require(first == second, f"result gives {first} and, asked again, {second}.")
    rows = [*case.perfect, *case.wrong]
    forth, back = _result(subject, rows), _result(subject, rows[::-1])
    for name, value in forth.items():
        text = f"'{name}' depends on the order of the examples: {value} and {back[name]}."
        require(math.isclose(value, back[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE), text)


@dataclass(frozen=True)
class _Needed:
    """Stands for the model of a needed run."""

    name: str
    answer: Callable[..., Mapping[str, Any]]

    def __call__(self, signature: str, **raw: Any) -> Mapping[str, Any]:
        return self.answer(signature, **raw)


def _result(subject: Subject, rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    return dict(_updated(subject, rows).result())


def _updated(subject: Subject, rows: Iterable[Mapping[str, Any]]) -> Any:
    case = subject.case
    supplied = {"predict": case.predict, "known_labels": case.known_labels, "training_examples": lambda: iter(case.training)}
    needed = {name: _Needed(name, answer) for name, answer in case.needed.items()}
    metric = subject.bound.make(**supplied, needed=needed)
    for row in rows:
        metric.update(**row)
    return metric
