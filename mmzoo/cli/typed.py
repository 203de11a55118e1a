"""Arguments of `mmzoo predict` -> raw values of a batch: reads files, lists folders, parses texts and numbers."""

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
"""Input -> the values after each of its `--input`, one list for each time that it is given."""


@dataclass(frozen=True)
class Answer:
    """The answer of the model to one example.

    Args:
        inputs: By name, as typed.
        outputs: By name: numbers, text, bytes, or nested lists of them. `ok` is false for an example that cannot be read,
            and `reason` says why.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """Returns it as JSON data; bytes that are not UTF-8 text as `{"b64": ...}`, like TF Serving."""
        return {"inputs": self.inputs, "outputs": {name: _json(value) for name, value in self.outputs.items()}}


def ask(exported: Exported, values: Values, signature: str | None = None) -> list[Answer]:
    """Answers a batch with an exported model.

    Args:
        exported: The model.
        values: One or more examples for each input of the signature: files, or else texts or numbers. For an input that is
            a list, such as the frames of a clip, each group of values is one example; a folder means its files in natural
            order (`frame2` before `frame10`). An encoded input may be left out if another one is given.
        signature: Which one; the default one if not given.

    Raises:
        MmzooError: The signature or an input does not exist; a file cannot be read; the inputs differ in their number.
    """
    inputs = exported.inputs(signature)
    inputs.check_names(values, _flag)
    for name, groups in values.items():
        if not all(groups):
            raise MmzooError(f"--{name}: expected one or more values after it.")
    examples = {name: _examples(exported, name, spec, values[name]) for name, spec in inputs.specs.items() if name in values}
    raw = inputs.complete({name: read for name, (_, read) in examples.items()}, _flag)
    outputs = exported.predict(raw, signature)
    count = len(next(iter(raw.values())))
    return [
        Answer(
            {name: typed[row] for name, (typed, _) in examples.items()},
            {name: _value(output[row]) for name, output in outputs.items()},
        )
        for row in range(count)
    ]


def _flag(name: str) -> str:
    return f"--{name}"


def parse(words: Iterable[str]) -> Values:
    """Parses `--input value ...`, word by word as on a command line.

    Raises:
        MmzooError: A value comes before the first input.
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
    """Returns for each example what was typed and its raw value."""
    if name in exported.files and spec.shape.rank == 2:
        groups = [_files_of(exported, name, group) for group in groups]
    typed: list[Any] = groups
    read: list[Any] = [[_read(exported, name, value, spec.dtype) for value in group] for group in groups]
    if spec.shape.rank == 1:
        typed, read = list(chain(*typed)), list(chain(*read))
    return typed, read


def _files_of(exported: Exported, name: str, group: list[str]) -> list[str]:
    """Returns the files of an example, with each folder replaced by its files."""
    files = {value: _list_folder(name, value) for value in group}
    if exported.modalities.get(name) == "video" and len(group) == 1 and files[group[0]] == group:
        _check_no_animation(name, group[0])
    for value, listed in files.items():
        _check_given(exported, name, value, "there is no file in the folder", listed)
    return list(chain(*(files[value] for value in group)))


def _list_folder(name: str, value: str) -> list[str]:
    """Lists a folder's files in natural order, without hidden ones; returns the path itself if it is not a folder."""
    try:
        if not Path(value).is_dir():
            return [value]
        files = [path for path in Path(value).iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise MmzooError(f"--{name} {value}: the folder cannot be read: {error.strerror}.") from error
    return sorted(map(str, files), key=natural_key)


def _check_no_animation(name: str, file: str) -> None:
    """Checks that the only file of a clip is not an animated GIF: the model would read its first frame alone."""
    try:
        content = Path(file).read_bytes()
        count = len(tf.io.decode_gif(content)) if content.startswith(b"GIF8") else 1
    except (OSError, tf.errors.OpError):  # an unreadable file is reported later, by `_read` or by the model
        return
    if count > 1:
        what = f"expected the folder of a clip's frames, or the files of its frames; this one file holds {count} frames"
        raise MmzooError(f"--{name} {file}: {what}, and the model would read only the first.")


def _check_given(exported: Exported, name: str, value: str, fault: str, content: Sized) -> None:
    """Checks that a file or folder is not empty: to the model an empty value means that the input is left out."""
    if not content:
        optional = name in exported.encoded and len(exported.encoded) > 1
        advice = f" Leave --{name} out to predict without it." if optional else ""
        raise MmzooError(f"--{name} {value}: {fault}.{advice}")


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
