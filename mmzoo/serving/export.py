"""Signatures -> SavedModel: written to a temporary folder, checked in a fresh process, and renamed if its answers are right."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Container, Mapping, Sequence
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
from mmzoo.serving.argument_names import argument_name, name_inputs
from mmzoo.serving.audit import audit, libraries_of
from mmzoo.serving.served import Served
from mmzoo.serving.verify_export import decoded, encoded

TOLERANCES = {"float32": 1e-4, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}
"""Precision -> the largest difference between an exported number and the task's own, relative or absolute; both on the CPU."""
ROWS = 33
"""Rows of the largest batch that is asked, or more: not a multiple of what a kernel computes at a time."""
SECONDS = 1800
"""The longest that the fresh process may take."""

Answers = Sequence[Mapping[str, np.ndarray]]
"""For each batch that a signature is asked: output -> value."""


def export(plan: Plan, run: Run, served: Served, data: Data, screen: Screen) -> Path:
    """Writes the served task to `export/<version>` of the run.

    The model is first written to a folder whose name no server takes for a version. A process without mmzoo and Keras loads it
    with both of TensorFlow's loaders, on the CPU, and answers batches of held-out examples. Only if the answers are those of
    the task, the folder is renamed.

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
        inputs = {name: signature.inputs for name, signature in served.answers.items()}
        name_inputs(temporary, {"serving_default": inputs[served.default], **inputs})
        _verify(plan, served, data, temporary, screen)
    return version


def _verify(plan: Plan, served: Served, data: Data, folder: Path, screen: Screen) -> None:
    """Checks that an exported model gives the task's own answers for held-out examples."""
    batches = _batches(served, data, plan.export.examples)
    expected = {name: [_answers(served, name, raw) for raw in asked] for name, asked in batches.items()}
    request = {
        "folder": str(folder),
        "libraries": libraries_of(served),
        "arguments": {one: argument_name(one) for signature in served.answers.values() for one in signature.inputs},
        "inputs": {
            name: [{one: encoded(value.numpy()) for one, value in raw.items()} for raw in asked]
            for name, asked in batches.items()
        },
    }
    for loader, answers in _ask_fresh_process(request).items():
        for name, outputs in expected.items():
            found = [{output: decoded(value) for output, value in batch.items()} for batch in answers[name]]
            where = f"{name}, loaded by {loader}"
            if tied := _compare(where, outputs, found, TOLERANCES[plan.export.precision]):
                screen.say(f"export    {tied} rows have other answers of the same score in {where}")


def _answers(served: Served, name: str, raw: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    with tf.device("/CPU:0"):  # as the fresh process: a GPU rounds otherwise, and multiplies in TF32
        outputs = served.functions[name](*raw.values())
    _check_outputs(name, outputs, len(next(iter(raw.values()))))
    return {output: value.numpy() for output, value in outputs.items()}


def _batches(served: Served, data: Data, examples: int) -> dict[str, list[dict[str, tf.Tensor]]]:
    """Makes the batches of raw values that each signature is asked.

    They have no rows; one; two that cannot be read; and the first held-out examples with a blank one, repeated to `ROWS`. The
    blank row cannot be read. It must neither fail nor change the answers of the others.
    """
    batch = next(iter(data.raw_batches(data.held_out(), examples)))
    data.check_again(data.held_out(), batch, 0)
    single = {name: first_values(batch[name], len(served.spec(name).shape)) for name in data.processors}
    single = {name: tf.concat([value, tf.zeros([1, *value.shape[1:]], value.dtype)], 0) for name, value in single.items()}
    count = len(next(iter(single.values())))
    places = [[], [0], [count - 1] * 2, [row % count for row in range(max(ROWS, count))]]

    def value(signature: Signature, name: str, rows: list[int]) -> tf.Tensor:
        if name == signature.seed:
            return tf.range(len(rows), dtype=tf.int64)
        chosen = tf.gather(single[signature.reads.get(name, name)], tf.constant(rows, tf.int32))
        return tf.stack([chosen, tf.roll(chosen, 1, axis=0)], axis=1) if name in signature.reads else chosen

    return {
        name: [{one: value(signature, one, rows) for one in signature.inputs} for rows in places]
        for name, signature in served.answers.items()
    }


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
    """Runs `verify_export.py` in a process of its own, on the CPU: loader -> signature -> for each batch: output -> value."""
    script = Path(__file__).with_name("verify_export.py")
    what = "the exported model does not load or answer in a fresh process"
    # -P keeps the folder of the script, and so mmzoo, off the import path.
    command, cpu = [sys.executable, "-P", str(script)], os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, check=False, env=cpu, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{what}: it has not answered within {SECONDS / 60:.0f} minutes.") from error
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:  # it was ended before it could say why
        ended = f"{signal.Signals(-done.returncode).name} ended it" if done.returncode < 0 else f"exit code {done.returncode}"
        raise ExportError("\n".join([f"{what}: {ended}.", done.stderr.strip()]).strip()) from error
    if "reason" in said:
        raise ExportError(f"{what}: {said['reason']}")
    return dict(said["answers"])


def _compare(where: str, expected: Answers, actual: Answers, tolerance: float) -> int:
    """Checks that a signature gives the task's own answers.

    A row whose answers tie, such as two captions of a beam, may give the other one: its text or whole numbers differ, and a
    number of the same row, its score, does not. So may at most half of the rows.

    Returns:
        How many rows that are.

    Raises:
        ExportError: An answer is another one.
    """
    same: dict[str, list[np.ndarray]] = {name: [] for name in expected[0]}
    for wanted, found in zip(expected, actual, strict=True):
        if set(wanted) != set(found):
            what = f"the exported model has other outputs in {where}"
            raise ExportError(f"{what}: {sorted(found)}, expected {sorted(wanted)}.")
        for name, value in wanted.items():
            same[name].append(_same_rows(value, found[name], tolerance))
    rows = {name: np.concatenate(parts) for name, parts in same.items()}
    scores = {name for name, value in expected[0].items() if value.dtype.kind == "f"}
    tied = _ties(rows, scores)
    for name, one in rows.items():
        if not np.all(one | (tied if 2 * np.sum(tied) <= len(tied) else False)):
            raise ExportError(f"the exported model and the task give different answers: output '{name}' of {where}.")
    return int(np.sum(tied))


def _same_rows(expected: np.ndarray, actual: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns which rows are the same, `(rows,)`; none if the shapes differ."""
    if expected.shape != actual.shape:
        return np.zeros(len(expected), bool)
    if expected.dtype.kind == "f":
        same = np.isclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        same = np.asarray(expected == actual)
    return np.all(same, axis=tuple(range(1, same.ndim)))


def _ties(same: Mapping[str, np.ndarray], scores: Container[str]) -> np.ndarray:
    """Returns the rows, `(rows,)`, where a text or whole number differs while a score is the same."""
    rows = np.zeros(len(next(iter(same.values()))), bool)
    same_score = np.any([rows, *(one for name, one in same.items() if name in scores)], axis=0)
    same_rest = np.all([~rows, *(one for name, one in same.items() if name not in scores)], axis=0)
    return same_score & ~same_rest & same.get("ok", ~rows) & same.get("reason", ~rows)
