"""Signatures -> SavedModel: written to a temporary folder, checked in a fresh process, and renamed if its answers are right."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.head import Signature
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import first_values, plain
from mmzoo.data.splits import Data
from mmzoo.errors import ExportError
from mmzoo.recipe.plan import Plan
from mmzoo.run.atomic import replacing
from mmzoo.run.folder import Run
from mmzoo.serving.audit import audit, libraries_of
from mmzoo.serving.served import Served

TOLERANCE = 1e-4
"""The largest difference between an exported number and the task's own, relative or absolute."""


def export(plan: Plan, run: Run, served: Served, data: Data, screen: Screen) -> Path:
    """Writes the served task to `export/<version>` of the run.

    The model is first written to a folder whose name no server takes for a version. A process without mmzoo and Keras loads it
    with both of TensorFlow's loaders and answers held-out examples. Only if the answers are those of the task, the folder is
    renamed.

    Returns:
        The folder of the version.

    Raises:
        ExportError: A stock TF Serving could not run the model, or its answers differ; the message names the signature.
        RunError: The folder cannot be written.
    """
    screen.say("export    writing the model, and checking its answers in a fresh process")
    version = run.export / str(plan.export.version)
    audit(served)
    with replacing(version) as temporary:
        signatures = {"serving_default": served.functions[served.default], **served.functions}
        tf.saved_model.save(served, str(temporary), signatures=signatures)
        _verify(served, data, temporary, plan.export.examples)
    return version


def _verify(served: Served, data: Data, folder: Path, examples: int) -> None:
    """Checks that an exported model gives the task's own answers for held-out examples."""
    requests = _requests(served, data, examples)
    expected = {name: served.functions[name](*raw.values()) for name, raw in requests.items()}
    for name, outputs in expected.items():
        _check_outputs(name, outputs, len(next(iter(requests[name].values()))))
    request = {
        "folder": str(folder),
        "libraries": libraries_of(served),
        "inputs": {
            name: {input_name: _json(value.numpy()) for input_name, value in raw.items()} for name, raw in requests.items()
        },
    }
    for loader, answers in _ask_fresh_process(request).items():
        for name, outputs in expected.items():
            _compare(f"{name}, loaded by {loader}", outputs, answers[name])


def _requests(served: Served, data: Data, examples: int) -> dict[str, dict[str, tf.Tensor]]:
    """Makes a batch of raw values for each signature, from the first held-out examples and a blank one."""
    batch = next(iter(data.raw_batches(data.held_out(), examples)))
    data.check_again(data.held_out(), batch, 0)
    raw = {name: first_values(batch[name], len(served.spec(name).shape)) for name in data.processors}
    # The blank row cannot be read. It must neither fail nor change the answers of the others.
    single = {name: tf.concat([value, tf.zeros([1, *value.shape[1:]], value.dtype)], 0) for name, value in raw.items()}
    lists = {name: tf.stack([value, tf.roll(value, 1, axis=0)], axis=1) for name, value in single.items()}

    def value(signature: Signature, name: str) -> tf.Tensor:
        if name == signature.seed:
            return tf.range(len(next(iter(single.values()))), dtype=tf.int64)
        return lists[signature.reads[name]] if name in signature.reads else single[name]

    return {name: {one: value(signature, one) for one in signature.inputs} for name, signature in served.answers.items()}


def _check_outputs(signature: str, outputs: Mapping[str, tf.Tensor], rows: int) -> None:
    """Checks what `audit` cannot see in a graph.

    Raises:
        ExportError: The first axis of an output is not the batch, or bytes would be sent as text in the server's JSON.
    """
    for name, value in outputs.items():
        where = f"the output '{name}' of the signature '{signature}'"
        if len(value) != rows:
            what = f"{where} has {len(value)} rows for a batch of {rows}"
            raise ExportError(f"{what}; the first axis of every output must be the batch.")
        if value.dtype == tf.string and not name.endswith("_bytes") and not _is_text(value):
            what = f"{where} holds bytes that are not UTF-8 text, which the server's JSON garbles"
            raise ExportError(f"{what}. Name it '{name}_bytes'.")


def _is_text(value: tf.Tensor) -> bool:
    return not any(isinstance(plain(one), bytes) for one in value.numpy().ravel())


def _ask_fresh_process(request: Mapping[str, Any]) -> dict[str, Any]:
    """Runs `verify_export.py` in a process of its own: loader -> signature -> output -> value."""
    script = Path(__file__).with_name("verify_export.py")
    # -P keeps the folder of the script, and so mmzoo, off the import path.
    done = subprocess.run(
        [sys.executable, "-P", str(script)], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ExportError(f"the exported model does not load or answer in a fresh process: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def _json(values: Any) -> Any:
    """Converts an array to JSON data; strings to base64 with their shape."""
    if values.dtype == object:
        return {"b64": [b64encode(value).decode() for value in values.ravel()], "shape": list(values.shape)}
    return values.tolist()


def _compare(where: str, expected: Mapping[str, Any], actual: Mapping[str, Any]) -> None:
    if set(expected) != set(actual):
        what = f"the exported model has other outputs in {where}"
        raise ExportError(f"{what}: {sorted(actual)}, expected {sorted(expected)}.")
    for name, value in expected.items():
        wanted = value.numpy()
        same = _json(wanted) == actual[name] if wanted.dtype == object else _close(wanted, np.array(actual[name]))
        if not same:
            raise ExportError(f"the exported model and the task give different answers: output '{name}' of {where}.")


def _close(expected: Any, actual: Any) -> bool:
    close = partial(np.allclose, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return expected.shape == actual.shape and bool(close(expected.astype("float64"), actual))
