"""YAML text -> `Recipe`, which keeps the line and column of each value. Light: no Keras, no TensorFlow.

A recipe is plain YAML 1.2 data: mappings, lists, strings, numbers, booleans, null. Tags, anchors and aliases are refused,
so a recipe can neither run code nor expand to a huge value.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

from mmzoo.errors import Fault, MmzooError, RecipeError

MAX_BYTES = 1_000_000
"""Largest size of a recipe in bytes."""
MAX_DEPTH = 20
"""Deepest nesting of a recipe's values."""
MAX_VALUES = 10_000
"""Most values of a recipe, keys included."""
MAX_FLOAT = (2 - 2**-23) * 2.0**127
"""Largest number of a recipe, and of float32, in which models compute."""
MAX_INT = 2**63 - 1
"""Largest integer of a recipe, and of TensorFlow."""

_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}


@dataclass(frozen=True)
class Node:
    """A value of a recipe and its place in the file.

    Args:
        value: A scalar, a dict of nodes or a list of nodes.
        where: `file:line:column`, or `--set key`.
        key: Its dotted key from the top of the recipe, `encoders.image.type`; empty at the top.
        key_where: Place of its key, `file:line:column`; empty for a value without one, such as an element of a list.
    """

    value: Any
    where: str
    key: str = ""
    key_where: str = ""

    def plain(self) -> Any:
        """Returns the value as plain scalars, dicts and lists, without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def fault(self, what: str, advice: str = "") -> Fault:
        """Makes a fault that points to this value."""
        return Fault(self.where, self.key, what, advice)

    def key_fault(self, what: str, advice: str = "") -> Fault:
        """Makes a fault that points to the key of this value."""
        return Fault(self.key_where or self.where, self.key, what, advice)

    def items(self) -> Iterator[tuple[str, "Node"]]:
        """Iterates over the entries of a mapping; over nothing if the value is not a mapping."""
        yield from self.value.items() if isinstance(self.value, dict) else ()


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was written.

    Args:
        text: Its text, unchanged.
        root: Its values, with the overrides applied. The root is always a mapping.
        path: The file that it was read from.
        folder: Where its relative files are named from: the working folder at the time of its build.
    """

    text: str
    root: Node
    path: str = "<recipe>"
    folder: Path = Path()


def read_recipe(path: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe from a file.

    Args:
        path: The file.
        overrides: Values to replace or add, each as `key=value`: a dotted key and a YAML value.

    Raises:
        RecipeError: The file is missing, a folder, empty, not UTF-8, not YAML, or breaks the rules of this module.
    """
    return parse_recipe(_text(Path(path)), str(path), overrides)


def parse_recipe(text: str, path: str = "<recipe>", overrides: tuple[str, ...] = ()) -> Recipe:
    """Reads a recipe from its text. Like `read_recipe` otherwise."""
    if (size := len(text.encode(errors="surrogatepass"))) > MAX_BYTES:
        raise RecipeError([Fault(f"{path}:1:1", "", f"the recipe has {size} bytes; at most {MAX_BYTES} are read.")])
    root = _Reader(path).read(text)
    if root.value is None:
        raise RecipeError(
            [Fault(root.where, "", "the recipe is empty.", "See recipes/openmoji/captioner.yaml for an example.")]
        )
    if not isinstance(root.value, dict):
        found = type(root.value).__name__
        raise RecipeError([Fault(root.where, "", f"a recipe is a mapping of keys to values, found a {found}.")])
    return override(Recipe(text, root, path), overrides)


def override(recipe: Recipe, overrides: Iterable[str]) -> Recipe:
    """Returns a recipe with values replaced or added, by `overrides` as in `read_recipe`."""
    return replace(recipe, root=reduce(_override, overrides, recipe.root))


def _text(path: Path) -> str:
    where = str(path)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        advice = f"Recipes there: {', '.join(near[:8])}." if near else "Give the path of a YAML file."
        what = "there is no such file."
    except IsADirectoryError:
        what, advice = "this is a folder, not a recipe.", "Give the path of a YAML file in it."
    except UnicodeDecodeError as error:
        where = _place(where, error.object[: error.start].decode())
        what, advice = f"the file is not UTF-8 text (byte {error.start}).", "Save the recipe as UTF-8."
    except OSError as error:
        what, advice = f"the file cannot be read: {error.strerror}.", ""
    raise RecipeError([Fault(where, "", what, advice)])


def _place(path: str, before: str) -> str:
    """Returns the place `file:line:column` that comes after the text `before`."""
    *lines, last = before.split("\n")
    return f"{path}:{len(lines) + 1}:{len(last) + 1}"


@dataclass
class _Reader:
    """Turns YAML nodes into `Node`s and collects the faults."""

    path: str
    faults: list[Fault] = field(default_factory=list)

    def read(self, text: str) -> Node:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _scanner()
        try:
            self._check_events(yaml.parse(text))
            composed = yaml.compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise RecipeError([Fault(self._at(mark), "", f"this is not valid YAML: {error.problem}.")]) from error
        except (YAMLError, RecursionError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            where = _place(self.path, text[: getattr(error, "position", 0)])  # of a character that YAML does not allow
            raise RecipeError([Fault(where, "", f"this is not valid YAML: {reason}.")]) from error
        self._construct = yaml.constructor.construct_object
        node = self._node(composed, "") if composed is not None else Node(None, f"{self.path}:1:1")
        if self.faults:
            raise RecipeError(self.faults)
        return node

    def _check_events(self, events: Any) -> None:
        """Refuses aliases, and what would take long to compose."""
        depth = values = 0
        for event in events:
            depth += {"MappingStartEvent": 1, "SequenceStartEvent": 1}.get(type(event).__name__, 0)
            depth -= {"MappingEndEvent": 1, "SequenceEndEvent": 1}.get(type(event).__name__, 0)
            if getattr(event, "anchor", None):
                what = f"anchors and aliases are not allowed ('{event.anchor}')."
                raise RecipeError([Fault(self._at(event.start_mark), "", what, "Write the value out.")])
            values += hasattr(event, "anchor")
            if values > MAX_VALUES:
                what = f"the recipe has more than {MAX_VALUES:,} values."
                raise RecipeError([Fault(self._at(event.start_mark), "", what)])
            if depth > MAX_DEPTH:
                what = f"values are nested more than {MAX_DEPTH} deep."
                raise RecipeError([Fault(self._at(event.start_mark), "", what)])

    def _at(self, mark: Any) -> str:
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else self.path

    def _node(self, composed: Any, key: str) -> Node:
        where = self._at(composed.start_mark)
        if str(composed.tag) not in _SCALARS:
            tag = str(composed.tag).replace("tag:yaml.org,2002:", "!!")
            self.faults.append(Fault(where, key, f"the YAML tag '{tag}' is not allowed.", "Write a plain value."))
            return Node(None, where, key)
        if composed.id == "mapping":
            return Node(self._mapping(composed, key), where, key)
        if composed.id == "sequence":
            return Node([self._node(n, f"{key}[{i}]") for i, n in enumerate(composed.value)], where, key)
        return Node(self._value(composed, key), where, key)

    def _mapping(self, composed: Any, path: str) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in composed.value:
            name = self._text(key_node, path) if key_node.id == "scalar" else "?"
            key = f"{path}.{name}" if path else name
            if name in entries:
                first = entries[name].where
                self.faults.append(Fault(self._at(key_node.start_mark), key, f"the key is given twice, first at {first}."))
            entries[name] = replace(self._node(value_node, key), key_where=self._at(key_node.start_mark))
        return entries

    def _text(self, composed: Any, key: str) -> str:
        """Returns the text of a scalar; two escapes that are the halves of one character, as JSON has them, are that one."""
        try:
            text = str(composed.value).encode("utf-16", "surrogatepass").decode("utf-16")
            what = "this is not valid text: it has the escape of NUL, which no name, path or text has." if "\0" in text else ""
        except UnicodeDecodeError:
            text, what = "", "this is not valid text: it has an escape '\\uD800' to '\\uDFFF', half a character."
        if what:
            self.faults.append(Fault(self._at(composed.start_mark), key, what))
        return text

    def _value(self, composed: Any, key: str) -> Any:
        kind = str(composed.tag).rpartition(":")[2]
        if kind in ("str", "timestamp"):
            return self._text(composed, key)
        try:
            value = self._construct(composed)
            if isinstance(value, float) and not math.isfinite(value):
                what = f"expected a finite number, received {composed.value}."
            elif isinstance(value, float) and abs(value) > MAX_FLOAT:
                what = f"expected a number of at most {MAX_FLOAT:.3g}, which float32 holds, received {composed.value}."
            elif isinstance(value, int) and abs(value) > MAX_INT:
                what = f"expected a number of at most 64 bits, received one of {value.bit_length()}."
            else:
                return value
            self.faults.append(Fault(self._at(composed.start_mark), key, what))
            return None
        except (ValueError, KeyError):  # `!!int x`, or more digits than Python converts
            text = composed.value if len(composed.value) <= 20 else f"{composed.value[:20]}..."
            what = f"'{text}' is not a valid value of the YAML tag '!!{kind}'."
            self.faults.append(Fault(self._at(composed.start_mark), key, what))
            return None


def _scanner() -> Any:
    """Returns the scanner of the YAML library, except that it says where an escape beyond the last character is."""
    from ruamel.yaml.scanner import Scanner, ScannerError

    class PlacingScanner(Scanner):
        def scan_flow_scalar_non_spaces(self, double: Any, start_mark: Any) -> Any:
            try:
                return super().scan_flow_scalar_non_spaces(double, start_mark)
            except (ValueError, OverflowError) as error:
                what = f"the escape '\\U{self.reader.prefix(8)}' is no character"
                raise ScannerError("while scanning a double-quoted scalar", start_mark, what, self.reader.get_mark()) from error

    return PlacingScanner


def _override(root: Node, override: str) -> Node:
    key, equals, text = override.partition("=")
    where = f"--set {key}"
    if not equals or not key:
        raise MmzooError(f"--set {override}: expected KEY=VALUE, for example --set train.epochs=1.")
    value = _Reader(where).read(text).plain()
    if " #" in f" {text}" and _ends_in_a_comment(text, value):
        what = "a `#` after a space begins a comment in YAML, and the rest of the value would be lost."
        raise RecipeError([Fault(where, key, what, f"Quote the value: --set '{key}=\"...\"'.")])
    return _replace(root, key.split("."), key, where, value)


def _ends_in_a_comment(text: str, value: Any) -> bool:
    """Returns whether a longer text has the same value."""
    with suppress(RecipeError):  # with the letter it is no YAML: it belongs to the value
        return bool(_Reader("").read(f"{text}x").plain() == value)
    return False


def _replace(node: Node, path: list[str], key: str, where: str, value: Any) -> Node:
    if not path:
        return to_node(value, where, key)
    if not isinstance(node.value, dict | None):
        raise RecipeError([Fault(where, key, f"'{node.key}' is {node.plain()!r}, which has no '{path[0]}'.")])
    entries = dict(node.value or {})
    here = key.split(".")[: len(key.split(".")) - len(path) + 1]
    entries[path[0]] = _replace(entries.get(path[0], Node({}, where, ".".join(here))), path[1:], key, where, value)
    return Node(entries, node.where, node.key)


def to_node(value: Any, where: str, key: str = "") -> Node:
    """Converts plain data to a node. It and all nodes inside it have the same place."""
    if isinstance(value, dict):
        return Node({k: to_node(v, where, f"{key}.{k}" if key else str(k)) for k, v in value.items()}, where, key)
    if isinstance(value, list):
        return Node([to_node(v, where, f"{key}[{i}]") for i, v in enumerate(value)], where, key)
    return Node(value, where, key)
