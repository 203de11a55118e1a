"""A recipe's text is read with its places, and what breaks the rules is said where it stands."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmzoo.errors import MmzooError, RecipeError
from mmzoo.recipe.source import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Node, Recipe, parse_recipe, read_recipe, to_node


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
        ("", "r.yaml:1:1  the recipe is empty.\n  See recipes/openmoji/captioner.yaml for an example."),
        ("- a", "r.yaml:1:1  a recipe is a mapping of keys to values, found a list."),
        ("a: 1\na: 2", "r.yaml:2:1  a: the key is given twice, first at r.yaml:1:4."),
        ("a: &x [1]\nb: *x", "r.yaml:1:4  anchors and aliases are not allowed ('x').\n  Write the value out."),
        ("text", "r.yaml:1:1  a recipe is a mapping of keys to values, found a str."),
        ("a:\n  b: 1\n  b: 2\na: 3", "r.yaml:3:3  a.b: the key is given twice, first at r.yaml:2:6.\n"
         "r.yaml:4:1  a: the key is given twice, first at r.yaml:2:3."),
        ("a: [*x]", "r.yaml:1:5  anchors and aliases are not allowed ('x').\n  Write the value out."),
        ("a: {b: !x 1}", "r.yaml:1:8  a.b: the YAML tag '!x' is not allowed.\n  Write a plain value."),
        ("a: !!set {b}", "r.yaml:1:4  a: the YAML tag '!!set' is not allowed.\n  Write a plain value."),
        ("a: !!python/name:os.system x",
         "r.yaml:1:4  a: the YAML tag '!!python/name:os.system' is not allowed.\n  Write a plain value."),
        ("a: !!int '[1]'", "r.yaml:1:4  a: '[1]' is not a valid value of the YAML tag '!!int'."),
        ("a: !!int '*x'", "r.yaml:1:4  a: '*x' is not a valid value of the YAML tag '!!int'."),
        ("a: " + "9" * 5000, "r.yaml:1:4  a: '99999999999999999999...' is not a valid value of the YAML tag '!!int'."),
        ("a: [-9223372036854775807, -9223372036854775808]",
         "r.yaml:1:27  a[1]: expected a number of at most 64 bits, received one of 64."),
        ("a: [" + "1," * MAX_VALUES + "]", f"r.yaml:1:{2 * MAX_VALUES - 1}  the recipe has more than 10,000 values."),
        ("a: [1", "r.yaml:1:6  this is not valid YAML: expected ',' or ']', but got '<stream end>'."),
        ("a: 1\n\tb: 2", "r.yaml:2:1  this is not valid YAML: found character '\\t' that cannot start any token."),
        ("a: 1\n---\nb: 2", "r.yaml:2:1  this is not valid YAML: but found another document."),
        ("a: 1\nb: \x00",
         "r.yaml:2:4  this is not valid YAML: unacceptable character #x0000: special characters are not allowed."),
        ("a: 1\n\"b\\U00110000\": 2", r"r.yaml:2:5  this is not valid YAML: the escape '\U00110000' is no character."),
        ("a: 1\nb: \"\n  c\\Uffffffff\"", r"r.yaml:3:6  this is not valid YAML: the escape '\Uffffffff' is no character."),
        ('a: "\\x4"', "r.yaml:1:7  this is not valid YAML: expected escape sequence of 2 hexdecimal numbers, but found '\"'."),
        ('a: {"b\\ud83d": 1}',
         r"r.yaml:1:5  a: this is not valid text: it has an escape '\uD800' to '\uDFFF', half a character."),
        (r'a: "b\0"', "r.yaml:1:4  a: this is not valid text: it has the escape of NUL, which no name, path or text has."),
        ("a: [-3.4e38, -3.5e38]",
         "r.yaml:1:14  a[1]: expected a number of at most 3.4e+38, which float32 holds, received -3.5e38."),
        ("a: \ud800",
         "r.yaml:1:4  this is not valid YAML: unacceptable character #xd800: special characters are not allowed."),
        ("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, f"r.yaml:1:{MAX_DEPTH + 3}  values are nested more than {MAX_DEPTH} deep."),
        ("é" * MAX_BYTES, f"r.yaml:1:1  the recipe has {2 * MAX_BYTES} bytes; at most {MAX_BYTES} are read."),
    ],
)  # fmt: skip
def test_bad_text(text, said):
    assert fault(text) == said


def test_an_alias_bomb_is_refused_before_it_grows():
    lines = ["a0: &a0 [x, x]", *[f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]]
    assert fault("\n".join(lines)) == "r.yaml:1:5  anchors and aliases are not allowed ('a0').\n  Write the value out."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("'8'", "8"),
        ("-1.5e3", -1500.0),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("True", True),
        ("on", "on"),
        ("null", None),
        ("", None),
        ("2024-01-31", "2024-01-31"),
        ("12:30", "12:30"),
        ("1_000", 1000),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("[a, {b: c}]", ["a", {"b": "c"}]),
        ("!!str 8", "8"),
        (r'"\ud83d\ude00 \U0001f600"', "😀 😀"),
    ],
)
def test_values(text, value):
    found = parse_recipe(f"a: {text}").root.plain()["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [".nan", "-.inf", "1e400"])
def test_a_number_is_finite(value):
    with pytest.raises(RecipeError) as raised:
        parse_recipe(f"a: [{value}]", "r.yaml")
    assert str(raised.value) == f"r.yaml:1:5  a[0]: expected a finite number, received {value}."


def test_keys_and_elements_know_their_paths_and_places():
    root = parse_recipe("loss:\n  - gap\n  - {type: spread,\n     weight: 2}", "r.yaml").root
    weight = root.value["loss"].value[1].value["weight"]
    assert (weight.key, weight.where, weight.key_where) == ("loss[1].weight", "r.yaml:4:14", "r.yaml:4:6")
    assert str(weight.fault("it fails.")) == "r.yaml:4:14  loss[1].weight: it fails."
    assert str(weight.key_fault("it fails.")) == "r.yaml:4:6  loss[1].weight: it fails."


@pytest.mark.parametrize(
    ("override", "plain"),
    [
        ("a.b=2", {"a": {"b": 2, "c": [1]}}),
        ("a.d.e=x", {"a": {"b": 1, "c": [1], "d": {"e": "x"}}}),
        ("a=null", {"a": None}),
        ("a=", {"a": None}),
        ("a={b: [1, 2]}", {"a": {"b": [1, 2]}}),
        ("a.b=x=y", {"a": {"b": "x=y", "c": [1]}}),
        ("b='8'", {"a": {"b": 1, "c": [1]}, "b": "8"}),
    ],
)
def test_set(override, plain):
    assert parse_recipe("a: {b: 1, c: [1]}", overrides=(override,)).root.plain() == plain


def test_set_is_done_in_order_and_leaves_the_text():
    recipe = parse_recipe("a: 1", overrides=("a=2", "a=3"))
    assert (recipe.root.plain(), recipe.text) == ({"a": 3}, "a: 1")


@pytest.mark.parametrize("override", ["a", "=3", ""])
def test_set_without_key_or_value(override):
    with pytest.raises(MmzooError, match=r"expected KEY=VALUE, for example --set train\.epochs=1"):
        parse_recipe("a: 1", overrides=(override,))


@pytest.mark.parametrize("override", ["a.b=1", "a.b.c=1"])
def test_set_below_a_scalar(override):
    with pytest.raises(RecipeError, match=r"'a' is 1, which has no 'b'\."):
        parse_recipe("a: 1", overrides=(override,))


def test_set_to_what_is_no_yaml():
    with pytest.raises(RecipeError, match="this is not valid YAML"):
        parse_recipe("a: 1", overrides=("a=[1",))


def test_a_recipe_is_read_from_its_file(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: é\n", "utf-8")
    recipe = read_recipe(path, ("b=1",))
    assert (recipe.text, recipe.path, recipe.root.plain()) == ("name: é\n", str(path), {"name": "é", "b": 1})


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "there.yaml").write_bytes(b"a: \xff")
    for path, said in {
        tmp_path: f"{tmp_path}  this is a folder, not a recipe.\n  Give the path of a YAML file in it.",
        tmp_path / "gone.yaml": f"{tmp_path}/gone.yaml  there is no such file.\n  Recipes there: {tmp_path}/there.yaml.",
        tmp_path / "no" / "gone.yaml": f"{tmp_path}/no/gone.yaml  there is no such file.\n  Give the path of a YAML file.",
        tmp_path
        / "there.yaml": f"{tmp_path}/there.yaml:1:4  the file is not UTF-8 text (byte 3).\n  Save the recipe as UTF-8.",
        tmp_path / "there.yaml" / "x": f"{tmp_path}/there.yaml/x  the file cannot be read: Not a directory.",
    }.items():
        with pytest.raises(RecipeError) as raised:
            read_recipe(path)
        assert str(raised.value) == said


YAML_LIKE = st.text(st.sampled_from("ab:?-[]{},&*!|>'\"#%@` \n\t0123456789.~<=_eoxf\u00e9\ufeff\x85"), max_size=60)


@given(st.text(max_size=200) | YAML_LIKE)
@example("%YAML 1.1\n---\na: 1_0:30")
@example("? {a: b}\n: c")
@example("<<: {a: 1}")
@example("a: !!float x")
@example("a: !!timestamp [x]")
@example("a: !!bool x")
@example("!!map x")
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_recipe_or_a_recipe_error(text):
    try:
        found = parse_recipe(text)
    except RecipeError as error:
        found = error
    if isinstance(found, Recipe):
        assert isinstance(found.root.plain(), dict)
    else:
        assert found.faults
        assert all(fault.what for fault in found.faults)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4))
@settings(deadline=None)
def test_plain_data_that_stands_at_one_place_comes_back(data):
    root = to_node(data, "plan.json")
    assert root.plain() == data
    assert isinstance(root, Node)
