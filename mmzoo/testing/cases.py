"""The cases that a plugin's author writes: a component, its options and test data. Light: without Keras and TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

Tensors = Mapping[str, Any]
"""Numbers by name, as nested lists or arrays whose first axis is the batch. A single number counts for the whole batch."""


def features(
    *shape: int, dtype: str = "float32", vocabulary: int | None = None, mask: list[int] | None = None
) -> dict[str, Any]:
    """Describes what a processor returns for one example.

    Args:
        shape: Without batch.
        dtype: `int32` for ids.
        vocabulary: Number of distinct ids; None for features that are not ids.
        mask: Shape of the mask of present parts, `[time]` for the frames of a clip; None for no mask.
    """
    known = {"shape": list(shape), "dtype": dtype, "vocabulary": vocabulary}
    return known if mask is None else known | {"mask": mask}


@dataclass(frozen=True)
class Case:
    """A component and what it is tested with. Each kind of component has its own kind of case.

    Args:
        name: The component's name, as in a recipe.
        options: As in a recipe. Small ones make fast tests.
        skip: Property -> why it does not apply.
        label: Distinguishes cases of one component in the names of tests.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    skip: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    label: str = field(default="", kw_only=True)

    kind: ClassVar[str] = ""

    def __str__(self) -> str:
        return f"{self.kind}-{self.name.replace('/', '-')}" + (f"-{self.label}" if self.label else "")


@dataclass(frozen=True)
class EncoderCase(Case):
    """An encoder.

    Args:
        reads: What its processor returns; made by `features`.
    """

    reads: Mapping[str, Any]
    kind = "encoder"


@dataclass(frozen=True)
class FusionCase(Case):
    """A fusion.

    Args:
        streams: Stream name -> tokens and dim.
    """

    streams: Mapping[str, tuple[int, int]]
    kind = "fusion"


@dataclass(frozen=True)
class HeadCase(Case):
    """A head.

    Args:
        streams: Stream name -> tokens and dim, as the encoders or the fusion return them.
        inputs: Input name -> what its processor returns. Includes the targets.
        losses: Losses that are made for it, each as in a recipe.
    """

    streams: Mapping[str, tuple[int, int]]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, kw_only=True)
    losses: Sequence[str | Mapping[str, Any]] = field(default=(), kw_only=True)
    kind = "head"


@dataclass(frozen=True)
class ProcessorCase(Case):
    """A processor.

    Args:
        good: Raw values that it can read. It is adapted to them.
        bad: Raw values that must each have a fault. Empty for a processor that reads everything.
        exact: Whether its decoded values read back as the same features. If not, decoding only has to run.
    """

    good: Sequence[Any]
    bad: Sequence[Any] = field(default=(), kw_only=True)
    exact: bool = field(default=True, kw_only=True)
    kind = "processor"


@dataclass(frozen=True)
class DatasetCase(Case):
    """A data set. Choose `options` that keep it small.

    Args:
        setup: Takes an empty folder, writes the files of the data set there, and returns the options that name them.
    """

    setup: Callable[[Path], Mapping[str, Any]] | None = field(default=None, kw_only=True)
    kind = "dataset"


@dataclass(frozen=True)
class LossCase(Case):
    """A loss.

    Args:
        best: The tensors of right answers.
        worse: The tensors of worse answers, in every example.
        same: Tensors with the same loss as `best`, for example with other numbers at the padding.
        extremes: Tensors of the largest numbers that can occur. The default is `best` and `worse` times 10,000.
    """

    best: Tensors
    worse: Tensors
    same: Sequence[Tensors] = field(default=(), kw_only=True)
    extremes: Sequence[Tensors] = field(default=(), kw_only=True)
    kind = "loss"


@dataclass(frozen=True)
class MetricCase(Case):
    """A metric.

    Args:
        perfect: What `update` receives, example by example, when all answers are right.
        wrong: The same when they are wrong.
        predict: Stands for the served model, for a metric that takes `predict`: signature and raw values -> output name ->
            array.
        known_labels: The labels that the model can answer, for a metric that takes `known_labels`; None for a model without
            labels.
        needed: Stand for the models of needed runs, for a metric that has an option of the type `NeededModel`: name -> a
            function of a signature and raw values by input that returns output name -> array.
        training: The training examples, for a metric that takes `training_examples`: input -> list of raw values.
    """

    perfect: Sequence[Mapping[str, Any]]
    wrong: Sequence[Mapping[str, Any]]
    predict: Callable[..., Mapping[str, Any]] | None = field(default=None, kw_only=True)
    known_labels: frozenset[str] | None = field(default=None, kw_only=True)
    needed: Mapping[str, Callable[..., Mapping[str, Any]]] = field(default_factory=dict, kw_only=True)
    training: Sequence[Mapping[str, Any]] = field(default=(), kw_only=True)
    kind = "metric"
