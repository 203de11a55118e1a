"""The hooks that a plugin may implement, one per kind of component.

Each hook is a pure function without arguments that returns `{name: "module:attribute"}`. The attribute is imported only
when a recipe uses it, so the module that holds the hooks must stay light: it imports neither Keras nor TensorFlow.
"""

import pluggy

GROUP = "mmzoo"
"""The entry point group in which plugins name their hook module."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def mmzoo_datasets() -> dict[str, str]:  # type: ignore[empty-body]
    """Data sets: options -> `mmzoo.Dataset`, whose splits are `tf.data.Dataset`s of raw fields."""


@hookspec
def mmzoo_processors() -> dict[str, str]:  # type: ignore[empty-body]
    """Processors: options -> `mmzoo.Processor`, raw batch -> tensors in TensorFlow graph ops."""


@hookspec
def mmzoo_encoders() -> dict[str, str]:  # type: ignore[empty-body]
    """Encoders: options -> Keras layer, features of one input -> stream.

    An encoder whose shape follows from a preset keeps it as JSON in its attribute `backbone_config` and has a parameter
    `backbone_config`: None in a build; when the run is reopened, what the attribute was, and then nothing is downloaded.

    An encoder whose `call` has a parameter `padding_mask`, None by default, is told there which parts of its input are
    present, `(batch,) + features["mask"]` booleans; None stands for all.
    """


@hookspec
def mmzoo_fusions() -> dict[str, str]:  # type: ignore[empty-body]
    """Fusions: options -> Keras layer, `{name: stream}` -> `{name: stream}`."""


@hookspec
def mmzoo_heads() -> dict[str, str]:  # type: ignore[empty-body]
    """Heads: options -> `mmzoo.Head`, streams and, in training, targets -> named outputs; and its signatures."""


@hookspec
def mmzoo_losses() -> dict[str, str]:  # type: ignore[empty-body]
    """Losses: function of named tensors, options after `*` -> one value per example."""


@hookspec
def mmzoo_metrics() -> dict[str, str]:  # type: ignore[empty-body]
    """Metrics: options -> object with `update(...)` per served answer and `result() -> {name: number}`.

    Reports take the larger number for the better one, except those that the class names in `lower_is_better`, a tuple.
    """


KINDS = ("dataset", "processor", "encoder", "fusion", "head", "loss", "metric")
"""The kinds of component, in the order of the data's way."""


def hook_name(kind: str) -> str:
    """Names the hook that contributes a kind of component: `loss` -> `mmzoo_losses`."""
    return f"mmzoo_{plural(kind)}"


def plural(kind: str) -> str:
    """Gives the plural of a kind, as the command line and the messages write it."""
    return kind + ("es" if kind.endswith("s") else "s")
