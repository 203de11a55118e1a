"""Signatures -> SavedModel: written beside, checked in a fresh process, renamed. Only what a stock server answers counts."""

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
"""How far a served number may be from the task's own, relative or absolute."""


def export(plan: Plan, run: Run, served: Served, data: Data, screen: Screen) -> Path:
    """Writes the served task as `export/<version>` of the run.

    The model is written under a name that no server takes for a version, loaded in a process without mmzoo and Keras by both
    of TensorFlow's loaders, asked about held-out examples, and renamed only if it answers as the task does.

    Returns:
        The version's folder.

    Raises:
        ExportError: A stock TF Serving could not run it, or it answers otherwise; the culprit is named.
        RunError: The folder cannot be written.
    """
    screen.say("export    writing and asking it in a fresh process")
    version = run.export / str(plan.export.version)
    audit(served)
    with replacing(version) as beside:
        signatures = {"serving_default": served.functions[served.default], **served.functions}
        tf.saved_model.save(served, str(beside), signatures=signatures)
        _verify(served, data, beside, plan.export.examples)
    return version


def _verify(served: Served, data: Data, folder: Path, examples: int) -> None:
    questions = _questions(served, data, examples)
    expected = {name: served.functions[name](*raw.values()) for name, raw in questions.items()}
    for name, outputs in expected.items():
        _check_answers(name, outputs, len(next(iter(questions[name].values()))))
    request = {
        "folder": str(folder),
        "libraries": libraries_of(served),
        "inputs": {name: {one: _plain(value.numpy()) for one, value in raw.items()} for name, raw in questions.items()},
    }
    for loader, answers in _ask_fresh_process(request).items():
        for name, outputs in expected.items():
            _compare(f"{name}, loaded by {loader}", outputs, answers[name])


def _questions(served: Served, data: Data, examples: int) -> dict[str, dict[str, tf.Tensor]]:
    batch = next(iter(data.raw_batches(data.held_out(), examples)))
    raw = {name: first_values(batch[name], len(served.spec(name).shape)) for name in data.processors}
    # A row that cannot be read must neither fail nor change the others.
    blank = {name: tf.concat([value, tf.zeros([1, *value.shape[1:]], value.dtype)], 0) for name, value in raw.items()}
    several = {name: tf.stack([value, tf.roll(value, 1, axis=0)], axis=1) for name, value in blank.items()}
    return {
        name: {one: several[signature.reads[one]] if one in signature.reads else blank[one] for one in signature.inputs}
        for name, signature in served.answers.items()
    }


def _check_answers(signature: str, outputs: Mapping[str, tf.Tensor], rows: int) -> None:
    """Holds answers against what cannot be seen in a graph.

    Raises:
        ExportError: An output whose first axis is not the batch, or bytes that the server's JSON would take for text.
    """
    for name, value in outputs.items():
        where = f"the output '{name}' of the signature '{signature}'"
        if len(value) != rows:
            raise ExportError(f"{where} has {len(value)} rows for a batch of {rows}; every output's first axis is the batch.")
        if value.dtype == tf.string and not name.endswith("_bytes") and not _is_text(value):
            raise ExportError(f"{where} holds bytes that are no text, which the server's JSON garbles. Name it '{name}_bytes'.")


def _is_text(value: tf.Tensor) -> bool:
    return not any(isinstance(plain(one), bytes) for one in value.numpy().ravel())


def _ask_fresh_process(request: Mapping[str, Any]) -> dict[str, Any]:
    script = Path(__file__).with_name("verify_export.py")
    # -P keeps mmzoo's folder off the path.
    done = subprocess.run(
        [sys.executable, "-P", str(script)], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ExportError(f"the exported model does not load or answer in a fresh process: {last[0]}")
    return json.loads(done.stdout.splitlines()[-1])


def _plain(values: Any) -> Any:
    if values.dtype == object:
        return {"b64": [b64encode(value).decode() for value in values.ravel()], "shape": list(values.shape)}
    return values.tolist()


def _compare(where: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if set(expected) != set(found):
        raise ExportError(f"the exported model gives other outputs in {where}: {sorted(found)}, expected {sorted(expected)}.")
    for name, value in expected.items():
        want = value.numpy()
        same = _plain(want) == found[name] if want.dtype == object else _close(want, np.array(found[name]))
        if not same:
            raise ExportError(f"the exported model answers otherwise than the task: output '{name}' of {where}.")


def _close(want: Any, found: Any) -> bool:
    close = partial(np.allclose, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return want.shape == found.shape and bool(close(want.astype("float64"), found))
