"""How messages are laid out, and how names are suggested."""

import pytest

from mmzoo import errors
from mmzoo.errors import Fault, MmzooError, RecipeError, nearest, suggest


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("r.yaml:7:17", "encoders.image", "it fails.", "Mend it."), "r.yaml:7:17  encoders.image: it fails.\n  Mend it."),
        (Fault("r.yaml", "", "it fails.", "Mend it."), "r.yaml  it fails.\n  Mend it."),
        (Fault("r.yaml:1:1", "name", "it fails."), "r.yaml:1:1  name: it fails."),
    ],
)
def test_a_fault_says_where_what_and_what_to_do(fault, text):
    assert str(fault) == text


def test_a_recipe_error_says_all_its_faults():
    error = RecipeError(iter([Fault("a:1:1", "x", "one."), Fault("a:2:1", "y", "two.")]))
    assert str(error) == "a:1:1  x: one.\na:2:1  y: two."
    assert [fault.key for fault in error.faults] == ["x", "y"]


def test_every_error_is_the_users_to_mend():
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) > 5
    assert all(issubclass(error, MmzooError) for error in found)


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("resnett", ["resnet", "vit"], ["resnet"]),
        ("resnet", ["resnet1", "resnet2", "resnet3", "resnet4"], ["resnet4", "resnet3", "resnet2"]),
        ("xyz", ["resnet", "vit"], []),
        ("xyz", [], []),
    ],
)
def test_nearest_names(name, known, near):
    assert nearest(name, known) == near


@pytest.mark.parametrize(
    ("name", "known", "advice"),
    [
        ("epoch", ["epochs", "batch"], "Nearest: epochs. Known: epochs, batch."),
        ("xyz", ["epochs", "batch"], "Known: epochs, batch."),
        ("epoch", ["epochs", *"abcdefghijkl"], "Nearest: epochs. Known: epochs, a, b, c, d, e, f, g, h, i, j, k, l."),
        ("epoch", ["epochs", *"abcdefghijklm"], "Nearest: epochs."),
        ("xyz", [], ""),
    ],
)
def test_all_names_are_said_if_they_are_few_enough(name, known, advice):
    assert suggest(name, (one for one in known)) == advice
