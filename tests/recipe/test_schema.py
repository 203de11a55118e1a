"""The JSON schema of recipes: valid itself, true to the recipes there are, and to the signatures."""

import inspect
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mmzoo.build import check
from mmzoo.errors import RecipeError
from mmzoo.recipe.options import CORE_PARAMETERS
from mmzoo.recipe.resolve import KEYS, resolve
from mmzoo.recipe.schema import DESCRIPTIONS, recipe_schema
from mmzoo.recipe.source import parse_recipe, read_recipe
from mmzoo.registry.discovery import discover

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("**/*.yaml"))

RECIPE = """\
name: toy
data: {type: openmoji}
inputs:
  image: {type: image, field: image}
  caption: {type: words, field: name}
encoders:
  image: {type: resnet}
head: {type: gru_captioner, target: caption}
loss: {type: token_cross_entropy}
train: {epochs: 1}
metrics: [exact_match]
"""

HOOKS = "from mmzoo import hookimpl\n@hookimpl\ndef mmzoo_encoders(): return {contributed}"


@pytest.fixture(scope="module")
def installed():
    """The schema over the plugins that are really installed."""
    return recipe_schema(discover())


def faults(schema, text: str) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(parse_recipe(text).root.plain())]


def test_the_schema_is_valid(installed):
    Draft202012Validator.check_schema(installed)
    assert list(installed["properties"]) == list(KEYS) == list(DESCRIPTIONS)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository_are_valid(installed, path):
    Draft202012Validator(installed).validate(read_recipe(path).root.plain())


def test_a_recipe_with_every_default_written_out_is_valid(installed, tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE, "utf-8")
    plain = check(
        tmp_path / "r.yaml", overrides=[f"data.data_dir={tmp_path}", "encoders.image.blocks=[1]", "inputs.image.size=32"]
    ).plan.plain()
    Draft202012Validator(installed).validate(plain)
    assert plain["head"]["type"] == "mmzoo-captioning/gru_captioner"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{type: openmoji}", "openmoji"),
        ("{type: openmoji}", "mmzoo-datasets/openmoji"),
        ("{type: openmoji}", "{type: openmoji, on_error: skip}"),
        ("{type: resnet}", "resnet"),
        ("{type: resnet}", "{type: resnet, strides: null, blocks: [1, 2]}"),
        ("{type: token_cross_entropy}", "token_cross_entropy"),
        ("{type: token_cross_entropy}", "{type: token_cross_entropy, weight: 2, logits: logits}"),
        ("{type: token_cross_entropy}", "[token_cross_entropy, {type: doubly_stochastic, weight: 0.5}]"),
        ("{epochs: 1}", "{optimizer: adam, jit_compile: auto, ema_momentum: 0.9, devices: 2}"),
        ("[exact_match]", "exact_match"),
        ("[exact_match]", "[]"),
    ],
)
def test_a_right_recipe(installed, old, new):
    assert old in RECIPE
    text = RECIPE.replace(old, new)
    assert faults(installed, text) == []
    resolve(parse_recipe(text), discover())


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("name: toy", "nam: toy", "$"),
        ("name: toy", "name: a/b", "$.name"),
        ("{type: openmoji}", "{type: openmojo}", "$.data"),
        ("{type: openmoji}", "{split: random}", "$.data"),
        ("{type: openmoji}", "{type: openmoji, on_error: go on}", "$.data"),
        ("{type: image, field: image}", "{type: image}", "$.inputs.image"),
        ("{type: image, field: image}", "image", "$.inputs.image"),
        ("{type: image, field: image}", "{type: image, field: image, size: 0}", "$.inputs.image"),
        ("{type: image, field: image}", "{type: image, field: image, fit: bend}", "$.inputs.image"),
        ("{type: resnet}", "{type: resnet, features: 3}", "$.encoders.image"),
        ("{type: resnet}", "{type: resnet, blocks: [1, '2']}", "$.encoders.image"),
        ("  image: {type: resnet}", "  {}", "$.encoders"),
        ("{type: gru_captioner, target: caption}", "gru_captioner", "$.head"),
        ("{type: token_cross_entropy}", "[]", "$.loss"),
        ("{type: token_cross_entropy}", "{type: token_cross_entropy, weight: much}", "$.loss"),
        ("{type: token_cross_entropy}", "{type: token_cross_entropy, label_smoothing: 1}", "$.loss"),
        ("{epochs: 1}", "{epochs: 0}", "$.train.epochs"),
        ("{epochs: 1}", "{epochs: '1'}", "$.train.epochs"),
        ("{epochs: 1}", "{epoch: 1}", "$.train"),
        ("{epochs: 1}", "{precision: float16}", "$.train.precision"),
        ("[exact_match]", "[exact_mash]", "$.metrics"),
        ("loss: {type: token_cross_entropy}\n", "", "$"),
    ],
)
def test_a_wrong_recipe(installed, old, new, place):
    assert old in RECIPE
    text = RECIPE.replace(old, new)
    assert place in faults(installed, text)
    with pytest.raises(RecipeError):  # the schema is no stricter than the reading of a recipe
        resolve(parse_recipe(text), discover())


@pytest.mark.parametrize("component", discover().components, ids=lambda c: f"{c.kind}/{c.name}")
def test_every_option_is_there_with_what_its_docstring_says(installed, component):
    made = installed["$defs"][f"{component.kind}.{component.plugin.name}.{component.name}"]
    loaded = component.load()
    parameters = inspect.signature(loaded.__init__ if inspect.isclass(loaded) else loaded).parameters.values()
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in CORE_PARAMETERS}
    assert set(options) <= set(made["properties"])
    assert made["description"] == f"{component.summary()} ({component.plugin})"
    for name, parameter in options.items():
        described = made["properties"][name]["description"]
        assert described.split()[0] in (inspect.getdoc(loaded) or "")
        assert (name in made["required"]) is (parameter.default is parameter.empty)


def test_a_broken_component_keeps_its_name_and_breaks_nothing_else(install_plugin):
    contributed = {"eye": "zz_eye:Eye", "ear": "zz_ear:Ear"}
    ear = "class Ear:\n    '''Hears.'''\n    def __init__(self, *, low: int = 20): ..."
    install_plugin("mmzoo-zz", HOOKS.format(contributed=contributed), zz_eye="import nothing_of_the_kind", zz_ear=ear)
    schema = recipe_schema(discover())
    Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["encoder.mmzoo-zz.eye"]["description"].startswith("encoder 'eye' of mmzoo-zz 0.1 cannot be imported")
    assert faults(schema, RECIPE.replace("{type: resnet}", "{type: eye, size: 3}")) == []
    assert faults(schema, RECIPE.replace("{type: resnet}", "{type: ear, low: 30}")) == []
    assert faults(schema, RECIPE.replace("{type: resnet}", "{type: ear, high: 30}")) == ["$.encoders.image"]


def test_a_name_of_two_plugins_must_say_whose(install_plugin):
    for plugin in ("mmzoo_yy", "mmzoo_zz"):
        module = f"{plugin}_eye"
        install_plugin(plugin, HOOKS.format(contributed={"eye": f"{module}:Eye"}), **{module: "class Eye: ..."})
    schema = recipe_schema(discover())
    assert faults(schema, RECIPE.replace("{type: resnet}", "eye")) == ["$.encoders.image"]
    assert faults(schema, RECIPE.replace("{type: resnet}", "mmzoo_zz/eye")) == []


def test_what_an_options_type_defines_itself_is_found(install_plugin):
    """Two plugins' types of one name, each with a default that JSON does not know."""
    for plugin, key in (("mmzoo_yy", "top"), ("mmzoo_zz", "left")):
        eye = (
            "from pathlib import Path\nfrom typing_extensions import TypedDict\n"
            f"class Crop(TypedDict):\n    {key}: int\n"
            f"class Eye:\n    def __init__(self, *, crops: list[Crop], crop: Crop | None = None, cache: Path = Path('a')): ..."
        )
        install_plugin(plugin, HOOKS.format(contributed={f"eye_{key}": f"{plugin}_eye:Eye"}), **{f"{plugin}_eye": eye})
    schema = recipe_schema(discover())
    Draft202012Validator.check_schema(schema)
    for key, other in (("top", "left"), ("left", "top")):
        recipe = RECIPE.replace("{type: resnet}", f"{{type: eye_{key}, crops: [{{KEY: 1}}]}}")
        assert faults(schema, recipe.replace("KEY", key)) == []
        assert faults(schema, recipe.replace("KEY", other)) == ["$.encoders.image"]
