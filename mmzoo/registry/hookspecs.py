"""The hooks that a plugin may implement, one for each kind of component.

    @hookimpl
    def mmzoo_encoders():
        return {"vit": "mmzoo_image.vit:ViT"}

A hook is a pure function without arguments. It returns `{name: "module:attribute"}`: the component's name in recipes, and
its class or function. The attribute is imported only when a recipe uses it. So the module with the hooks stays light: it
imports neither Keras nor TensorFlow.
"""

import pluggy

GROUP = "mmzoo"
"""The group of entry points in which plugins name their hook module."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def mmzoo_datasets() -> dict[str, str]:  # type: ignore[empty-body]
    """Data sets: options -> `mmzoo.Dataset`. Its splits are `tf.data.Dataset`s of raw fields."""


@hookspec
def mmzoo_processors() -> dict[str, str]:  # type: ignore[empty-body]
    """Processors: options -> `mmzoo.Processor`. It turns a batch of raw values into tensors, with TensorFlow graph ops."""


@hookspec
def mmzoo_encoders() -> dict[str, str]:  # type: ignore[empty-body]
    """Encoders: options -> Keras layer, `layer(features, padding_mask=None, training=False) -> mmzoo.Stream`.

    If `call` has a parameter `padding_mask`, it receives which parts of the input are present: booleans of the shape
    `(batch,) + features["mask"]`, or None for all.

    An encoder that starts from a preset has an attribute and a constructor parameter `backbone_config`. The attribute holds
    the backbone's configuration as JSON data. The run saves it and passes it to the constructor when the run is reopened, so
    that no preset is downloaded again. In a build the parameter is None.
    """


@hookspec
def mmzoo_fusions() -> dict[str, str]:  # type: ignore[empty-body]
    """Fusions: options -> Keras layer, `layer({name: stream}, training=False) -> {name: stream}`."""


@hookspec
def mmzoo_heads() -> dict[str, str]:  # type: ignore[empty-body]
    """Heads: options -> `mmzoo.Head`: streams and, in training, targets -> named outputs. It also has signatures."""


@hookspec
def mmzoo_losses() -> dict[str, str]:  # type: ignore[empty-body]
    """Losses: a function of tensors that are looked up by name, with options after `*`. It returns one value per example."""


@hookspec
def mmzoo_metrics() -> dict[str, str]:  # type: ignore[empty-body]
    """Metrics: options -> `mmzoo.Metric`, with `update(...)` for each served answer and `result() -> {name: number}`.

    Larger numbers are better, except those that the class lists in the tuple `lower_is_better`.
    """


KINDS = ("dataset", "processor", "encoder", "fusion", "head", "loss", "metric")
"""The kinds of component, in the order in which data passes through them."""


def hook_name(kind: str) -> str:
    """Returns the name of the hook for a kind of component: `loss` -> `mmzoo_losses`."""
    return f"mmzoo_{plural(kind)}"


def plural(kind: str) -> str:
    """Returns the plural of a kind, for the command line and messages: `loss` -> `losses`."""
    return kind + ("es" if kind.endswith("s") else "s")
