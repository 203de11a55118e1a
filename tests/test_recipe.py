"""A recipe's text is read with its places, and what breaks the rules is said where it stands."""

import pytest

from mmzoo.errors import RecipeError
from mmzoo.recipe import parse_recipe


def fault(text: str) -> str:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(text, "r.yaml")
    return str(raised.value)


def test_a_value_knows_its_line_and_column():
    root = parse_recipe("name: a\ntrain: {epochs: 3}\n", "r.yaml").root
    assert root.value["train"].value["epochs"].where == "r.yaml:2:17"
    assert root.plain() == {"name": "a", "train": {"epochs": 3}}


def test_yaml_1_2_scalars():
    assert parse_recipe("a: no\nb: 1e-3\nc: ~").root.plain() == {"a": "no", "b": 0.001, "c": None}


def test_set_replaces_and_adds():
    recipe = parse_recipe("train: {epochs: 3}", overrides=("train.epochs=1", "data.type=files"))
    assert recipe.root.plain() == {"train": {"epochs": 1}, "data": {"type": "files"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "r.yaml  the recipe is empty.\n  See recipes/openmoji/captioner.yaml for one."),
        ("- a", "r.yaml:1:1  a recipe is a mapping of keys to values, found a list."),
        ("a: 1\na: 2", "r.yaml:2:1  a: the key stands twice, first at r.yaml:1:4."),
        ("a: &x [1]\nb: *x", "r.yaml:1:4  anchors and aliases are not read ('x').\n  Write the value out."),
        ("a: !!python/name:os.system x", "r.yaml:1:4  a: the YAML tag '!!python/name:os.system' is not read.\n  Write a plain value."),
    ],
)
def test_bad_text(text, said):
    assert fault(text) == said
