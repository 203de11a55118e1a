"""Arguments of `mmzoo predict` -> raw values of a batch: reads files, lists folders, parses texts and numbers."""

import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import natural_key
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import as_text
from mmzoo.errors import MmzooError
from mmzoo.serving.predict import Exported
from mmzoo.serving.raw_values import SignatureInputs, common_length

BATCH = 32
"""Examples that are read and answered at a time."""
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
        """Returns it as JSON data: bytes that are not UTF-8 text as `{"b64": ...}`, like TF Serving; NaN and infinity null."""
        return {"inputs": self.inputs, "outputs": {name: _json(value) for name, value in self.outputs.items()}}


def ask(exported: Exported, values: Values, signature: str | None = None, screen: Screen | None = None) -> Iterator[Answer]:
    """Answers with an exported model, batch by batch. All files are looked at before the first answer.

    Args:
        exported: The model.
        values: One or more examples for each input of the signature: files, or else texts or numbers. For an input that is
            a list, such as the frames of a clip, each group of values is one example; a folder means its files in natural
            order (`frame2` before `frame10`). An encoded input may be left out if another one is given.
        signature: Which one; the default one if not given.
        screen: Shows the progress; nothing is shown by default.

    Raises:
        MmzooError: The signature or an input does not exist; a file cannot be read; the inputs differ in their number.
    """
    inputs = exported.inputs(signature)
    inputs.check_names(values, _flag)
    for name, groups in values.items():
        if not all(groups):
            raise MmzooError(f"--{name}: expected one or more values after it.")
    typed = {name: _examples(exported, name, spec, values[name]) for name, spec in inputs.specs.items() if name in values}
    for name, examples in typed.items():
        for example in examples:
            _read(exported, name, example, inputs.specs[name].dtype)  # what is wrong with any of them is said first
    count = common_length({_flag(name): examples for name, examples in typed.items()})
    starts = (screen or Screen(quiet=True)).track(range(0, count, BATCH), "predict", -(-count // BATCH))
    batches = ({name: examples[start : start + BATCH] for name, examples in typed.items()} for start in starts)
    return chain.from_iterable(_answer(exported, inputs, signature, batch) for batch in batches)


def _answer(
    exported: Exported, inputs: SignatureInputs, signature: str | None, typed: Mapping[str, list[Any]]
) -> Iterator[Answer]:
    """Answers a batch of examples as they were typed."""
    dtypes = {name: spec.dtype for name, spec in inputs.specs.items()}
    read = {name: [_read(exported, name, one, dtypes[name]) for one in examples] for name, examples in typed.items()}
    outputs = exported.predict(inputs.complete(read, _flag), signature)
    for row in range(len(next(iter(typed.values())))):
        own = {name: examples[row] for name, examples in typed.items()}
        yield Answer(own, {name: _value(output[row]) for name, output in outputs.items()})


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


def _examples(exported: Exported, name: str, spec: tf.TensorSpec, groups: list[list[str]]) -> list[Any]:
    """Returns what was typed for each example: a value, or a list of values with each folder replaced by its files."""
    if name in exported.files and spec.shape.rank == 2:
        groups = [_files_of(exported, name, group) for group in groups]
    return list(chain(*groups)) if spec.shape.rank == 1 else groups


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


def _read(exported: Exported, name: str, value: str | list[str], dtype: tf.DType) -> Any:
    """Returns the raw value of what was typed."""
    if isinstance(value, list):
        return [_read(exported, name, one, dtype) for one in value]
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
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows neither NaN nor infinity
    return {"b64": b64encode(value).decode()} if isinstance(value, bytes) else value
