"""Keras' own optimizers and schedules, named in recipes by their Keras identifiers."""

import inspect
from typing import Any

from mmzoo.errors import Fault, suggest
from mmzoo.plan import Train
from mmzoo.recipe import Node, place


def check_optimizer(node: Node | None, train: Train) -> list[Fault]:
    """Finds what is wrong with `train.optimizer` without making it; an absent one is the default."""
    node = node or place(train.optimizer, "train", "train.optimizer")
    faults = _check(node, "optimizer", _optimizers())
    rate = dict(node.items()).get("learning_rate")
    if rate is not None and isinstance(rate.value, dict | str):
        faults += _check(rate, "schedule", _schedules())
    return faults


def make_optimizer(train: Train, steps: int) -> Any:
    """Makes the Keras optimizer of a plan.

    Args:
        train: The plan's training; its optimizer has been checked.
        steps: Updates in the whole training: the `decay_steps` of a schedule that gives none.
    """
    kind, options = _split(train.optimizer)
    rate = options.get("learning_rate")
    if isinstance(rate, dict | str):
        options["learning_rate"] = _make_schedule(rate, steps)
    options["global_clipnorm"] = train.clip
    if train.accumulate > 1:
        options["gradient_accumulation_steps"] = train.accumulate
    if train.ema is not None:
        options |= {"use_ema": True, "ema_momentum": train.ema}
    return _optimizers()[kind](**options)


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
        advice = suggest(_key(named.value), known) or f"See keras.optimizers for the {what}s there are."
        return [named.fault(f"Keras has no {what} '{named.plain()}'.", advice)]
    parameters = list(inspect.signature(known[_key(named.value)].__init__).parameters)[1:]
    return [
        child.misnamed(f"Keras' {what} '{named.value}' has no such option.", suggest(key, parameters))
        for key, child in node.items()
        if key not in ("type", *parameters)
    ]


def _optimizers() -> dict[str, Any]:
    import keras

    return _subclasses(vars(keras.optimizers), keras.optimizers.Optimizer)


def _schedules() -> dict[str, Any]:
    import keras

    return _subclasses(vars(keras.optimizers.schedules), keras.optimizers.schedules.LearningRateSchedule)


def _subclasses(names: dict[str, Any], base: type) -> dict[str, Any]:
    return {_key(n): c for n, c in names.items() if inspect.isclass(c) and issubclass(c, base) and c is not base}
