"""What a build will do, with every default filled in: the value between a recipe and a model. Light."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Lt

from mmzoo.catalog import Component
from mmzoo.options import Count, Positive, PositiveFloat, Rate, supplied_of
from mmzoo.recipe import Node, Recipe


@dataclass(frozen=True)
class Bound:
    """A component with the value of each of its options.

    Args:
        component: Which one.
        options: Every option's value.
        node: Where the recipe names it.
    """

    component: Component
    options: Mapping[str, Any]
    node: Node

    def make(self, **supplied: Any) -> Any:
        """Makes the object; of `supplied`, the parameters that the core fills in, it gets those that it asks for."""
        options = {name: value.make if isinstance(value, Bound) else value for name, value in self.options.items()}
        component = self.component.load()
        wanted = supplied_of(component)
        return component(**options, **{name: value for name, value in supplied.items() if name in wanted})

    def parts(self) -> list["Bound"]:
        """Lists it and the components inside it."""
        inside = [value for value in self.options.values() if isinstance(value, Bound)]
        return [self, *(part for one in inside for part in one.parts())]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it, with every option."""
        options = {name: value.plain() if isinstance(value, Bound) else value for name, value in self.options.items()}
        return {"type": f"{self.component.plugin.name}/{self.component.name}", **options}


@dataclass(frozen=True)
class Input:
    """A named column: a field of the data set read through a processor.

    Args:
        name: What the recipe calls it.
        field: Of the data set.
        processor: What reads it.
        node: Where the recipe names it.
        optional: Whether an example may lack it.
    """

    name: str
    field: str
    processor: Bound
    node: Node
    optional: bool = False

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.processor.plain() | {"field": self.field, "optional": self.optional}


@dataclass(frozen=True)
class Loss:
    """A loss, its weight in the sum, and which output or input each of its tensors is.

    Args:
        bound: The loss function with its options.
        tensors: Parameter name -> name of a head's output or of an input. One that the loss can do without is left out where
            there is neither.
        weight: Its factor in the total.
    """

    bound: Bound
    tensors: Mapping[str, str]
    weight: float = 1.0

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.bound.plain() | dict(self.tensors) | {"weight": self.weight}


@dataclass(frozen=True)
class Metric:
    """A metric, and which answer or input each of the values that it sees is.

    Args:
        bound: The metric with its options.
        values: Parameter of `update` -> name of an answer or of an input.
    """

    bound: Bound
    values: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.bound.plain() | dict(self.values)


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the task is trained.

    Args:
        epochs: Passes over the training split.
        batch: Examples per step, over all devices.
        optimizer: A Keras optimizer by its identifier, with its options. `learning_rate` may be a Keras schedule by
            its identifier; a schedule's `decay_steps` left out is the number of steps of the whole training.
            `weight_decay` spares biases, gains and single numbers.
        clip: Largest global norm of the gradient.
        accumulate: Steps whose gradients are averaged before one update.
        accumulate_contrastive: Parts of a batch that are encoded one after the other, and again once the loss of the whole
            batch is known: the memory of one part and the gradient of the whole for a third more time. For losses that compare
            the examples of a batch. Batch normalisation sees one part at a time.
        stream_dropout: How likely each stream of an example is left out in training, never all of them, so that the model
            learns to answer without one. For recipes that encode several inputs.
        ema: Momentum of the moving average of the weights that is evaluated and exported; none by default.
        precision: Keras dtype policy of the layers.
        jit: Compile the step with XLA; `auto` leaves it to Keras (off on a CPU).
        devices: How many GPUs to train on; `auto` takes all there are, or the CPU. Losses, clipping and updates are
            those of one device with the whole batch; batch normalisation sees each device's share.
        backend: Keras backend to train on; evaluation and export are always TensorFlow's. `auto` is KERAS_BACKEND or
            tensorflow.
        patience: Stop after so many epochs without a better validation loss and keep the best weights; never by default.
        seed: Of everything drawn at random.
        cache: Keep the processed examples in memory; `auto` does so up to 2 GiB.
        tensorboard: Write TensorBoard logs to the run; needs `pip install 'mmzoo[tensorboard]'`.
    """

    epochs: Positive = 10
    batch: Positive = 64
    optimizer: str | dict[str, Any] = field(default_factory=lambda: {"type": "adamw", "learning_rate": 0.001})
    clip: PositiveFloat | None = None
    accumulate: Positive = 1
    accumulate_contrastive: Positive = 1
    stream_dropout: Rate = 0.0
    ema: Rate | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit: bool | Literal["auto"] = "auto"
    devices: Positive | Literal["auto"] = "auto"
    backend: Literal["auto", "tensorflow", "jax"] = "auto"
    patience: Positive | None = None
    seed: Annotated[Count, Lt(2**31)] = 0
    cache: bool | Literal["auto"] = "auto"
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Export:
    """How the trained model is exported.

    Args:
        version: Number of the version folder, `export/<version>`. A server that watches the folder answers with the newest
            number, and reads a number once: what is exported again under the same one it does not see.
        examples: How many held-out examples the exported model must answer as the task does before it counts.
    """

    version: Positive = 1
    examples: Positive = 16


@dataclass(frozen=True)
class Plan:
    """A resolved recipe: every name looked up and every option bound.

    Args:
        recipe: What it was resolved from.
        name: The run's name.
        about: What the recipe is for.
        data: The data set.
        on_error: What an unreadable example does: `stop` the build or be skipped and counted.
        dataset: The data set's object; None in a run that is reopened, whose data need not be there.
        inputs: By name, in the recipe's order.
        encoders: By the name of the input that each reads.
        trainable: Which encoders are trained: True, False, or the number of the epoch from which on.
        fusion: None leaves the streams as they are.
        head: What answers.
        gallery: What the head searches, if it is a data set of its own.
        losses: Summed with their weights.
        metrics: What scores the answers.
        train: How to train.
        export: How to export.
    """

    recipe: Recipe
    name: str
    about: str
    data: Bound
    on_error: str
    dataset: Any
    inputs: Mapping[str, Input]
    encoders: Mapping[str, Bound]
    trainable: Mapping[str, bool | int]
    fusion: Bound | None
    head: Bound
    gallery: Bound | None
    losses: tuple[Loss, ...]
    metrics: tuple[Metric, ...]
    train: Train
    export: Export

    def components(self) -> list[Bound]:
        """Lists every component in it."""
        inputs = [i.processor for i in self.inputs.values()]
        fusion = [self.fusion] if self.fusion is not None else []
        gallery = [self.gallery] if self.gallery is not None else []
        losses, metrics = [loss.bound for loss in self.losses], [metric.bound for metric in self.metrics]
        whole = [self.data, *inputs, *self.encoders.values(), *fusion, self.head, *gallery, *losses, *metrics]
        return [part for one in whole for part in one.parts()]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe with every default written out; resolving that gives this plan again."""
        plain: dict[str, Any] = {"name": self.name, "about": self.about}
        plain["data"] = self.data.plain() | {"on_error": self.on_error}
        plain["inputs"] = {name: column.plain() for name, column in self.inputs.items()}
        plain["encoders"] = {name: bound.plain() | {"trainable": self.trainable[name]} for name, bound in self.encoders.items()}
        plain["fusion"] = self.fusion.plain() if self.fusion is not None else None
        plain["head"] = self.head.plain()
        plain["loss"] = [loss.plain() for loss in self.losses]
        plain["train"] = vars(self.train)
        plain["metrics"] = [metric.plain() for metric in self.metrics]
        plain["export"] = vars(self.export)
        return plain

    def versions(self) -> dict[str, str]:
        """Gives the version of each plugin in use."""
        return {b.component.plugin.name: b.component.plugin.version for b in self.components()}
