"""Recipe, Catalog -> Plan: looks up every component, binds every option, and reports all faults at once."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from mmzoo.contracts.dataset import SPLITS
from mmzoo.contracts.option_types import PARTS
from mmzoo.errors import Fault, MmzooError, PluginError, RecipeError, suggest
from mmzoo.recipe.component_keys import ON_ERROR, called_function, component_keys, settings_of
from mmzoo.recipe.names import fault_of_input_name, fault_of_name
from mmzoo.recipe.options import Option, bind, options_of, tensors_of
from mmzoo.recipe.plan import BoundComponent, BoundLoss, BoundMetric, Input, Plan
from mmzoo.recipe.settings import Evaluate, Export, Train
from mmzoo.recipe.source import Node, Recipe
from mmzoo.registry.catalog import Catalog

KEYS = (
    *("name", "about", "needs", "data", "inputs", "encoders", "fusion", "head", "loss"),
    *("train", "metrics", "evaluate", "export"),
)
"""Top-level keys of a recipe."""
REQUIRED = ("name", "data", "inputs", "encoders", "head", "loss")
"""Top-level keys that every recipe must have."""

PART = {"encoder": r"encoders\.[^/]+", "fusion": "fusion", "head": r"head(\.\w+)?"}
"""Kind -> pattern of the parts of a run that a component of this kind can start from."""

T = TypeVar("T")


def resolve(recipe: Recipe, catalog: Catalog, *, with_data: bool = True) -> Plan:
    """Resolves a recipe: looks up its components in the catalog and binds their options.

    Args:
        recipe: The recipe.
        catalog: The installed components.
        with_data: Whether to open the data set and check its fields. If not, `Plan.dataset` is None.

    Raises:
        RecipeError: The recipe has faults. It holds all of them, in the order of the file.
    """
    return _Resolver(recipe, catalog, with_data).plan()


@dataclass
class _Resolver:
    recipe: Recipe
    catalog: Catalog
    with_data: bool = True
    faults: list[Fault] = field(default_factory=list)
    gallery: BoundComponent | None = None

    def plan(self) -> Plan:
        from mmzoo.recipe.optimizer_options import check_optimizers

        self._check_keys()
        needs = self._needs()
        data, dataset = self._data(self._get("data"))
        inputs = self._mapping("inputs", lambda name, node: self._input(name, node, dataset))
        encoders = self._mapping("encoders", self._encoder)
        trainable = {name: dict(bound.node.items()).get("trainable", Node(True, "")).value for name, bound in encoders.items()}
        fusion = self._optional("fusion", lambda node: self._component("fusion", node))
        head = self._optional("head", lambda node: self._component("head", node))
        losses = tuple(filter(None, (self._loss(node) for node in self._list("loss"))))
        metrics = tuple(filter(None, (self._metric(node) for node in self._list("metrics"))))
        train = self._settings("train", Train)
        self.faults += check_optimizers(self._get("train", {}), train)
        self._check_absence(inputs, train)
        evaluate, export = self._settings("evaluate", Evaluate), self._settings("export", Export)
        name, about = self._name(), self._about()
        if self.faults:
            raise RecipeError(sorted(dict.fromkeys(self.faults), key=_order))
        on_error = dict(self._get("data").items()).get("on_error", Node(ON_ERROR.default, "")).value
        data, head = cast(BoundComponent, data), cast(BoundComponent, head)  # if one is missing, that is a fault, raised above
        return Plan(
            recipe=self.recipe,
            name=name,
            about=about,
            needs=needs,
            data=data,
            on_error=on_error,
            dataset=dataset,
            inputs=inputs,
            encoders=encoders,
            trainable=trainable,
            fusion=fusion,
            head=head,
            gallery=self.gallery,
            losses=losses,
            metrics=metrics,
            train=train,
            evaluate=evaluate,
            export=export,
        )

    # Top-level keys

    def _get(self, key: str, default: Any = None) -> Node:
        node = self.recipe.root.value.get(key)
        return node if node is not None and node.value is not None else Node(default, self.recipe.root.where, key)

    def _check_keys(self) -> None:
        for key, node in self.recipe.root.items():
            if key not in KEYS:
                self.faults.append(node.key_fault("a recipe has no such key.", suggest(key, KEYS)))
        for key in REQUIRED:
            node = self._get(key)
            if node.value is None:
                self.faults.append(Fault(self.recipe.root.where, key, "this key is missing; every recipe needs it."))
            elif node.value in ({}, []):
                self.faults.append(node.fault("it is empty; expected at least one."))

    def _name(self) -> str:
        node = self._get("name")
        if node.value is not None and (fault := fault_of_name(node.plain())):
            self.faults.append(node.fault(*fault))
        return str(node.value)

    def _about(self) -> str:
        about = self._get("about", "")
        if not isinstance(about.value, str):
            self.faults.append(about.fault(f"expected text, received {about.plain()!r}."))
        return str(about.value)

    def _needs(self) -> dict[str, str]:
        node = self._get("needs", {})
        if not isinstance(node.value, dict):
            self.faults.append(node.fault(f"expected a mapping of names to recipes, received {node.plain()!r}."))
        for name, child in node.items():
            if fault := fault_of_name(name):
                self.faults.append(child.key_fault(*fault))
            if not isinstance(child.value, str) or not child.value:
                self.faults.append(child.fault(f"expected the path of a recipe, received {child.plain()!r}."))
        return {name: str(child.value) for name, child in node.items()}

    def _mapping(self, key: str, read: Callable[[str, Node], T | None]) -> dict[str, T]:
        node = self._get(key, {})
        if not isinstance(node.value, dict):
            self.faults.append(node.fault(f"expected a mapping of names to components, received {node.plain()!r}."))
        values = {name: read(name, child) for name, child in node.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _list(self, key: str) -> list[Node]:
        node = self._get(key, [])
        return node.value if isinstance(node.value, list) else [node]

    def _optional(self, key: str, read: Callable[[Node], T]) -> T | None:
        node = self._get(key)
        return read(node) if node.value is not None else None

    def _settings(self, key: str, settings: type[T]) -> T:
        node = self._get(key, {})
        if not isinstance(node.value, dict):
            self.faults.append(node.fault(f"expected a mapping, received {node.plain()!r}."))
        values, faults = bind(settings_of(settings), node)
        self.faults += faults
        return settings(**values) if not faults else settings()

    # Components

    def _component(self, kind: str, node: Node, inside: bool = False) -> BoundComponent | None:
        """Binds the component that `node` names. Of the core's keys, one that is an option of another has `weights` alone."""
        named = self._type(kind, node)
        if named is None:
            return None
        try:
            component = self.catalog.get(kind, str(named.value))
            known = {option.name: option for option in options_of(component.load())}
            core_keys = [] if inside else component_keys(component)
        except PluginError as error:
            what, _, advice = str(error).partition("\n")
            self.faults.append(named.fault(what, advice))
            return None
        start = self._start(kind, node, own="weights" in known)
        values, faults = bind([*known.values(), *core_keys], node, ignore=("type", "weights") if start else ("type",))
        self.faults += faults
        self._follow_references(known, values, node)
        return BoundComponent(
            component, {name: value for name, value in values.items() if name in known}, node, start, self.recipe.folder
        )

    def _start(self, kind: str, node: Node, own: bool) -> str:
        """Returns the part of a needed run that a layer starts from; empty if its `weights` are none or a preset of its own."""
        weights, needs = dict(node.items()).get("weights"), dict(self._get("needs").items())
        if kind not in PART or weights is None or not isinstance(weights.value, str):
            return ""
        name, _, part = weights.value.partition("/")
        if own and name not in needs:
            return ""
        expected = f"expected NEED/{'encoders.INPUT' if kind == 'encoder' else kind}, a part of a run that the recipe needs"
        if name not in needs:
            what = f"the recipe needs no '{name}'; {expected}."
            self.faults.append(weights.fault(what, suggest(name, needs) if needs else "Name its recipe under `needs`."))
        elif not re.fullmatch(PART[kind], part):
            self.faults.append(weights.fault(f"{expected}, received '{weights.value}'."))
        return weights.value

    def _type(self, kind: str, node: Node) -> Node | None:
        named = node.value.get("type") if isinstance(node.value, dict) else node
        if named is None:
            self.faults.append(node.fault(f"the key 'type' is missing; it names the {kind}."))
        elif not isinstance(named.value, str):
            self.faults.append(named.fault(f"expected the {kind}'s name, received {named.plain()!r}."))
            return None
        return named

    def _follow_references(self, options: dict[str, Option], values: dict[str, Any], node: Node) -> None:
        """Checks the options that refer to something in the recipe, and binds those that are components."""
        for name, option in options.items():
            given = dict(node.items()).get(name, Node(values.get(name), node.where))
            if option.refers_to == "examples":
                self._examples(given)
                continue
            if option.refers_to in PARTS and isinstance(given.value, str | dict):  # `bind` reports any other value
                values[name] = self._component(option.refers_to, given, inside=True)
                continue
            value, known = values.get(name), dict(self._get(option.refers_to or "?").items())
            if option.refers_to and isinstance(value, str) and (known or option.refers_to == "needs") and value not in known:
                place = dict(node.items()).get(name, node)
                lacks = "needs no" if option.refers_to == "needs" else f"has no {option.refers_to.removesuffix('s')}"
                self.faults.append(place.fault(f"the recipe {lacks} '{value}'.", suggest(value, known)))

    def _examples(self, node: Node) -> None:
        """Checks the name of a split, or binds another data set."""
        if isinstance(node.value, dict):
            self.gallery = self._component("dataset", node)
        elif node.value is not None and node.value not in SPLITS:
            known = f"expected {', '.join(SPLITS)}, or a data set: a mapping with its `type`"
            self.faults.append(node.fault(f"the data has no split {node.plain()!r}; {known}."))

    def _data(self, node: Node) -> tuple[BoundComponent | None, Any]:
        bound = self._component("dataset", node) if node.value is not None else None
        if bound is None or not self.with_data or any(fault.key.startswith("data") for fault in self.faults):
            return bound, None
        try:
            return bound, bound.make()
        except MmzooError as error:
            what, _, advice = str(error).partition("\n")
            self.faults.append(node.fault(what, advice.strip()))
            return bound, None

    def _input(self, name: str, node: Node, dataset: Any) -> Input | None:
        if fault := fault_of_input_name(name):
            self.faults.append(node.key_fault(*fault))
        bound = self._component("processor", node)
        column = dict(node.items()).get("field")
        if bound is None or column is None:
            return None
        if dataset is not None and isinstance(column.value, str) and column.value not in dataset.card.fields:
            data, fields = self._get("data").plain(), ", ".join(dataset.card.fields)
            kind = data["type"] if isinstance(data, dict) else data
            self.faults.append(column.fault(f"the data set '{kind}' has no field '{column.value}'.", f"Its fields: {fields}."))
        optional = dict(node.items()).get("optional", Node(False, "")).value
        return Input(name, str(column.value), bound, node, optional is True)

    def _encoder(self, name: str, node: Node) -> BoundComponent | None:
        inputs = self._get("inputs", {}).value
        if isinstance(inputs, dict) and name not in inputs:
            self.faults.append(node.key_fault(f"the recipe has no input '{name}' to encode.", suggest(name, inputs)))
        return self._component("encoder", node)

    def _check_absence(self, inputs: dict[str, Input], train: Train) -> None:
        """Checks that optional inputs and modality dropout leave another encoded input to answer from."""
        encoded = dict(self._get("encoders").items())
        for name, column in inputs.items():
            alone = len(encoded) == 1 and name in encoded
            if column.optional and (alone or name not in encoded):
                why = "no other input has an encoder" if alone else "it has no encoder"
                advice = f"Remove `optional`, or give {'another input' if alone else 'it'} an encoder."
                place = dict(column.node.items())["optional"]
                self.faults.append(place.fault(f"this input cannot be optional: {why}.", advice))
        if train.modality_dropout and len(encoded) < 2:
            place = dict(self._get("train").items())["modality_dropout"]
            what = "at least two inputs must have an encoder."
            self.faults.append(place.fault(what, "Remove it, or give another input an encoder."))

    def _loss(self, node: Node) -> BoundLoss | None:
        bound = self._component("loss", node)
        if bound is None:
            return None
        weight = dict(node.items()).get("weight", Node(1.0, "")).value
        return BoundLoss(bound, _tensor_names(bound), float(weight) if not self.faults else 1.0)

    def _metric(self, node: Node) -> BoundMetric | None:
        bound = self._component("metric", node)
        return BoundMetric(bound, _tensor_names(bound)) if bound is not None else None


def _tensor_names(bound: BoundComponent) -> dict[str, str]:
    """Returns parameter -> name of its tensor or value: the parameter's own name, unless the recipe sets another."""
    given = {key: child.value for key, child in bound.node.items()}
    return {name: str(given.get(name, name)) for name in tensors_of(called_function(bound.component))}


def _order(fault: Fault) -> tuple[int, int]:
    numbers = re.findall(r":(\d+)", fault.where)
    return (int(numbers[-2]), int(numbers[-1])) if len(numbers) >= 2 else (0, 0)
