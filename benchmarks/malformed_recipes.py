"""Malformed recipes for `malformed.py`, by kind: a small recipe, and what is wrong in it."""

import io
import re
from collections.abc import Iterator
from typing import Any

RECIPE = """\
name: toy
about: Says what it sees.
data: {type: shapes, size: 16, pictures: 48, data_dir: data, on_error: stop}
inputs:
  image: {type: image, field: image, size: 16}
  caption: {type: words, field: caption, sequence_length: 8, optional: false}
encoders:
  image: {type: resnet, blocks: [1], stem: 3, trainable: true}
head: {type: gru_captioner, target: caption, units: 8, dropout: 0.1}
loss:
  - {type: token_cross_entropy, weight: 1.0}
train:
  epochs: 1
  batch_size: 16
  optimizer: {type: adam, learning_rate: {type: cosine_decay, initial_learning_rate: 0.003}}
  global_clipnorm: 1.0
  precision: float32
  devices: cpu
  seed: 7
metrics:
  - {type: bleu}
evaluate: {baselines: []}
export: {version: 1, examples: 3, precision: float32}
"""

WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 1.5, -0.0, 10**30, "", "x", "8", "caption", "../x", "\x07", "图片", "😀"),
    *([], [1], ["x"], [[]], [None], {}, {"a": 1}, {"type": 1}, {"type": "x"}, {"type": None}, {"type": ["resnet"]}),
)


def types(recipe: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Puts each wrong value at each place, and leaves each place out."""
    for path in _paths(recipe):
        for value in WRONG:
            if value != _at(recipe, path) or type(value) is not type(_at(recipe, path)):
                yield f"{'.'.join(map(str, path))} = {value!r}", _dump(_changed(recipe, path, value))
        yield f"{'.'.join(map(str, path))} left out", _dump(_changed(recipe, path))


def numbers() -> Iterator[tuple[str, bytes]]:
    places = {
        "an int": "epochs: 1\n",
        "a float": "global_clipnorm: 1.0\n",
        "a seed": "seed: 7\n",
        "a batch": "batch_size: 16\n",
    }
    values = [".inf", "-.inf", ".nan", "1e400", "-1e400", "1e-400", "9" * 5000, "9" * 400, "-1", "0", "-0", "+1", "1_6", "0o20"]
    values += [
        "020", "0x10", "0b11", "1:30", "190:20:30", "2024-01-31", "2024-01-31T10:00:00Z", "1.", ".5", "1e3", "1E3", "'16'",
    ]  # fmt: skip
    values += [
        "yes", "on", "true", "!!float 1", "!!int 1.5", "!!str 1", "!!bool 1", "1,000", "1 000", "１６", "½", "1j", "inf",
        "NaN",
    ]  # fmt: skip
    for what, line in places.items():
        key = line.partition(":")[0]
        for value in values:
            yield f"{what}: {value[:20]}", RECIPE.replace(line, f"{key}: {value}\n", 1).encode()
    for value in (".inf", "1e400", "-1", "'1'", "true", "9" * 400, "1e308", "[1]"):
        yield f"a rate: {value[:20]}", RECIPE.replace("0.003", value, 1).encode()
        yield f"a weight: {value[:20]}", RECIPE.replace("weight: 1.0", f"weight: {value}", 1).encode()
        yield f"a dropout: {value[:20]}", RECIPE.replace("dropout: 0.1", f"dropout: {value}", 1).encode()


def nesting() -> Iterator[tuple[str, bytes]]:
    for depth in (21, 1_000, 10_000, 200_000):
        yield f"{depth} lists", b"name: " + b"[" * depth + b"]" * depth
        yield f"{depth} lists, open", b"name: " + b"[" * depth
        yield f"{depth} mappings", b"name: " + b"{a: " * depth + b"}" * depth
        yield f"{depth} dashes", b"name:\n" + b"- " * depth + b"a"
        yield f"{depth} brackets as key", b"? " + b"[" * depth + b"]" * depth + b"\n: a"
        yield f"{depth} question marks", b"? " * depth + b"a"
    for depth in (21, 400):
        yield f"{depth} levels of lines", "\n".join(" " * level + "a:" for level in range(depth)).encode()
    bomb = "\n".join([f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else 'x'] * 9)}]" for i in range(30)])
    written = {
        "bomb": bomb,
        "alias": RECIPE.replace("name: toy", "name: &n toy\nabout: *n", 1),
        "cyclic list": "name: &a [*a]",
        "cyclic mapping": "&a name: {x: *a}",
        "cyclic root": "&r\nname: *r",
        "unknown alias": RECIPE.replace("toy", "*nowhere", 1),
        "merge of an alias": RECIPE + "more: &m {a: 1}\n<<: *m\n",
        "merge of a mapping": RECIPE + "<<: {epochs: 3}\n",
        "merge in train": RECIPE.replace("train:\n", "train:\n  <<: {epochs: 3}\n", 1),
        "merge of a list": RECIPE + "<<: [{a: 1}, {b: 2}]\n",
        "merge of a scalar": RECIPE + "<<: 3\n",
        "empty anchor": RECIPE.replace("toy", "&", 1),
        "empty alias": RECIPE.replace("toy", "*", 1),
        "anchor on a key": RECIPE.replace("name:", "&k name:", 1),
        "million elements": "name: [" + "1," * 400_000 + "1]",
        "million keys": "\n".join(f"k{i}: 1" for i in range(90_000)),
        "long flow of mappings": "name: [" + "{}," * 200_000 + "]",
        "value key": RECIPE + "=: 3\n",
    }
    yield from ((name, text.encode()) for name, text in written.items())


def structure() -> Iterator[tuple[str, bytes]]:
    wrong = [
        "[]: 1", "{}: 1", "[a, b]: 1", "{a: b}: 1", "1: a", "true: a", "null: a", "~: a", ": a", "1.5: a", "? \n: a",
        "? |\n  x\n: a",
    ]  # fmt: skip
    wrong += [
        "name: again", "train: {}", "'name': again", '"name": again', '"n\\x61me": again', "- a", "a", "'", '"', "|", ">",
        "%", "@a", "`a",
    ]  # fmt: skip
    wrong += [
        "a: b: c", "a: [", "a: {", "a: ]", "a: }", "a: 'b", 'a: "b', 'a: "\\q"', 'a: "\\ud800"', 'a: "\\uffff"',
        'a: "\\U00110000"',
    ]  # fmt: skip
    wrong += [
        "\"a\": 'b' c", "a: |3\n x", "a: |\n x\n\ty", "--- a", "...", "---", "...\nb: 1", "%YAML 1.1\n---\na: 1",
        "%YAML 9.9", "%TAG ! x",
    ]  # fmt: skip
    wrong += [
        f"a: {tag} x"
        for tag in ("!!python/object:os.system", "!!python/object/apply:os.system [ls]", "!!python/name:os.system")
    ]
    wrong += [
        f"a: {tag}"
        for tag in (
            "!x",
            "!",
            "!<x> 1",
            "!!binary aGk=",
            "!!set {a}",
            "!!omap [a: 1]",
            "!!null x",
            "!!timestamp x",
            "!!merge x",
        )
    ]
    wrong += [
        "!!python/tuple [a]: 1", "!!str a: 1", "!!int a: 1", "a: !!map 1", "a: !!seq {}", "a: !!str [1]", "a: !!str {}",
        "a: !!int [1]",
    ]  # fmt: skip
    for text in wrong:
        yield f"after: {text!r}", f"{RECIPE}{text}\n".encode()
        yield f"before: {text!r}", f"{text}\n{RECIPE}".encode()
    for key in ("train", "data", "head"):
        for text in ("[]", "{a: b}", "1", "true", "~", "''", "' epochs'", "EPOCHS", "epochs ", "type"):
            line = f"{key}:\n  ? {text}\n  : 1\n"
            yield (
                f"{key} with the key {text!r}",
                re.sub(rf"(?m)^{key}:.*\n(  .*\n)*", lambda _, line=line: line, RECIPE).encode(),
            )


def encodings() -> Iterator[tuple[str, bytes]]:
    for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp037", "utf-7"):
        yield coding, RECIPE.replace("Says", "Ségt", 1).encode(coding, "replace")
    yield "latin-1", RECIPE.replace("Says", "Dit ce qu'il voit: é", 1).encode("latin-1")
    raw = RECIPE.encode()
    for what, byte in {
        "NUL": b"\0",
        "BEL": b"\a",
        "ESC": b"\x1b[31m",
        "DEL": b"\x7f",
        "lone 0xff": b"\xff",
        "C1": b"\xc2\x85",
    }.items():
        yield f"{what} first", byte + raw
        yield f"{what} in the name", raw.replace(b"toy", b"t" + byte + b"y", 1)
        yield f"{what} last", raw + byte
    for what, mark in {
        "surrogate": b"\xed\xa0\x80",
        "overlong": b"\xc0\xaf",
        "line separator": "\u2028".encode(),
        "no-break space": "\xa0".encode(),
        "bidirectional override": "\u202e".encode(),
        "zero width": "\u200b".encode(),
        "noncharacter": "\uffff".encode(),
        "replacement": "\ufffd".encode(),
        "BOM within": "\ufeff".encode(),
    }.items():
        yield f"{what} in the name", raw.replace(b"toy", b"t" + mark + b"y", 1)
        yield f"{what} in a key", raw.replace(b"train", b"tr" + mark + b"ain", 1)
        yield f"{what} in a value", raw.replace(b"resnet", b"res" + mark + b"net", 1)
        yield f"{what} in the text", raw.replace(b"Says", b"Sa" + mark + b"ys", 1)
    for escape in ("\\0", "\\a", "\\x4", "\\ud800", "\\ud83d\\ude00", "\\uffff", "\\U00110000", "\\Uffffffff", "\\q", "\\"):
        for what in ("toy", "train", "resnet", "Says what it sees.", "data"):
            line = f'"{what[:2]}{escape}"'
            yield f"{escape} in {what}", re.sub(rf"{re.escape(what)}(?=[:,\n])", lambda _, line=line: line, RECIPE).encode()
    yield "CR only", raw.replace(b"\n", b"\r")
    yield "CR LF", raw.replace(b"\n", b"\r\n")
    yield "tabs", raw.replace(b"  ", b"\t")
    yield "tab after a colon", raw.replace(b": ", b":\t")
    yield "empty", b""
    yield "spaces", b"   \n \n"
    yield "a comment", b"# nothing\n"
    yield "only a BOM", b"\xef\xbb\xbf"
    yield "a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    yield "gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\3"
    yield "JSON", b'{"name": "toy", "data": "shapes"}'
    yield "a line of 900,000 letters", raw.replace(b"Says", b"a" * 900_000, 1)
    yield "a key of 900,000 letters", raw + b"a" * 900_000 + b": 1"
    yield "a name of 900,000 letters", raw.replace(b"toy", b"a" * 900_000, 1)
    yield "a type of 900,000 letters", raw.replace(b"resnet", b"a" * 900_000, 1)
    yield "900,000 spaces", raw + b" " * 900_000
    yield "900,000 line ends", raw + b"\n" * 900_000
    yield "900,000 quotes", raw + b"a: " + b"'" * 900_001
    yield "900,000 backslashes", raw + b'a: "' + b"\\" * 900_000
    yield "900,000 colons", raw + b":" * 900_000
    yield "2 MB", raw + b"#" * 2_000_000
    yield "no last line end", raw.rstrip()


def names() -> Iterator[tuple[str, bytes]]:
    bad = [
        "/etc/x", "..", ".", "a/b", "a\\\\b", "a b", "", " ", "-a", "--json", "a:b", "a*", "~", "$HOME", "%s", "{x}", "con",
        "nul", "a" * 300,
    ]  # fmt: skip
    bad += [
        "😀", "图片", "e\u0301", "é", "ﬁ", "x\u0301", "\u202ea", "a\u200b", "١", "1", "_a", "a-b", "a.b", "A", "class", "None",
        "lambda",
    ]  # fmt: skip
    bad += [
        "ok", "reason", "step", "logits", "json", "help", "self", "signature", "references", "image_shape", "training",
        "mask", "name", "type",
    ]  # fmt: skip
    for name in bad:
        quoted = f'"{name}"'
        yield f"run {name[:20]!r}", RECIPE.replace("toy", quoted, 1).encode()
        renamed = RECIPE.replace("  caption:", f"  {quoted}:", 1).replace("target: caption", f"target: {quoted}", 1)
        yield f"input {name[:20]!r}", renamed.encode()
        yield f"encoded {name[:20]!r}", RECIPE.replace("  image:", f"  {quoted}:").encode()
        yield f"need {name[:20]!r}", f"{RECIPE}needs: {{{quoted}: other.yaml}}\n".encode()
    for text in (
        "needs: {a: toy.yaml}",
        "needs: {a: .}",
        "needs: {a: /}",
        "needs: {a: nowhere.yaml}",
        "needs: a.yaml",
        "needs: [a.yaml]",
    ):
        yield text, f"{RECIPE}{text}\n".encode()
    for old, new in {
        "target: caption": "target: image",
        "field: caption": "field: nothing",
        "field: image": "field: caption",
        "encoders:\n  image": "encoders:\n  caption",
        "type: resnet": "type: gru",
        "type: words": "type: image",
        "type: image": "type: words",
        "type: shapes": "type: openmoji/shapes",
        "type: bleu": "type: mmzoo-captioning/bleu",
        "type: adam": "type: Adam",
        "type: cosine_decay": "type: adam",
        "type: gru_captioner": "type: resnet",
        "type: token_cross_entropy": "type: bleu",
        "data_dir: data": "data_dir: /proc/1/mem",
        "data_dir: data,": "data_dir: ~nobody_at_all/x,",
        "pictures: 48": "pictures: 1",
        "sequence_length: 8": "sequence_length: 1",
        "blocks: [1]": "blocks: []",
        "stem: 3": "stem: 99",
        "units: 8": "units: 100000000000",
        "size: 16, data": "size: 1, data",
        "field: image, size: 16": "field: image, size: 1",
        "field: image, size: 16}": "field: image, size: 1000000000000}",
        "baselines: []": "baselines: [nearest, nearest]",
        "version: 1": "version: 99999999999999999999",
    }.items():
        yield f"{old} -> {new}", RECIPE.replace(old, new, 1).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from _paths(child, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    return _at(value[path[0]], path[1:]) if path else value


def _changed(value: Any, path: tuple[Any, ...], *new: Any) -> Any:
    """Returns a copy with the value at a path replaced, or left out."""
    if not path:
        return new[0]
    copy = value.copy()
    if len(path) == 1 and not new:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(value[path[0]], path[1:], *new)
    return copy


def _dump(recipe: dict[str, Any]) -> bytes:
    from ruamel.yaml import YAML

    text = io.BytesIO()
    YAML(typ="safe", pure=True).dump(recipe, text)
    return text.getvalue()
