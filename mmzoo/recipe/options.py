"""A component's options are its signature: read it, and bind a recipe's values to it.

Options are the keyword-only, annotated parameters of a component. Values are checked strictly against the annotations
(`'8'` is no int) by pydantic; ranges come from `annotated_types`. There is no second schema: the JSON schema for editors
and the help of `mmzoo show` are made from the same signature.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmzoo.contracts.option_types import PARTS, Reference
from mmzoo.errors import Fault, PluginError, suggest
from mmzoo.recipe.source import Node

MISSING: Any = inspect.Parameter.empty
"""Stands for a default or an annotation that is not there."""

SUPPLIED = ("features", "inputs", "backbone_config", "predict", "known_labels")
"""Parameters that the core fills in and a recipe cannot: what is known of the data once it is read, what a run has kept of an
encoder, the served model, and the labels that it can answer."""


@dataclass(frozen=True)
class Option:
    """One option of a component.

    Args:
        name: Its name.
        annotation: Its type, with its range.
        default: Its default, or `MISSING` if it must be given.
        doc: What the component's docstring says of it.
    """

    name: str
    annotation: Any
    default: Any
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether a recipe must give it."""
        return self.default is MISSING

    @property
    def type_name(self) -> str:
        """Its type as a person writes it."""
        return type_name(self.annotation)

    @property
    def refers_to(self) -> str:
        """What its value, if it is not null, must name in the recipe; empty if nothing."""
        union = get_origin(self.annotation) in (Union, UnionType)
        kinds = get_args(self.annotation) if union else (self.annotation,)
        marks = (mark for kind in kinds for mark in getattr(kind, "__metadata__", ()))
        return next((mark.to for mark in marks if isinstance(mark, Reference)), "")

    @property
    def expected(self) -> str:
        """What a recipe is to give, in the words of a fault."""
        return f"the {self.refers_to}'s name" if self.refers_to in PARTS else self.type_name

    def schema(self) -> dict[str, Any]:
        """Makes its JSON schema."""
        from pydantic import PydanticSchemaGenerationError, PydanticUserError

        try:
            schema = _adapter(self.annotation).json_schema()
        except (PydanticUserError, PydanticSchemaGenerationError):
            schema = {}
        if self.default is not MISSING:
            schema["default"] = self.default
        return schema | ({"description": self.doc} if self.doc else {})


def type_name(annotation: Any) -> str:
    """Writes a type without module names: `typing.Annotated[int, Gt(gt=0)]` -> `int > 0`."""
    marks = getattr(annotation, "__metadata__", None)
    if marks is not None:
        bounds = [f"{sign} {getattr(m, key)}" for m in marks for key, sign in _BOUNDS.items() if hasattr(m, key)]
        return " ".join([type_name(annotation.__origin__), " and ".join(bounds)]).strip()
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " | ".join(map(type_name, args))
    if origin is Literal:
        return " | ".join(map(repr, args))
    if args:
        return f"{type_name(origin)}[{', '.join(map(type_name, args))}]"
    return "None" if annotation in (None, NoneType) else getattr(annotation, "__name__", str(annotation))


_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def options_of(component: Callable[..., Any]) -> tuple[Option, ...]:
    """Reads the options of a component: its parameters after `*` which the core does not supply.

    Raises:
        PluginError: It is no function or class, or an annotation cannot be read.
    """
    try:
        hints = get_type_hints(_function(component), include_extras=True)
    except Exception as error:  # an annotation may be any code
        name = getattr(component, "__qualname__", repr(component))
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"the options of '{name}' cannot be read: {reason}.\nTell those who make the plugin.") from error
    docs = _argument_docs(component)
    return tuple(
        Option(p.name, hints.get(p.name, Any), p.default, docs.get(p.name, ""))
        for p in _parameters(component)
        if p.kind is p.KEYWORD_ONLY and p.name not in SUPPLIED
    )


def tensors_of(function: Callable[..., Any]) -> dict[str, bool]:
    """Reads the names of the tensors that a function takes, its parameters before `*`, and whether it needs each."""
    found = [p for p in _parameters(function) if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return {p.name: p.default is MISSING for p in found}


def supplied_of(component: Callable[..., Any]) -> frozenset[str]:
    """Reads which of the parameters that the core supplies a component asks for."""
    return frozenset(p.name for p in _parameters(component)) & frozenset(SUPPLIED)


def bind(options: Iterable[Option], node: Node, leave: Iterable[str] = ()) -> tuple[dict[str, Any], list[Fault]]:
    """Binds the values of a mapping to options.

    Args:
        options: What may be given.
        node: A mapping; a scalar (a bare component name) gives nothing.
        leave: Keys of the mapping that are not options, such as `type`.

    Returns:
        Every option's value, defaults filled in, and all faults found.
    """
    known = {option.name: option for option in options}
    given = {key: child for key, child in node.items() if key not in set(leave)}
    faults = [
        child.misnamed("there is no such option.", suggest(key, known) or "It takes none.")
        for key, child in given.items()
        if key not in known
    ]
    values: dict[str, Any] = {}
    for name, option in known.items():
        if name in given:
            values[name], wrong = _check(option, given[name])
            faults += wrong
        elif option.required:
            faults.append(node.fault(f"the option '{name}' is missing; expected {option.expected}.", option.doc))
        else:
            values[name] = option.default
    return values, faults


def _check(option: Option, node: Node) -> tuple[Any, list[Fault]]:
    from pydantic import ValidationError

    value = node.plain()
    if option.annotation is Any:
        return value, []
    try:
        return _adapter(option.annotation).validate_json(json.dumps(value)), []  # YAML's lists may be tuples
    except ValidationError as error:
        details = error.errors(include_url=False)
        if len(details) > 1 or details[0]["type"].endswith("_type"):
            return value, [node.fault(f"expected {option.expected}, received {value!r}.")]
        place = _descend(node, details[0]["loc"])
        expected = details[0]["msg"].replace("Input should be", "expected")
        expected = re.sub("^expected (greater|less)", r"expected a number \1", expected)
        return value, [place.fault(f"{expected}, received {place.plain()!r}.")]


def _descend(node: Node, path: Iterable[int | str]) -> Node:
    for step in path:
        children: dict[int | str, Node] = dict(enumerate(node.value) if isinstance(node.value, list) else node.items())
        if step not in children:
            break
        node = children[step]
    return node


def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticUserError:  # dataclasses and the like bring their own configuration
        return TypeAdapter(annotation)


def _function(component: Callable[..., Any]) -> Callable[..., Any]:
    # A Keras layer's class has a catch-all __new__, so the constructor is asked and not the class.
    return component.__init__ if inspect.isclass(component) else component


def _parameters(component: Callable[..., Any]) -> list[inspect.Parameter]:
    function = _function(component)
    if str(getattr(function, "__module__", "")).startswith("keras."):
        return []  # a layer without a constructor of its own has no options; Keras' are none
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if inspect.isclass(component) else parameters


def _argument_docs(component: Callable[..., Any]) -> dict[str, str]:
    from docstring_parser import parse

    text = inspect.getdoc(component) or ""
    return {p.arg_name: " ".join((p.description or "").split()) for p in parse(text).params}
