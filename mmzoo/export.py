"""Signatures -> SavedModel: written beside, checked in a fresh process, renamed. Only what a stock server answers counts."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.data import Data, one_each
from mmzoo.errors import ExportError
from mmzoo.plan import Plan
from mmzoo.progress import Screen
from mmzoo.run import Run, replacing
from mmzoo.serving import Served

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Ops that call back into Python, which a server has not."""
XLA_OPS = frozenset({"XlaCallModule", "XlaLaunch"})
"""Ops that need XLA, which a stock server leaves off."""
TYPES = (tf.string, tf.bool, tf.float32, tf.float64, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64)
"""The types that the server's JSON knows."""
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


def audit(served: Served) -> None:
    """Holds every signature against what a stock TF Serving can run and can say.

    Raises:
        ExportError: An op that it lacks, an output that it cannot express; with the part of the task that made it.
    """
    for name, function in served.functions.items():
        concrete = function.get_concrete_function()
        faults = [*_op_faults(concrete), *_output_faults(concrete)]
        if faults:
            lines = "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
            raise ExportError(f"the signature '{name}' cannot be served by a stock TF Serving.\n{lines}")


def _op_faults(concrete: Any) -> Iterator[str]:
    definition = concrete.graph.as_graph_def()
    known = set(dir(tf.raw_ops))
    nodes = [(node, node.name) for node in definition.node]
    nodes += [(node, function.signature.name) for function in definition.library.function for node in function.node_def]
    for node, owner in nodes:
        if node.op in PYTHON_OPS:
            yield f"{owner}: the op {node.op} calls Python, which the server has not. Write it in graph ops."
        elif node.op in XLA_OPS:
            yield f"{owner}: the op {node.op} needs XLA, which the server leaves off. Export under the TensorFlow backend."
    for function in definition.library.function:
        if function.attr["_XlaMustCompile"].b:
            yield f"{function.signature.name}: it is compiled by XLA, which the server leaves off. Remove jit_compile."
    called = {function.signature.name for function in definition.library.function}
    for op in sorted({node.op for node, _ in nodes} - called - PYTHON_OPS):
        if op not in known and not op.startswith("_") and not _is_text_op(op):
            yield f"the op {op} is neither TensorFlow's nor TF Text's; a stock server has it not."


def _is_text_op(op: str) -> bool:
    """Whether TF Text, which stock servers link, brings the op: it is registered, and not by TensorFlow itself."""
    return "tensorflow_text" in sys.modules and any(
        word in op for word in ("Tokenize", "Regex", "Normalize", "Sentence", "CaseFold")
    )


def _output_faults(concrete: Any) -> Iterator[str]:
    for name, output in concrete.structured_outputs.items():
        if isinstance(output, tf.RaggedTensor | tf.SparseTensor):
            yield f"the output '{name}' is a {type(output).__name__}; a signature gives plain tensors alone."
        elif output.dtype not in TYPES:
            yield f"the output '{name}' is {output.dtype.name}, which the server's JSON does not know."
        elif output.shape.rank == 0:
            yield f"the output '{name}' is a scalar; every output's first axis is the batch."


def _verify(served: Served, data: Data, folder: Path, examples: int) -> None:
    questions = _questions(served, data, examples)
    expected = {name: served.functions[name](*raw) for name, raw in questions.items()}
    request = {
        "folder": str(folder),
        "inputs": {
            name: {
                spec.name: _plain(value.numpy())
                for spec, value in zip(served.functions[name].input_signature, raw, strict=True)
            }
            for name, raw in questions.items()
        },
    }
    answered = _ask_fresh_process(request)
    for loader, answers in answered.items():
        for name, outputs in expected.items():
            _compare(f"{name}, loaded by {loader}", outputs, answers[name])


def _questions(served: Served, data: Data, examples: int) -> dict[str, list[tf.Tensor]]:
    batch = next(iter(data.raw_batches(data.held_out(), examples)))
    raw = {name: one_each(batch[name], len(served.spec(name).shape)) for name in data.processors}
    # A row that cannot be read must neither fail nor change the others.
    return {
        name: [tf.concat([raw[one], tf.fill([1, *raw[one].shape[1:]], b"")], 0) for one in signature.inputs]
        for name, signature in served.answers.items()
    }


def _ask_fresh_process(request: Mapping[str, Any]) -> dict[str, Any]:
    script = Path(__file__).with_name("fresh.py")
    # -P keeps mmzoo's folder off the path, so the process sees TensorFlow alone.
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
    return want.shape == found.shape and np.allclose(want.astype("float64"), found, rtol=TOLERANCE, atol=TOLERANCE)
