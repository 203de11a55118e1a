"""What the conformance kit says of broken losses and metrics."""

from typing import Any, Literal

import numpy as np
import pytest
from keras import ops
from one_component import catalog_with, said

from mmzoo.testing import LossCase, MetricCase, check, properties


def squared(guess: Any, truth: Any, *, sign: Literal[-1, 1] = 1) -> Any:
    """Squares the difference.

    Args:
        guess: `(batch, 2)`.
        truth: `(batch, 2)`.
        sign: -1 turns it round.
    """
    return sign * ops.sum(ops.square(guess - truth), axis=1)


def averaged(guess: Any, truth: Any) -> Any:
    """Averages over the batch."""
    return ops.mean(squared(guess, truth))


def overflowing(guess: Any, truth: Any) -> Any:
    """Grows exponentially."""
    return ops.sum(ops.exp(ops.abs(guess - truth)), axis=1)


def kinked(guess: Any, truth: Any) -> Any:
    """Takes a root whose gradient at 0 is infinite."""
    return ops.sqrt(ops.sum(ops.square(guess - truth), axis=1))


def detached(guess: Any, truth: Any) -> Any:
    """Stops its gradient."""
    return ops.stop_gradient(squared(guess, truth))


TRUTH = [[1.0, 2.0], [3.0, 4.0]]
LOSS = {"best": {"guess": TRUTH, "truth": TRUTH}, "worse": {"guess": [[0.0, 0.0], [0.0, 0.0]], "truth": TRUTH}}
NO_FINITE_GRADIENT = "its gradient is not finite. Mask before a division or a logarithm, not after it."


@pytest.mark.parametrize(
    ("name", "component", "options", "text"),
    [
        ("shape", averaged, {}, "it must give one floating point number per example, (2,), received () float32."),
        (
            "least",
            squared,
            {"sign": -1},
            "right answers cost [-0. -0.], worse ones [ -5. -25.]. Each right one must cost less; ",
        ),
        ("finite", overflowing, {}, "it is not finite: [inf inf]. Work with logarithms: "),
        ("finite", kinked, {}, NO_FINITE_GRADIENT),
        ("finite", detached, {}, "no tensor gets a gradient from it. Use differentiable `keras.ops` alone."),
        (
            "padding",
            squared,
            {},
            "the tensors same[0] cost other than the best: what must not count does. Multiply by what is real.",
        ),
    ],
)
def test_broken_loss(name, component, options, text):
    case = LossCase("broken", **LOSS, options=options, same=[LOSS["worse"]])
    assert said(case, name, **{case.kind: component}).startswith(text)


class Share:
    """Counts right answers."""

    def __init__(self) -> None:
        self.right: list[bool] = []

    def update(self, answer: str, references: list[str]) -> None:
        self.right.append(answer in references)

    def result(self) -> dict[str, float]:
        return {"share": sum(self.right) / max(1, len(self.right))}


class Reversed(Share):
    """Counts wrong answers."""

    def result(self) -> dict[str, float]:
        return {"share": 1 - super().result()["share"]}


class Constant(Share):
    """Finds everything right."""

    def result(self) -> dict[str, float]:
        return {"share": 1.0}


class Unsafe(Share):
    """Divides by the number of examples."""

    def result(self) -> dict[str, float]:
        return {"share": sum(self.right) / len(self.right)}


class Undefined(Share):
    """Gives no number without examples."""

    def result(self) -> dict[str, float]:
        return {"share": float(np.float64(sum(self.right)) / len(self.right)) if self.right else float("nan")}


class Consuming(Share):
    """Forgets what it counted."""

    def result(self) -> dict[str, float]:
        found = super().result()
        self.right = []
        return found


class Latest(Share):
    """Minds the last answer alone."""

    def result(self) -> dict[str, float]:
        return {"share": float(self.right[-1]) if self.right else 0.0}


class Arrays(Share):
    """Gives NumPy's numbers."""

    def result(self) -> Any:
        return {"share": np.float32(super().result()["share"])}


METRIC = MetricCase("broken", [{"answer": "a", "references": ["a"]}], [{"answer": "b", "references": ["a"]}])


@pytest.mark.parametrize(
    ("name", "component", "text"),
    [
        (
            "order",
            Reversed,
            "'share' is 0 for right answers and 1 for wrong ones. Name it in the class's `lower_is_better` if it should fall.",
        ),
        ("order", Constant, "right answers and wrong ones score the same, {'share': 1.0}."),
        ("empty", Unsafe, "it raises ZeroDivisionError: division by zero"),
        ("empty", Undefined, "'share' is nan without examples. Choose a number, such as 0."),
        ("result", Consuming, "result gives {'share': 1.0} and, asked again, {'share': 0.0}."),
        ("result", Latest, "'share' depends on the order of the examples: 0.0 and 1.0."),
        (
            "result",
            Arrays,
            "result must give plain numbers by name, received {'share': np.float32(1.0)}. Convert with float().",
        ),
    ],
)
def test_broken_metric(name, component, text):
    assert said(METRIC, name, metric=component) == text


def test_a_number_that_falls_is_named_by_its_class():
    class Falling(Reversed):
        lower_is_better = ("share",)

    check(METRIC, "order", catalog_with(metric=Falling))


SQUARED = LossCase("broken", **LOSS, same=[LOSS["best"]])


@pytest.mark.parametrize("name", properties(SQUARED))
def test_sound_loss(name):
    check(SQUARED, name, catalog_with(loss=squared))


def scaled(guess: Any, truth: Any, scale: Any, shift: Any = 0.0) -> Any:
    """Scales the difference by a number that the whole batch shares; it can do without a shift."""
    return scale * squared(guess + shift, truth)


SCALED = {name: tensors | {"scale": 3.0} for name, tensors in LOSS.items()}


@pytest.mark.parametrize("name", properties(SQUARED))
def test_sound_loss_with_a_number_of_the_whole_batch_and_without_a_tensor_that_it_need_not_have(name):
    check(LossCase("broken", **SCALED, same=[SCALED["best"]]), name, catalog_with(loss=scaled))


def test_a_case_without_a_tensor_that_the_loss_needs():
    text = "it takes the tensors ['guess', 'truth', 'scale', 'shift'], the case gives ['guess', 'truth']."
    assert said(LossCase("broken", **LOSS), "shape", loss=scaled) == text


@pytest.mark.parametrize("name", properties(METRIC))
def test_sound_metric(name):
    check(METRIC, name, catalog_with(metric=Share))
