"""Keys of a component in a recipe that the core reads, besides its options: `field`, `weight`, names of tensors."""

from collections.abc import Callable
from typing import Any, Literal

from mmzoo.contracts.option_types import PositiveInt
from mmzoo.errors import PluginError
from mmzoo.recipe.options import MISSING, Option, options_of, tensors_of
from mmzoo.registry.catalog import Component

FIELD = Option("field", str, MISSING, "Field of the data set that the input reads.")
ON_ERROR = Option(
    "on_error",
    Literal["stop", "skip"],
    "stop",
    "Whether unreadable examples stop the build, or are left out and counted.",
)
TRAINABLE = Option(
    "trainable",
    bool | PositiveInt,
    True,
    "Whether the encoder is trained. A number N freezes it until the N-th epoch begins; the first epoch is 1.",
)
OPTIONAL = Option(
    "optional",
    bool,
    False,
    "Whether an example may lack this input (its value is empty). Another input with an encoder must then be present.",
)
WEIGHTS = Option(
    "weights",
    str | None,
    None,
    "Part of a needed run whose weights this one starts from: `late/encoders.video`, `late/fusion` or `late/head` for a recipe "
    "that `needs` one as `late`.",
)
WEIGHT = Option("weight", float, 1.0, "Factor of this loss in the sum of the losses.")


def component_keys(component: Component) -> list[Option]:
    """Returns the keys that a recipe may set for a component besides its options.

    Raises:
        PluginError: A parameter of the component has the same name as one of these keys.
    """
    own = {option.name for option in options_of(component.load())}
    weights = [WEIGHTS] if WEIGHTS.name not in own else []  # an option of that name takes the same values and presets
    fixed = {"dataset": [ON_ERROR], "processor": [FIELD, OPTIONAL], "loss": [WEIGHT]}
    fixed |= {"encoder": [TRAINABLE, *weights], "fusion": weights, "head": weights}
    source = {"loss": "head's output", "metric": "model's answer"}.get(component.kind)
    keys = (_tensor_keys(component, source) if source else []) + fixed.get(component.kind, [])
    names = ["type", *(option.name for option in keys), *own]
    if len(names) > len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        who = f"the {component.kind} '{component.name}' of {component.plugin.name}"
        text = f"{who} has a parameter '{twice}', but recipes use this key for something else."
        raise PluginError(f"{text}\nReport this to the authors of the plugin.")
    return keys


def _tensor_keys(component: Component, source: str) -> list[Option]:
    doc = f"Name of the {source} or the input of the recipe to use as `{{}}`{{}}."
    tensors = tensors_of(called_function(component)).items()
    return [Option(name, str, name, doc.format(name, "" if required else ", if present")) for name, required in tensors]


def called_function(component: Component) -> Callable[..., Any]:
    """Returns the function whose parameters are looked up by name: the loss itself, or the metric's `update`.

    Raises:
        PluginError: The metric has no method `update`.
    """
    loaded = component.load()
    function = loaded if component.kind == "loss" else getattr(loaded, "update", None)
    if function is None:
        raise PluginError(f"the metric '{component.name}' has no method 'update'.\nReport this to the authors of the plugin.")
    return function


def settings_of(settings: type) -> list[Option]:
    """Returns the options of a settings dataclass, with the defaults that a factory makes."""
    defaults = vars(settings())
    return [Option(o.name, o.annotation, defaults.get(o.name, o.default), o.doc) for o in options_of(settings)]
