"""A name of a recipe works wherever it stands in for something, or is refused with what is wrong with it."""

import re

import pytest

from mmzoo.recipe.names import NAME, fault_of_input_name, fault_of_name


@pytest.mark.parametrize("name", ["image", "A", "a_1", "图片", "été", "हिन्दी", "caption_2", "logits", "class_", "x" * 80])
def test_an_input_may_have_letters_of_any_script(name):
    assert fault_of_input_name(name) is None


@pytest.mark.parametrize(
    "name", ["", "?", "0", "_a", "my image", "a.b", "a-b", "/etc/x", "../x", "a@mask", "a:b", "a=b", "--a", "\n", "a\0", "😀"]
)
def test_an_input_has_no_name_that_is_a_path_or_an_option_or_two_words(name):
    what = f"expected a name of letters, digits and '_' that begins with a letter, received {name!r}."
    assert fault_of_input_name(name) == (what, "")


def test_a_name_of_an_input_is_no_keyword_no_folder_too_long_and_in_one_form():
    assert fault_of_input_name("class")[1] == "It cannot be a keyword of Python."
    assert fault_of_input_name("图" * 27)[0].endswith(f"received '{'图' * 27}'.")
    assert fault_of_input_name("e\u0301") == (
        "expected a name in Unicode's normal form C, received 'e\\u0301'.",
        "Write '\\xe9'.",
    )


@pytest.mark.parametrize("name", ["ok", "reason", "step", "references", "signature", "self", "json", "help"])
def test_an_input_has_no_name_that_mmzoo_uses_beside_it(name):
    what, advice = fault_of_input_name(name)
    assert re.fullmatch("an input cannot have this name: .+ under it.", what)
    assert advice == "Give the input another name."


@pytest.mark.parametrize("name", ["toy", "a.b-c_d", "3d", "图片", "v1.0", "été"])
def test_a_run_may_have_a_name_of_any_script(name):
    assert fault_of_name(name) is None
    assert re.fullmatch(NAME, name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-x", "_x", "a/b", "a b", "a\u3000b", "a\\b", "a:b", "a\0", "a[b", "a^b", "x" * 81, 3, None, ["a"]]
)
def test_a_run_has_no_name_that_is_no_folder(name):
    what, advice = fault_of_name(name)
    assert what.startswith("expected a name of letters, digits, '.', '_' and '-', received ")
    assert advice == "It becomes the name of the run's folder."
