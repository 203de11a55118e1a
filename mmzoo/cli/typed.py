"""What is typed after `mmzoo predict` -> raw values of a batch: reads files, lists folders, parses texts and numbers."""

from base64 import b64encode
from collections.abc import Iterable, Sized
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import natural_key
from mmzoo.contracts.raw import as_text
from mmzoo.errors import MmzooError
from mmzoo.serving.predict import Exported

Values = dict[str, list[list[str]]]
"""What was typed after each `--input`, a list for each time that it stands."""


@dataclass(frozen=True)
class Answer:
    """What the model answers for one example.

    Args:
        inputs: By name, as typed.
        outputs: By name: numbers, text, bytes, or nested lists of them. `ok` is false for an example that cannot be read,
            and `reason` says why.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """Returns it as JSON data; bytes that are no text as `{"b64": ...}`, as TF Serving does."""
        return {"inputs": self.inputs, "outputs": {name: _json(value) for name, value in self.outputs.items()}}


def ask(exported: Exported, values: Values, signature: str | None = None) -> list[Answer]:
    """Asks an exported model about a batch.

    Args:
        exported: The model.
        values: For each input of the signature one or more examples: files, or else texts or numbers. For an input that is
            a list, such as the frames of a clip, each group of values is one example; a folder stands for its files in the
            order of their names, numbers in them as numbers. An encoded one may be left out if another is there.
        signature: Which one; the default one if not given.

    Raises:
        MmzooError: There is no such signature or input; a file cannot be read; the inputs differ in number.
    """
    inputs = exported.inputs(signature)
    inputs.check_names(values, _flag)
    for name, groups in values.items():
        if not all(groups):
            raise MmzooError(f"--{name}: expected one or more values after it.")
    examples = {one: _examples(exported, one, spec, values[one]) for one, spec in inputs.specs.items() if one in values}
    raw = inputs.complete({one: read for one, (_, read) in examples.items()}, _flag)
    outputs = exported.predict(raw, signature)
    count = len(next(iter(raw.values())))
    return [
        Answer({one: typed[row] for one, (typed, _) in examples.items()}, {o: _value(v[row]) for o, v in outputs.items()})
        for row in range(count)
    ]


def _flag(name: str) -> str:
    return f"--{name}"


def parse(words: Iterable[str]) -> Values:
    """Parses `--input value ...` as a command line gives it.

    Raises:
        MmzooError: A value stands before any input.
    """
    values: Values = {}
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            values.setdefault(name, []).append([value] if equals else [])
        elif values:
            values[name][-1].append(word)
        else:
            raise MmzooError(f"expected --INPUT before its values, received '{word}'.")
    return values


def _examples(exported: Exported, name: str, spec: tf.TensorSpec, groups: list[list[str]]) -> tuple[list[Any], list[Any]]:
    """Returns what was typed and the raw values that it stands for, an entry for each example."""
    if name in exported.files and spec.shape.rank == 2:
        groups = [_opened(exported, name, group) for group in groups]
    typed: list[Any] = groups
    read: list[Any] = [[_read(exported, name, value, spec.dtype) for value in group] for group in groups]
    if spec.shape.rank == 1:
        typed, read = list(chain(*typed)), list(chain(*read))
    return typed, read


def _opened(exported: Exported, name: str, group: list[str]) -> list[str]:
    """Replaces a folder by its files."""
    opened = {one: _listed(name, one) for one in group}
    if len(group) == 1 and opened[group[0]] == group and (count := _pictures(group[0])) > 1:
        what = f"expected the folder of a clip's frames, or its files; this one file holds {count} pictures"
        raise MmzooError(f"--{name} {group[0]}: {what}, of which the model would see the first.")
    for one, files in opened.items():
        _check_given(exported, name, one, "there is no file in the folder", files)
    return list(chain(*(opened[one] for one in group)))


def _listed(name: str, value: str) -> list[str]:
    """Lists a folder's files in natural order; a file is listed alone. A hidden file is no frame of a clip."""
    try:
        if not Path(value).is_dir():
            return [value]
        found = [path for path in Path(value).iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise MmzooError(f"--{name} {value}: the folder cannot be read: {error.strerror}.") from error
    return sorted(map(str, found), key=natural_key)


def _pictures(file: str) -> int:
    """Counts the pictures of an animated GIF; 1 of any other file."""
    try:
        content = Path(file).read_bytes()
        return len(tf.io.decode_gif(content)) if content.startswith(b"GIF8") else 1
    except (OSError, tf.errors.OpError):  # the model says what it makes of the file
        return 1


def _check_given(exported: Exported, name: str, value: str, otherwise: str, found: Sized) -> None:
    """Checks that a file or folder is not empty: the model would take it for an input that is left out."""
    if not found:
        spare = name in exported.encoded and len(exported.encoded) > 1
        advice = f" Leave --{name} out to ask without it." if spare else ""
        raise MmzooError(f"--{name} {value}: {otherwise}.{advice}")


def _read(exported: Exported, name: str, value: str, dtype: tf.DType) -> Any:
    try:
        if name in exported.files:
            content = Path(value).read_bytes()
            _check_given(exported, name, value, "the file is empty", content)
            return content
        if dtype == tf.bool:
            return ("false", "true").index(value.lower())
        return value.encode() if dtype == tf.string else np.array(value).astype(dtype.as_numpy_dtype)
    except OSError as error:
        raise MmzooError(f"--{name} {value}: the file cannot be read: {error.strerror}.") from error
    except ValueError as error:
        expected = {tf.bool: "true or false", tf.string: "text in UTF-8"}.get(dtype, f"a number ({dtype.name})")
        raise MmzooError(f"--{name} {value}: expected {expected}.") from error


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return as_text(value)
    return [_value(one) for one in value] if np.ndim(value) else value.item()


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(one) for one in value]
    return {"b64": b64encode(value).decode()} if isinstance(value, bytes) else value
