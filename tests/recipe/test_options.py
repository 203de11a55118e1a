"""A component's signature is its schema: what it takes, how strictly, and what is said of a wrong value."""

from typing import Annotated, Any, Literal

import pytest

from mmzoo.contracts.option_types import (
    EncoderPart,
    Fraction,
    InputName,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ProcessorPart,
    Rate,
    Reference,
)
from mmzoo.recipe.options import MISSING, bind, core_parameters_of, options_of, tensors_of, type_name
from mmzoo.recipe.source import Node, parse_recipe


class Part:
    """Joins.

    Args:
        features: What is known of the input.
        dim: Size of what is given,
            in numbers.
        rate: Share that is dropped.
    """

    def __init__(self, *, features: Any = None, dim: PositiveInt, rate: Rate = 0.5, **kwargs: Any):
        pass


def loss(scores: Any, labels: Any, *, margin: PositiveFloat = 1.0, inputs: Any = None) -> Any:
    """Compares."""


def node(yaml: str) -> Node:
    return parse_recipe(f"part: {yaml}", "r.yaml").root.value["part"]


def bound(annotation: Any, yaml: str, default: Any = MISSING) -> tuple[Any, str]:
    """Binds a value to the one option `x`; gives the value and what is said of it."""

    def part(*, x: Any = default) -> None: ...

    part.__annotations__["x"] = annotation
    values, faults = bind(options_of(part), node("{x: %s}" % yaml))  # noqa: UP031  # the braces are YAML's
    return values.get("x"), "\n".join(map(str, faults))


def test_options_are_keyword_only_parameters_without_those_that_the_core_supplies():
    dim, rate = options_of(Part)
    assert (dim.name, dim.required, dim.type_name, dim.doc) == ("dim", True, "int > 0", "Size of what is given, in numbers.")
    assert (rate.name, rate.required, rate.default, rate.type_name) == ("rate", False, 0.5, "float >= 0 and < 1")
    assert core_parameters_of(Part) == {"features"}


def test_tensors_stand_before_the_star():
    assert tensors_of(loss) == {"scores": True, "labels": True}
    assert [option.name for option in options_of(loss)] == ["margin"]
    assert core_parameters_of(loss) == {"inputs"}


def test_a_component_without_options_takes_none():
    class Plain:
        pass

    assert options_of(Plain) == ()
    assert [str(f) for f in bind((), node("{type: plain, size: 3}"), ignore=["type"])[1]] == [
        "r.yaml:1:21  part.size: there is no such option.\n  It takes no options."
    ]


@pytest.mark.parametrize(
    ("annotation", "yaml", "value"),
    [
        (int, "8", 8),
        (float, "8", 8.0),
        (float, "1e-3", 0.001),
        (bool, "true", True),
        (str, "'8'", "8"),
        (PositiveInt | None, "null", None),
        (bool | Literal["auto"], "auto", "auto"),
        (list[PositiveInt], "[1, 2]", [1, 2]),
        (dict[str, Any], "{a: [1]}", {"a": [1]}),
        (str | dict[str, Any], "adam", "adam"),
        (Any, "[1, x]", [1, "x"]),
        (NonNegativeInt, "0", 0),
        (Fraction, "1", 1.0),
        (Rate, "0", 0.0),
        (Annotated[PositiveInt, Reference("inputs")], "3", 3),
    ],
)
def test_what_fits(annotation, yaml, value):
    found, said = bound(annotation, yaml)
    assert not said
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "yaml", "said"),
    [
        (int, "'8'", "part.x: expected int, received '8'."),
        (int, "8x8", "part.x: expected int, received '8x8'."),
        (int, "true", "part.x: expected int, received True."),
        (int, "8.5", "part.x: expected int, received 8.5."),
        (float, "'1'", "part.x: expected float, received '1'."),
        (bool, "1", "part.x: expected bool, received 1."),
        (bool, "yes", "part.x: expected bool, received 'yes'."),
        (str, "8", "part.x: expected str, received 8."),
        (PositiveInt, "0", "part.x: expected a number greater than 0, received 0."),
        (Rate, "1", "part.x: expected a number less than 1, received 1."),
        (Fraction, "1.5", "part.x: expected a number less than or equal to 1, received 1.5."),
        (PositiveInt | None, "'3'", "part.x: expected int > 0 | None, received '3'."),
        (PositiveInt | Literal["auto"], "no", "part.x: expected int > 0 | 'auto', received 'no'."),
        (Literal["a", "b"], "c", "part.x: expected 'a' or 'b', received 'c'."),
        (dict[str, int], "[1]", "part.x: expected dict[str, int], received [1]."),
        (list[int], "3", "part.x: expected list[int], received 3."),
        (Literal["near", "far"], "neer", "part.x: expected 'near' or 'far', received 'neer'.\n  Nearest: near."),
        (list[int], "[1, x]", "part.x: expected list[int], received [1, 'x']."),
    ],
)
def test_what_does_not_fit(annotation, yaml, said):
    assert bound(annotation, yaml)[1] == f"r.yaml:1:11  {said}"


def test_a_fault_in_a_list_stands_at_the_element():
    assert bound(list[PositiveInt], "[1, 2, 0]")[1] == "r.yaml:1:18  part.x[2]: expected a number greater than 0, received 0."


def test_each_wrong_name_in_a_list_is_a_fault():
    _, said = bound(list[Literal["a", "b"]], "[c, a, d]")
    assert said == (
        "r.yaml:1:12  part.x[0]: expected 'a' or 'b', received 'c'.\nr.yaml:1:18  part.x[2]: expected 'a' or 'b', received 'd'."
    )


def test_a_missing_option_is_said_with_its_type_and_meaning():
    _, faults = bind(options_of(Part), node("part"))
    assert list(map(str, faults)) == [
        "r.yaml:1:7  part: the option 'dim' is missing; expected int > 0.\n  Size of what is given, in numbers."
    ]


def test_an_unknown_option_is_said_with_the_nearest_and_all():
    values, faults = bind(options_of(Part), node("{dim: 3, rat: 0.1}"))
    assert [str(f) for f in faults] == ["r.yaml:1:16  part.rat: there is no such option.\n  Nearest: rate. Known: dim, rate."]
    assert values == {"dim": 3, "rate": 0.5}


def test_all_faults_are_found_at_once():
    _, faults = bind(options_of(Part), node("{rat: 0.1, rate: x, dim: 0}"))
    assert [f.key for f in faults] == ["part.rat", "part.dim", "part.rate"]


def test_a_reference_names_what_its_value_must_name():
    def head(*, target: InputName, size: PositiveInt = 1) -> None: ...

    assert [option.refers_to for option in options_of(head)] == ["inputs", ""]


@pytest.mark.parametrize(("annotation", "kind"), [(EncoderPart, "encoder"), (ProcessorPart | None, "processor")])
def test_a_part_is_one_even_if_there_may_be_none(annotation, kind):
    def part(*, x: Any = None) -> None: ...

    part.__annotations__["x"] = annotation
    (option,) = options_of(part)
    assert option.refers_to == kind
    assert bound(annotation, "5")[1] == f"r.yaml:1:11  part.x: expected the {kind}'s name, received 5."
    assert bind([option], node("part")) == ({"x": None}, [])


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "int"),
        (None, "None"),
        (Any, "Any"),
        (PositiveInt | None, "int > 0 | None"),
        (list[PositiveFloat], "list[float > 0]"),
        (dict[str, Any], "dict[str, Any]"),
        (Literal["a", 2], "'a' | 2"),
        (Fraction, "float >= 0 and <= 1"),
    ],
)
def test_types_as_a_person_writes_them(annotation, name):
    assert type_name(annotation) == name


@pytest.mark.parametrize(
    ("annotation", "default", "schema"),
    [
        (PositiveInt, 3, {"type": "integer", "exclusiveMinimum": 0, "default": 3}),
        (Fraction, MISSING, {"type": "number", "minimum": 0, "maximum": 1}),
        (Literal["a", "b"], "a", {"type": "string", "enum": ["a", "b"], "default": "a"}),
        (list[int], MISSING, {"type": "array", "items": {"type": "integer"}}),
        (
            EncoderPart | None,
            None,
            {
                "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}, {"type": "null"}],
                "default": None,
            },
        ),
    ],
)
def test_json_schema(annotation, default, schema):
    def part(*, x: Any = default) -> None: ...

    part.__annotations__["x"] = annotation
    (option,) = options_of(part)
    assert option.schema() == schema
