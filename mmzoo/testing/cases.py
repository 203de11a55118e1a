"""What a plugin's author writes: a component, its options, and what it is tried on. Light: neither Keras nor TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

Tensors = Mapping[str, Any]
"""Numbers by name, as nested lists or arrays whose first axis is the batch; a single number is the whole batch's."""


def features(
    *shape: int, dtype: str = "float32", vocabulary: int | None = None, mask: list[int] | None = None
) -> dict[str, Any]:
    """Says what a processor gives for one example.

    Args:
        shape: Without batch.
        dtype: `int32` for ids.
        vocabulary: Number of distinct ids; None for features that are no ids.
        mask: Shape of the mask that says what is there, `[time]` for the frames of a clip; None for none.
    """
    known = {"shape": list(shape), "dtype": dtype, "vocabulary": vocabulary}
    return known if mask is None else known | {"mask": mask}


@dataclass(frozen=True)
class Case:
    """A component that is held against its contract; each kind of component has a case of its own.

    Args:
        name: As a recipe would write it.
        options: As a recipe would write them. Small ones make fast tests.
        skip: Property -> why it does not apply.
        label: Tells cases of one component apart in the names of tests.
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
        reads: What its processor gives; `features` writes it.
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
        streams: Stream name -> tokens and dim, as the encoders or the fusion give them.
        inputs: Input name -> what its processor gives; targets among them.
        losses: Losses that are made for it, each as a recipe would write it.
    """

    streams: Mapping[str, tuple[int, int]]
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, kw_only=True)
    losses: Sequence[str | Mapping[str, Any]] = field(default=(), kw_only=True)
    kind = "head"


@dataclass(frozen=True)
class ProcessorCase(Case):
    """A processor.

    Args:
        good: Raw values that it reads; it learns from them.
        bad: Raw values that it must refuse, each with its row alone. Empty for one that reads everything.
        exact: Whether what it decodes reads back as the same features; otherwise decoding only has to run.
    """

    good: Sequence[Any]
    bad: Sequence[Any] = field(default=(), kw_only=True)
    exact: bool = field(default=True, kw_only=True)
    kind = "processor"


@dataclass(frozen=True)
class DatasetCase(Case):
    """A data set; `options` keep it small.

    Args:
        setup: Given an empty folder, writes there what the data set reads and gives the options that name it.
    """

    setup: Callable[[Path], Mapping[str, Any]] | None = field(default=None, kw_only=True)
    kind = "dataset"


@dataclass(frozen=True)
class LossCase(Case):
    """A loss.

    Args:
        best: The tensors of right answers.
        worse: The tensors of answers of which each is worse.
        same: Tensors that must cost as much as `best`: with other numbers at the padding, say.
        extremes: Tensors of the largest numbers that may come; `best` and `worse` times 10,000 if not given.
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
        perfect: What `update` sees, example by example, when all answers are right.
        wrong: The same when they are wrong.
        predict: Stands for the served model, for a metric that takes `predict`: signature and raw values -> output name ->
            array.
        known_labels: The labels that can be answered, for a metric that takes `known_labels`; None for a model without labels.
    """

    perfect: Sequence[Mapping[str, Any]]
    wrong: Sequence[Mapping[str, Any]]
    predict: Callable[..., Mapping[str, Any]] | None = field(default=None, kw_only=True)
    known_labels: frozenset[str] | None = field(default=None, kw_only=True)
    kind = "metric"
