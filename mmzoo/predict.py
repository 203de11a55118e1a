"""Run, raw values -> answers of its exported model: what a server would answer. Assembles no task."""

import shlex
from base64 import b64encode
from collections.abc import Collection, Container, Iterable, Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.catalog import Catalog
from mmzoo.dataset import natural
from mmzoo.errors import MmzooError, RunError, suggest
from mmzoo.plugins import discover
from mmzoo.processing import as_text
from mmzoo.run import Run

DEFAULT = "serving_default"
"""The signature that TF Serving answers when none is named."""

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
        """Gives it as JSON data; bytes that are no text as `{"b64": ...}`, as TF Serving does."""
        return {"inputs": self.inputs, "outputs": {name: _json(value) for name, value in self.outputs.items()}}


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Args:
        folder: Of the version.
        signatures: Signature -> input -> batched spec.
        files: The inputs whose values are files.
        encoded: The inputs that an example may lack, as long as it has another.
    """

    folder: Path
    signatures: Mapping[str, Mapping[str, tf.TensorSpec]]
    files: frozenset[str]
    encoded: frozenset[str] = frozenset()

    def ask(self, values: Values, signature: str | None = None) -> list[Answer]:
        """Asks the model about a batch.

        Args:
            values: For each input of the signature one or more examples: files, or else texts or numbers. For an input that is
                a list, such as the frames of a clip, each group of values is one example; a folder stands for its files in the
                order of their names, numbers in them as numbers. An encoded one may be left out if another is there.
            signature: Which one; the default one if not given.

        Raises:
            MmzooError: There is no such signature or input; a file cannot be read; the inputs differ in number.
        """
        name = signature or DEFAULT
        specs = self._specs(name)
        who = "the exported model" if name == DEFAULT else f"the signature '{name}'"
        _check(values, specs, who, self.encoded)
        examples = {one: self._examples(one, spec, values[one]) for one, spec in specs.items() if one in values}
        count = same_count({f"--{one}": typed for one, (typed, _) in examples.items()})
        raw = filled({one: tensor for one, (_, tensor) in examples.items()}, specs)
        outputs = tf.saved_model.load(str(self.folder)).signatures[name](**raw)
        read = {output: value.numpy() for output, value in sorted(outputs.items())}
        return [
            Answer({one: typed[row] for one, (typed, _) in examples.items()}, {o: _value(v[row]) for o, v in read.items()})
            for row in range(count)
        ]

    def _specs(self, signature: str) -> Mapping[str, tf.TensorSpec]:
        if signature in self.signatures:
            return self.signatures[signature]
        known = [name for name in self.signatures if name != DEFAULT]
        raise MmzooError(f"{self.folder}: the exported model has no signature '{signature}'. {suggest(signature, known)}")

    def _examples(self, name: str, spec: tf.TensorSpec, groups: list[list[str]]) -> tuple[list[Any], tf.Tensor]:
        """Gives what was typed and what the model is asked, an entry for each example."""
        groups = [self._opened(name, group) for group in groups] if name in self.files and spec.shape.rank == 2 else groups
        typed: list[Any] = groups
        read: list[Any] = [[self._read(name, value, spec.dtype) for value in group] for group in groups]
        if spec.shape.rank == 1:
            typed, read = list(chain(*typed)), list(chain(*read))
        return typed, padded(name, read, spec)

    def _opened(self, name: str, group: list[str]) -> list[str]:
        """Puts a folder's files in the place of the folder."""
        opened = {one: self._listed(name, one) for one in group}
        if len(group) == 1 and opened[group[0]] == group and (count := _pictures(group[0])) > 1:
            what = f"expected the folder of a clip's frames, or its files; this one file holds {count} pictures"
            raise MmzooError(f"--{name} {group[0]}: {what}, of which the model would see the first.")
        for one, files in opened.items():
            self._check_there(name, one, "there is no file in the folder", files)
        return list(chain(*(opened[one] for one in group)))

    def _listed(self, name: str, value: str) -> list[str]:
        """Lists a folder's files in the order of their names; a file is listed alone. What is hidden is no frame of a clip."""
        try:
            if not Path(value).is_dir():
                return [value]
            found = [path for path in Path(value).iterdir() if path.is_file() and not path.name.startswith(".")]
        except OSError as error:
            raise MmzooError(f"--{name} {value}: the folder cannot be read: {error.strerror}.") from error
        return sorted(map(str, found), key=natural)

    def _check_there(self, name: str, value: str, otherwise: str, found: Sized) -> None:
        """Holds that what a person gives is there: the model takes what is empty as absent."""
        if not found:
            spare = name in self.encoded and len(self.encoded) > 1
            advice = f" Leave --{name} out to ask without it." if spare else ""
            raise MmzooError(f"--{name} {value}: {otherwise}.{advice}")

    def _read(self, name: str, value: str, dtype: tf.DType) -> Any:
        try:
            if name in self.files:
                content = Path(value).read_bytes()
                self._check_there(name, value, "the file is empty", content)
                return content
            if dtype == tf.bool:
                return ("false", "true").index(value.lower())
            return value.encode() if dtype == tf.string else np.array(value).astype(dtype.as_numpy_dtype)
        except OSError as error:
            raise MmzooError(f"--{name} {value}: the file cannot be read: {error.strerror}.") from error
        except ValueError as error:
            expected = {tf.bool: "true or false", tf.string: "text in UTF-8"}.get(dtype, f"a number ({dtype.name})")
            raise MmzooError(f"--{name} {value}: expected {expected}.") from error


def lacking(given: Container[str], inputs: Collection[str], spared: Container[str]) -> list[str]:
    """Lists the inputs of a signature that are left out and may not be.

    Args:
        given: The inputs that are not left out.
        inputs: All.
        spared: Those that may be left out if another of them is given.
    """
    another = any(name in given and name in spared for name in inputs)
    return [name for name in inputs if name not in given and not (another and name in spared)]


def padded(name: str, values: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Makes a tensor of raw values; lists of unequal length are filled up with empty values.

    Args:
        name: The input.
        values: Of a batch, such as a list of encoded bytes for each example.
        spec: Batched.

    Raises:
        MmzooError: They are not what `spec` says.
    """
    made = _tensor(values, spec)
    if made is None or not made.shape.is_compatible_with(spec.shape):
        what, found = "a list of lists" if spec.shape.rank > 1 else "a list", _kind(values)
        raise MmzooError(f"{name}: expected {what} of {spec.dtype.name}, one for each example; received {found}.")
    return made


def _tensor(values: Any, spec: tf.TensorSpec) -> tf.Tensor | None:
    """Makes a tensor of raw values; None if there is none of them."""
    with suppress(ValueError, TypeError):  # lists of unequal length are tried below
        made = tf.convert_to_tensor(values, spec.dtype)
        if made.shape.rank == spec.shape.rank:
            return made
    if spec.shape.rank > 1:
        with suppress(ValueError, TypeError):  # what is none of both is said by the caller
            return tf.ragged.constant(values, spec.dtype, ragged_rank=spec.shape.rank - 1).to_tensor()
    return None


def _kind(values: Any) -> str:
    """Names the types in nested lists by their first elements: `list of list of bytes`."""
    of = f" of {_kind(values[0])}" if isinstance(values, list | tuple) and values else ""
    return type(values).__name__ + of


def same_count(examples: Mapping[str, Sized]) -> int:
    """Counts the examples, of which each input must have as many.

    Raises:
        MmzooError: They differ in number.
    """
    counts = {name: len(values) for name, values in examples.items()}
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise MmzooError(f"expected as many values of each input, received others: {found}.")
    return next(iter(counts.values()))


def filled(given: Mapping[str, Any], specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    """Puts empty values in the place of the inputs that are left out; gives all, in the order of the signature.

    Args:
        given: By input, the values of a batch; one input at least.
        specs: By input, batched.
    """
    count = len(next(iter(given.values())))
    shapes = {name: [count, *(1 if size is None else size for size in spec.shape[1:])] for name, spec in specs.items()}
    return {name: given[name] if name in given else tf.zeros(shapes[name], spec.dtype) for name, spec in specs.items()}


def command(run: Run, specs: Mapping[str, tf.TensorSpec], files: Container[str]) -> str:
    """Words the command that asks a run's exported model.

    Args:
        run: Exported, or about to be.
        specs: Of the signature, by input, batched.
        files: The inputs whose values are files; the others are typed.
    """
    asked = " ".join(f"--{name} {_asked_for(spec, name in files)}" for name, spec in specs.items())
    return f"{shlex.join(['mmzoo', 'predict', str(run.folder)])} {asked}"


def _asked_for(spec: tf.TensorSpec, file: bool) -> str:
    if file:
        return "FILE" if spec.shape.rank == 1 else "FOLDER"
    return {tf.string: "TEXT", tf.bool: "true"}.get(spec.dtype, "NUMBER")


def typed(words: Iterable[str]) -> Values:
    """Reads `--input value ...` as a command line gives it.

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


def open_export(run: Run, catalog: Catalog | None = None) -> Exported:
    """Finds the newest exported version of a run; loads no model yet.

    Raises:
        RunError: There is no run, or it has no exported model.
        PluginError: A plugin that the run was made with is not here any more.
    """
    if not run.plan.exists():
        raise RunError(f"{run.folder}: there is no run. `mmzoo build RECIPE` makes one.")
    versions = [path for path in run.export.glob("[0-9]*") if path.name.isdigit()]
    if not versions:
        raise RunError(f"{run.folder}: the run has no exported model. `mmzoo export {run.folder}` makes it.")
    folder = max(versions, key=lambda path: int(path.name))
    encoders = run.load_json(run.plan)["recipe"]["encoders"]
    return Exported(folder, _signatures(folder), _files(run, catalog or discover()), frozenset(encoders))


def _signatures(folder: Path) -> dict[str, dict[str, tf.TensorSpec]]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise RunError(f"{folder}: the exported model is incomplete: {error}. `mmzoo export` makes it anew.") from error
    found = model.meta_graphs[0].signature_def
    return {
        name: {
            one: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for one, info in sorted(found[name].inputs.items())  # they come in any order
        }
        for name in sorted(found)
        if not name.startswith("__")
    }


def _files(run: Run, catalog: Catalog) -> frozenset[str]:
    inputs = run.load_json(run.plan)["recipe"]["inputs"]
    return frozenset(name for name, column in inputs.items() if catalog.get("processor", column["type"]).load().from_file)


def _pictures(file: str) -> int:
    """Counts the pictures of an animated GIF; 1 of any other file."""
    try:
        content = Path(file).read_bytes()
        return len(tf.io.decode_gif(content)) if content.startswith(b"GIF8") else 1
    except (OSError, tf.errors.OpError):  # the model says what it makes of the file
        return 1


def _check(values: Values, specs: Mapping[str, Any], who: str, encoded: Container[str]) -> None:
    """Holds what was typed against the inputs of a signature."""
    for name, groups in values.items():
        if name not in specs:
            raise MmzooError(f"--{name}: {who} takes no such input. {suggest(name, specs)}")
        if not all(groups):
            raise MmzooError(f"--{name}: expected one or more values after it.")
    if missing := lacking(values, specs, encoded):
        named = " and ".join(f"--{name}" for name in missing)
        raise MmzooError(f"{who} needs {named}, each with one or more values after it.")


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return as_text(value)
    return [_value(one) for one in value] if np.ndim(value) else value.item()


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(one) for one in value]
    return {"b64": b64encode(value).decode()} if isinstance(value, bytes) else value
