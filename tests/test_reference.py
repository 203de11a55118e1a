"""The reference of recipes, the last part of docs/recipes.md, says what the components' signatures say."""

import inspect
from pathlib import Path

from mmzoo.recipe.component_keys import component_keys, settings_of
from mmzoo.recipe.options import Option, options_of
from mmzoo.recipe.resolve import KEYS, REQUIRED
from mmzoo.recipe.schema import DESCRIPTIONS
from mmzoo.recipe.settings import Evaluate, Export, Train
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.registry.hookspecs import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recipes.md"
GENERATED = "<!-- From here on `pytest tests/test_reference.py --refresh-goldens` writes this page. -->\n"


def reference(catalog: Catalog) -> str:
    """Writes the keys of a recipe and every component's options as Markdown."""
    keys = table(["key", "", "what it says"], [[f"`{k}`", "required" if k in REQUIRED else "", DESCRIPTIONS[k]] for k in KEYS])
    parts = [f"## Keys\n\n{keys}"]
    for name, settings in (("train", Train), ("evaluate", Evaluate), ("export", Export)):
        parts.append(f"## `{name}`\n\n{options(settings_of(settings))}")
    plugins = {path.name for path in ROOT.glob("plugins/*")}
    for component in (c for kind in KINDS for c in catalog.of(kind) if c.plugin.name in plugins):
        loaded = component.load()
        about = inspect.getdoc(loaded).partition("\nArgs:")[0].rstrip()
        found = options([*component_keys(component), *options_of(loaded)])
        parts.append(f"## {component.kind} `{component.name}`\n\n{about}\n\nFrom {component.plugin.name}.\n\n{found}")
    return "\n".join(parts)


def options(found: list[Option]) -> str:
    rows = [[f"`{o.name}`", f"`{o.type_name}`", "required" if o.required else f"`{o.default}`", o.doc] for o in found]
    return table(["option", "type", "default", "what it does"], rows) if rows else "It has no options.\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def test_the_reference_of_recipes_is_current(request):
    """Options, types, defaults and docstrings are those of the installed plugins."""
    text = PAGE.read_text("utf-8")
    expected = f"{text.partition(GENERATED)[0].rstrip()}\n\n{GENERATED}\n{reference(discover())}"
    if request.config.getoption("--refresh-goldens"):
        PAGE.write_text(expected, "utf-8")
    assert PAGE.read_text("utf-8") == expected
