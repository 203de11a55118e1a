"""Options of components: reads them from signatures, and binds a recipe's values to them.

The options of a component are its keyword-only, annotated parameters. Pydantic checks the values strictly against the
annotations (`'8'` is not an int); ranges come from `annotated_types`. There is no second schema: the JSON schema for
editors and the help of `mmzoo show` are made from the same signature.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmzoo.contracts.option_types import PARTS, Reference
from mmzoo.errors import Fault, PluginError, nearest, suggest
from mmzoo.recipe.source import Node

MISSING: Any = inspect.Parameter.empty
"""Marks a missing default or annotation."""

CORE_PARAMETERS = ("features", "inputs", "backbone_config", "predict", "known_labels", "training_examples")
"""Parameters that the core fills in and that a recipe cannot set: `features` and `inputs` describe the data, `backbone_config`
comes from the run folder, `predict` calls the served model, `known_labels` are the labels that it can answer, and
`training_examples` reads the training split."""


@dataclass(frozen=True)
class Option:
    """One option of a component.

    Args:
        name: Its name.
        annotation: Its type and range.
        default: Its default, or `MISSING` if it is required.
        doc: Its description in the component's docstring.
    """

    name: str
    annotation: Any
    default: Any
    doc: str = ""

    @property
    def required(self) -> bool:
        """Whether a recipe must set it."""
        return self.default is MISSING

    @property
    def type_name(self) -> str:
        """Its type, formatted for people: `int > 0`."""
        return type_name(self.annotation)

    @property
    def refers_to(self) -> str:
        """What its value must name in the recipe, such as `inputs` or `encoder`; empty if the value is not a reference."""
        union = get_origin(self.annotation) in (Union, UnionType)
        types = get_args(self.annotation) if union else (self.annotation,)
        marks = (mark for kind in types for mark in getattr(kind, "__metadata__", ()))
        return next((mark.to for mark in marks if isinstance(mark, Reference)), "")

    @property
    def expected(self) -> str:
        """What a recipe must write, for messages."""
        return f"the {self.refers_to}'s name" if self.refers_to in PARTS else self.type_name

    def schema(self) -> dict[str, Any]:
        """Returns its JSON schema."""
        from pydantic import PydanticSchemaGenerationError, PydanticUserError

        try:
            schema = _adapter(self.annotation).json_schema()
        except (PydanticUserError, PydanticSchemaGenerationError):
            schema = {}
        if self.default is not MISSING:
            schema["default"] = self.default
        return schema | ({"description": self.doc} if self.doc else {})


def type_name(annotation: Any) -> str:
    """Formats a type without module names: `typing.Annotated[int, Gt(gt=0)]` -> `int > 0`."""
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
    """Returns the options of a component: its parameters after `*`, without those that the core fills in.

    Raises:
        PluginError: The component is not a function or class, or an annotation cannot be evaluated.
    """
    try:
        hints = get_type_hints(_function(component), include_extras=True)
    except Exception as error:  # evaluating an annotation may raise anything
        name = getattr(component, "__qualname__", repr(component))
        what = f"the options of '{name}' cannot be read: {type(error).__name__}: {error}."
        raise PluginError(f"{what}\nReport this to the authors of the plugin.") from error
    docs = _argument_docs(component)
    return tuple(
        Option(p.name, hints.get(p.name, Any), p.default, docs.get(p.name, ""))
        for p in _parameters(component)
        if p.kind is p.KEYWORD_ONLY and p.name not in CORE_PARAMETERS
    )


def tensors_of(function: Callable[..., Any]) -> dict[str, bool]:
    """Returns the tensors that a function takes, its parameters before `*`: name -> whether it is required."""
    tensors = [p for p in _parameters(function) if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return {p.name: p.default is MISSING for p in tensors}


def core_parameters_of(component: Callable[..., Any]) -> frozenset[str]:
    """Returns which of the parameters that the core fills in a component takes."""
    return frozenset(p.name for p in _parameters(component)) & frozenset(CORE_PARAMETERS)


def bind(options: Iterable[Option], node: Node, ignore: Iterable[str] = ()) -> tuple[dict[str, Any], list[Fault]]:
    """Binds the values of a mapping to options.

    Args:
        options: The options that may be set.
        node: A mapping. A scalar, which is a bare component name, sets no option.
        ignore: Keys of the mapping that are not options, such as `type`.

    Returns:
        The value of every option, defaults filled in, and all faults found.
    """
    known = {option.name: option for option in options}
    given = {key: child for key, child in node.items() if key not in set(ignore)}
    faults = [
        child.key_fault("there is no such option.", suggest(key, known) or "It takes no options.")
        for key, child in given.items()
        if key not in known
    ]
    values: dict[str, Any] = {}
    for name, option in known.items():
        if name in given:
            values[name], value_faults = _check(option, given[name])
            faults += value_faults
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
        return _adapter(option.annotation).validate_json(json.dumps(value)), []  # from JSON, a list is accepted for a tuple
    except ValidationError as error:
        details = error.errors(include_url=False)
        named = all(detail["type"] == "literal_error" for detail in details)  # each wrong name of a list is a fault
        if not named and (len(details) > 1 or details[0]["type"].endswith("_type")):
            return value, [node.fault(f"expected {option.expected}, received {value!r}.")]
        return value, [_fault(_descend(node, detail["loc"]), detail["msg"]) for detail in details]


def _fault(node: Node, message: str) -> Fault:
    """Returns pydantic's message as a fault; of a name that is none of several, with the nearest of them."""
    expected = re.sub("^expected (greater|less)", r"expected a number \1", message.replace("Input should be", "expected"))
    value = node.plain()
    near = nearest(value, re.findall("'(.*?)'", expected)) if isinstance(value, str) else []
    return node.fault(f"{expected}, received {value!r}.", f"Nearest: {', '.join(near)}." if near else "")


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
    except PydanticUserError:  # pydantic refuses a configuration for dataclasses and the like
        return TypeAdapter(annotation)


def _function(component: Callable[..., Any]) -> Callable[..., Any]:
    # The signature of a Keras layer's class is that of its catch-all __new__, so the constructor is read instead.
    return component.__init__ if inspect.isclass(component) else component


def _parameters(component: Callable[..., Any]) -> list[inspect.Parameter]:
    function = _function(component)
    if str(getattr(function, "__module__", "")).startswith("keras."):
        return []  # a layer that inherits Keras' constructor has no options
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if inspect.isclass(component) else parameters


def _argument_docs(component: Callable[..., Any]) -> dict[str, str]:
    from docstring_parser import parse

    text = inspect.getdoc(component) or ""
    return {p.arg_name: " ".join((p.description or "").split()) for p in parse(text).params}
