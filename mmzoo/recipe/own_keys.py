"""The keys of a component in a recipe that the core itself reads, beside its options: `field`, `weight`, names of tensors."""

from collections.abc import Callable
from typing import Any, Literal

from mmzoo.contracts.option_types import PositiveInt
from mmzoo.errors import PluginError
from mmzoo.recipe.options import MISSING, Option, options_of, tensors_of
from mmzoo.registry.catalog import Component

FIELD = Option("field", str, MISSING, "Which field of the data set the input reads.")


ON_ERROR = Option(
    "on_error", Literal["stop", "skip"], "stop", "Whether an unreadable example stops the build or is left out and counted."
)
TRAINABLE = Option(
    "trainable",
    bool | PositiveInt,
    True,
    "Whether it is trained; a number holds it still until the epoch of that number begins.",
)
OPTIONAL = Option(
    "optional", bool, False, "Whether an example may lack it, an empty value, as long as it has another input that is encoded."
)
WEIGHT = Option("weight", float, 1.0, "The loss's factor in the total.")


def own_keys(component: Component) -> list[Option]:
    """Lists what a recipe may write for a component beside its options: what the core itself reads.

    Raises:
        PluginError: A parameter of the component has the name of such a key.
    """
    fixed = {"dataset": [ON_ERROR], "processor": [FIELD, OPTIONAL], "encoder": [TRAINABLE], "loss": [WEIGHT]}
    source = {"loss": "head's output", "metric": "model's answer"}.get(component.kind)
    keys = (_wired(component, source) if source else []) + fixed.get(component.kind, [])
    names = ["type", *(option.name for option in [*keys, *options_of(component.load())])]
    if len(names) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        who = f"the {component.kind} '{component.name}' of {component.plugin.name}"
        text = f"{who} calls a parameter '{twice}', which recipes write for something else."
        raise PluginError(f"{text}\nTell those who make the plugin.")
    return keys


def _wired(component: Component, source: str) -> list[Option]:
    needed = tensors_of(wired_function(component))
    doc = f"The {source} or the recipe's input that is its `{{}}`{{}}."
    return [Option(n, str, n, doc.format(n, "" if needs else "; it can do without")) for n, needs in needed.items()]


def wired_function(component: Component) -> Callable[..., Any]:
    """Gives the function whose parameters before `*` are found by name: a loss itself, a metric's `update`.

    Raises:
        PluginError: A metric has no such method.
    """
    loaded = component.load()
    function = loaded if component.kind == "loss" else getattr(loaded, "update", None)
    if function is None:
        raise PluginError(f"the metric '{component.name}' has no method 'update'.\nTell those who make the plugin.")
    return function


def settings_of(settings: type) -> list[Option]:
    """Reads a dataclass's options; a default made by a factory counts as a default."""
    made = vars(settings())
    return [Option(o.name, o.annotation, made.get(o.name, o.default), o.doc) for o in options_of(settings)]
