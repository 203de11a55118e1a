"""Catalog -> JSON schema of recipes, made from the components' signatures, so that editors complete and check a recipe."""

import json
from collections.abc import Iterable
from typing import Any

from mmzoo.errors import PluginError
from mmzoo.recipe.options import Option, options_of
from mmzoo.recipe.own_keys import own_keys, settings_of
from mmzoo.recipe.resolve import KEYS, NAME, REQUIRED
from mmzoo.recipe.settings import Export, Train
from mmzoo.registry.catalog import Catalog, Component
from mmzoo.registry.hookspecs import KINDS

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIPTIONS = {
    "name": "Names the run: its folder is runs/<name>.",
    "about": "What the recipe shows, for people.",
    "data": "Where the examples come from.",
    "inputs": "The columns: each reads a field of the data set through a processor.",
    "encoders": "By input: what turns it into a stream. An input without one is a target.",
    "fusion": "What layers or aligns the streams; none leaves them as they are.",
    "head": "What answers.",
    "loss": "What the training makes small; several are summed with their weights.",
    "train": "How the task is trained.",
    "metrics": "What scores the answers on the held-out split.",
    "export": "How the trained model is exported.",
}
"""What editors say of each key of a recipe."""


def recipe_schema(catalog: Catalog) -> Schema:
    """Makes the JSON schema, draft 2020-12, of recipes over the components of a catalog.

    A component that cannot be imported keeps its name, any options are let pass, and its description says why.
    """
    definitions: Schema = {}
    for kind in KINDS:
        components = catalog.of(kind)
        definitions |= {
            _key(component): _component(component, _names(component, components), definitions) for component in components
        }
        definitions[kind] = _any_of(kind, components, definitions)
    return {
        "$schema": DIALECT,
        "title": "mmzoo recipe",
        "type": "object",
        "properties": _properties(definitions),
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _properties(definitions: Schema) -> Schema:
    found = {
        "name": {"type": "string", "pattern": f"^{NAME}$"},
        "about": {"type": "string"},
        "data": _ref("dataset"),
        "inputs": _each("processor"),
        "encoders": _each("encoder"),
        "fusion": {"anyOf": [_ref("fusion"), {"type": "null"}]},
        "head": _ref("head"),
        "loss": _one_or_more("loss", least=1),
        "train": _object(settings_of(Train), "train", definitions),
        "metrics": _one_or_more("metric"),
        "export": _object(settings_of(Export), "export", definitions),
    }
    return {key: {"description": DESCRIPTIONS[key], **found[key]} for key in KEYS}


def _each(kind: str) -> Schema:
    return {"type": "object", "additionalProperties": _ref(kind), "minProperties": 1}


def _one_or_more(kind: str, least: int = 0) -> Schema:
    return {"anyOf": [_ref(kind), {"type": "array", "items": _ref(kind), "minItems": least}]}


def _ref(key: str) -> Schema:
    return {"$ref": f"#/$defs/{key}"}


def _key(component: Component) -> str:
    return f"{component.kind}.{component.plugin.name}.{component.name}"


def _names(component: Component, all_of_kind: Iterable[Component]) -> list[str]:
    """Lists how a recipe may name a component: by its name alone only if no other plugin offers that."""
    alone = [other.name for other in all_of_kind].count(component.name) == 1
    return [*([component.name] if alone else []), f"{component.plugin.name}/{component.name}"]


def _any_of(kind: str, components: Iterable[Component], definitions: Schema) -> Schema:
    made = {_key(component): definitions[_key(component)] for component in components}
    if not made:
        return {"not": {}, "description": f"No installed plugin offers a {kind}."}
    # A component that needs no options may stand as its name alone.
    bare = [name for one in made.values() if one["required"] == ["type"] for name in one["properties"]["type"]["enum"]]
    return {"anyOf": [*([{"enum": bare}] if bare else []), *map(_ref, made)]}


def _component(component: Component, names: list[str], definitions: Schema) -> Schema:
    try:
        options = [*own_keys(component), *options_of(component.load())]
    except PluginError as error:
        made: Schema = {"type": "object", "properties": {}, "required": [], "description": str(error)}
    else:
        made = _object(options, _key(component), definitions)
        made["description"] = f"{component.summary()} ({component.plugin})".strip()
    made["properties"] = {"type": {"enum": names}} | made["properties"]
    made["required"] = ["type", *made["required"]]
    return made


def _object(options: Iterable[Option], key: str, definitions: Schema) -> Schema:
    properties = {option.name: _option(option, f"{key}.{option.name}", definitions) for option in options}
    required = [option.name for option in options if option.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _option(option: Option, key: str, definitions: Schema) -> Schema:
    """Makes an option's schema; what that defines itself moves to the definitions, under a name of its own."""
    text = json.dumps(option.schema(), default=str).replace('"#/$defs/', f'"#/$defs/{key}.')
    made = json.loads(text)
    definitions |= {f"{key}.{name}": schema for name, schema in made.pop("$defs", {}).items()}
    return made
