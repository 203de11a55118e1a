"""Keras optimizers and learning rate schedules in a recipe: checks their names and options, and binds them."""

import inspect
from typing import Any

from mmzoo.errors import Fault, suggest
from mmzoo.recipe.settings import Train
from mmzoo.recipe.source import Node, to_node

TRAIN_KEYS = {
    "global_clipnorm": "global_clipnorm",
    "gradient_accumulation_steps": "gradient_accumulation_steps",
    "use_ema": "ema_momentum",
    "ema_momentum": "ema_momentum",
}
"""Options of Keras optimizers that a recipe sets under `train` instead -> the key there."""


LISTS = ("boundaries", "values")
"""Options of Keras schedules that are lists of numbers."""


def check_optimizers(node: Node, train: Train) -> list[Fault]:
    """Checks `train.optimizer` or `train.optimizers`, and returns the faults found.

    Args:
        node: `train` in the recipe.
        train: The settings, which hold the optimizers too.
    """
    given = dict(node.items())
    several = given.get("optimizers")
    if several is None or not train.optimizers:
        one = given.get("optimizer")
        one = one if one is not None and one.value is not None else to_node(train.optimizer, "train", "train.optimizer")
        return _check_optimizer(one, train, train.optimizer)
    if train.optimizer != Train().optimizer:  # a saved plan has every default
        return [given["optimizer"].key_fault("`optimizers` is there too, which stands instead of it. Remove one of the two.")]
    return [fault for name, one in several.items() for fault in _check_optimizer(one, train, train.optimizers[name])]


def _check_optimizer(node: Node, train: Train, optimizer: str | dict[str, Any]) -> list[Fault]:
    given = dict(node.items())
    faults = _check(node, "optimizer", _optimizers())
    faults += [given[key].key_fault(f"set `train.{TRAIN_KEYS[key]}` instead.") for key in given if key in TRAIN_KEYS]
    rate = given.get("learning_rate")
    if rate is not None and isinstance(rate.value, dict | str):
        faults += _check(rate, "schedule", _schedules())
    return faults or _check_values(node, train, optimizer)


def _check_values(node: Node, train: Train, optimizer: str | dict[str, Any]) -> list[Fault]:
    try:
        kind, options = bind_optimizer(optimizer, train, 1)
        kind(**options)
    except (TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        return [node.fault(f"Keras cannot make this optimizer: {reason}", "See keras.optimizers for its options.")]
    return []


def bind_optimizer(optimizer: str | dict[str, Any], train: Train, steps: int) -> tuple[Any, dict[str, Any]]:
    """Returns the class of a Keras optimizer and its options.

    Args:
        optimizer: As in a recipe.
        train: The plan's settings.
        steps: Number of training steps, those that only accumulate gradients included. A schedule without `decay_steps` takes
            what remains of them after its `warmup_steps`.
    """
    kind, options = _split(optimizer)
    rate = options.get("learning_rate")
    if isinstance(rate, dict | str):
        options["learning_rate"] = _make_schedule(rate, steps)
    if train.global_clipnorm is not None:
        options["global_clipnorm"] = train.global_clipnorm
    if train.gradient_accumulation_steps > 1:
        options["gradient_accumulation_steps"] = train.gradient_accumulation_steps
    if train.ema_momentum is not None:
        # Keras updates the average at every step, also at steps that only accumulate gradients.
        options |= {"use_ema": True, "ema_momentum": train.ema_momentum ** (1 / train.gradient_accumulation_steps)}
    return _optimizers()[kind], options


def _make_schedule(rate: str | dict[str, Any], steps: int) -> Any:
    kind, options = _split(rate)
    schedule = _schedules()[kind]
    parameters = inspect.signature(schedule.__init__).parameters
    if "decay_steps" in parameters and "decay_steps" not in options:
        options["decay_steps"] = max(1, steps - (options.get("warmup_steps") or 0))
    return schedule(**options)


def _split(value: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(value, str):
        return _key(value), {}
    return _key(value["type"]), {name: option for name, option in value.items() if name != "type"}


def _key(identifier: str) -> str:
    return str(identifier).replace("_", "").lower()


def _check(node: Node, what: str, known: dict[str, Any]) -> list[Fault]:
    named = node.value.get("type") if isinstance(node.value, dict) else node
    if named is None:
        return [node.fault(f"the key 'type' is missing; it names the Keras {what}.")]
    if _key(named.value) not in known:
        advice = suggest(_key(named.value), known) or f"See keras.optimizers for the {what}s that Keras has."
        return [named.fault(f"Keras has no {what} '{named.plain()}'.", advice)]
    signature = inspect.signature(known[_key(named.value)].__init__).parameters.values()
    parameters = [p.name for p in signature if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    numeric = {p.name for p in signature if isinstance(p.default, float) or (p.default is p.empty and p.name not in LISTS)}
    return [
        child.fault(f"expected a number, received {child.plain()!r}.")
        for key, child in node.items()
        if key in numeric
        and not _is_number(child.value)
        and not (key == "learning_rate" and isinstance(child.value, dict | str))
    ] + [
        child.key_fault(f"Keras' {what} '{named.value}' has no such option.", suggest(key, parameters))
        for key, child in node.items()
        if key not in ("type", *parameters)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _optimizers() -> dict[str, Any]:
    import keras

    return _subclasses(vars(keras.optimizers), keras.optimizers.Optimizer)


def _schedules() -> dict[str, Any]:
    import keras

    return _subclasses(vars(keras.optimizers.schedules), keras.optimizers.schedules.LearningRateSchedule)


def _subclasses(names: dict[str, Any], base: type) -> dict[str, Any]:
    return {_key(n): c for n, c in names.items() if inspect.isclass(c) and issubclass(c, base) and c is not base}
