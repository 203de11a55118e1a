"""Catalog -> JSON schema of recipes, from the components' signatures, for completion and checks in an editor."""

import json
from collections.abc import Iterable
from typing import Any

from mmzoo.errors import PluginError
from mmzoo.recipe.component_keys import component_keys, settings_of
from mmzoo.recipe.names import NAME
from mmzoo.recipe.options import Option, options_of
from mmzoo.recipe.resolve import KEYS, REQUIRED
from mmzoo.recipe.settings import Evaluate, Export, Train
from mmzoo.registry.catalog import Catalog, Component
from mmzoo.registry.hookspecs import KINDS

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIPTIONS = {
    "name": "Name of the run. Its folder is runs/<name>.",
    "about": "What the recipe shows, in a sentence for people.",
    "needs": "Recipes that are built first, by name: paths from this recipe's folder. See `weights` of encoders.",
    "data": "The data set.",
    "inputs": "The inputs by name. Each reads a field of the data set with a processor.",
    "encoders": "The encoder of each input, which turns it into a stream. An input without one is not shown to the model.",
    "fusion": "The fusion, which joins or aligns the streams. Without one they stay as they are.",
    "head": "The head, which turns streams into answers.",
    "loss": "The loss that training minimises, or a list of losses, which are summed with their weights.",
    "train": "How the task is trained.",
    "metrics": "The metrics that score the answers on the held-out split.",
    "evaluate": "How the trained model is evaluated.",
    "export": "How the trained model is exported.",
}
"""Description of each top-level key of a recipe, for editors and docs."""


def recipe_schema(catalog: Catalog) -> Schema:
    """Returns the JSON schema, draft 2020-12, of recipes with the components of a catalog.

    A component that cannot be imported is listed too. It accepts any options, and its description says why.
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
    found: Schema = {
        "name": {"type": "string", "pattern": f"^{NAME}$"},
        "about": {"type": "string"},
        "needs": {"type": "object", "additionalProperties": {"type": "string"}},
        "data": _ref("dataset"),
        "inputs": _each("processor"),
        "encoders": _each("encoder"),
        "fusion": {"anyOf": [_ref("fusion"), {"type": "null"}]},
        "head": _ref("head"),
        "loss": _one_or_more("loss", least=1),
        "train": _object(settings_of(Train), "train", definitions),
        "metrics": _one_or_more("metric"),
        "evaluate": _object(settings_of(Evaluate), "evaluate", definitions),
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
    """Returns the names by which a recipe may name a component: its bare name only if no other plugin offers the same."""
    unique = [other.name for other in all_of_kind].count(component.name) == 1
    return [*([component.name] if unique else []), f"{component.plugin.name}/{component.name}"]


def _any_of(kind: str, components: Iterable[Component], definitions: Schema) -> Schema:
    schemas = {_key(component): definitions[_key(component)] for component in components}
    if not schemas:
        return {"not": {}, "description": f"No installed plugin offers a {kind}."}
    # A component without required options may be written as its bare name.
    optionless = [schema for schema in schemas.values() if schema["required"] == ["type"]]
    bare = [name for schema in optionless for name in schema["properties"]["type"]["enum"]]
    return {"anyOf": [*([{"enum": bare}] if bare else []), *map(_ref, schemas)]}


def _component(component: Component, names: list[str], definitions: Schema) -> Schema:
    try:
        options = [*component_keys(component), *options_of(component.load())]
    except PluginError as error:
        schema: Schema = {"type": "object", "properties": {}, "required": [], "description": str(error)}
    else:
        schema = _object(options, _key(component), definitions)
        schema["description"] = f"{component.summary()} ({component.plugin})".strip()
    schema["properties"] = {"type": {"enum": names}} | schema["properties"]
    schema["required"] = ["type", *schema["required"]]
    return schema


def _object(options: Iterable[Option], key: str, definitions: Schema) -> Schema:
    properties = {option.name: _option(option, f"{key}.{option.name}", definitions) for option in options}
    required = [option.name for option in options if option.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _option(option: Option, key: str, definitions: Schema) -> Schema:
    """Returns an option's schema. Its own definitions move to `definitions`, with the option's key before their names."""
    text = json.dumps(option.schema(), default=str).replace('"#/$defs/', f'"#/$defs/{key}.')
    schema = json.loads(text)
    definitions |= {f"{key}.{name}": definition for name, definition in schema.pop("$defs", {}).items()}
    return schema
