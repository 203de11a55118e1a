"""Signatures -> SavedModel: written beside, checked in a fresh process, renamed. Only what a stock server answers counts."""

import importlib.util
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.data import Data, one_each
from mmzoo.errors import ExportError
from mmzoo.evaluate import plain
from mmzoo.plan import Plan
from mmzoo.progress import Screen
from mmzoo.run import Run, replacing
from mmzoo.serving import Served

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Ops that call back into Python, which a server has not."""
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
    for owner, op in sorted(_ops(concrete)):
        if op in PYTHON_OPS:
            yield f"{owner}: the op {op} calls Python, which the server has not. Write it in graph ops."
        elif op.startswith("Xla"):
            yield f"{owner}: the op {op} needs XLA, which the server leaves off. Export under the TensorFlow backend."
        elif not _is_tensorflow(op) and op.replace(">", "_") not in _text_ops():
            yield f"{owner}: the op {op} is neither TensorFlow's nor TF Text's, so the server has it not."
    for function in concrete.graph.as_graph_def().library.function:
        if function.attr["_XlaMustCompile"].b:
            yield f"{function.signature.name}: it is compiled by XLA, which the server leaves off. Remove jit_compile."


def _ops(concrete: Any) -> set[tuple[str, str]]:
    """Finds each op with what names it best: its node, or the function that it stands in."""
    definition = concrete.graph.as_graph_def()
    functions = {function.signature.name: function.node_def for function in definition.library.function}
    ops = {(node.name, node.op) for node in definition.node}
    ops |= {(name, node.op) for name, nodes in functions.items() for node in nodes}
    return {(owner, op) for owner, op in ops if op not in functions}


def _is_tensorflow(op: str) -> bool:
    return op.startswith("_") or hasattr(tf.raw_ops, op)  # an underscore marks ops of TensorFlow that only it may use


@cache
def _text_ops() -> frozenset[str]:
    """Lists TF Text's ops as Python writes them: `TFText_Utf8Binarize` for `TFText>Utf8Binarize`."""
    return frozenset(chain.from_iterable(dir(tf.load_op_library(library)) for library in text_libraries()))


def text_libraries() -> list[str]:
    """Lists the libraries of TF Text's ops, which every stock server links; none if TF Text is not installed."""
    spec = importlib.util.find_spec("tensorflow_text")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    return [str(path) for folder in folders for path in sorted(Path(folder).glob("python/*/_*.so"))]


def _output_faults(concrete: Any) -> Iterator[str]:
    for name, output in concrete.structured_outputs.items():
        if isinstance(output, tf.RaggedTensor | tf.SparseTensor):
            yield f"the output '{name}' is a {type(output).__name__}; a signature gives plain tensors alone."
        elif output.dtype not in TYPES:
            yield f"the output '{name}' is {output.dtype.name}, which the server's JSON does not know."
        elif output.shape.rank == 0:
            yield f"the output '{name}' is a scalar; every output's first axis is the batch."
        elif output.shape.rank is not None and output.shape[0] is not None:
            yield f"the output '{name}' has {output.shape[0]} rows whatever the batch; every output's first axis is the batch."


def _verify(served: Served, data: Data, folder: Path, examples: int) -> None:
    questions = _questions(served, data, examples)
    expected = {name: served.functions[name](*raw.values()) for name, raw in questions.items()}
    for name, outputs in expected.items():
        _check_answers(name, outputs, len(next(iter(questions[name].values()))))
    request = {
        "folder": str(folder),
        "libraries": _libraries(served),
        "inputs": {name: {one: _plain(value.numpy()) for one, value in raw.items()} for name, raw in questions.items()},
    }
    for loader, answers in _ask_fresh_process(request).items():
        for name, outputs in expected.items():
            _compare(f"{name}, loaded by {loader}", outputs, answers[name])


def _questions(served: Served, data: Data, examples: int) -> dict[str, dict[str, tf.Tensor]]:
    batch = next(iter(data.raw_batches(data.held_out(), examples)))
    raw = {name: one_each(batch[name], len(served.spec(name).shape)) for name in data.processors}
    # A row that cannot be read must neither fail nor change the others.
    blank = {name: tf.concat([value, tf.zeros([1, *value.shape[1:]], value.dtype)], 0) for name, value in raw.items()}
    several = {name: tf.stack([value, tf.roll(value, 1, axis=0)], axis=1) for name, value in blank.items()}
    return {
        name: {one: several[signature.reads[one]] if one in signature.reads else blank[one] for one in signature.inputs}
        for name, signature in served.answers.items()
    }


def _libraries(served: Served) -> list[str]:
    """Lists the libraries that the model needs beside TensorFlow: TF Text's if it uses one of its ops."""
    concrete = [function.get_concrete_function() for function in served.functions.values()]
    own = all(_is_tensorflow(op) for one in concrete for _, op in _ops(one))
    return [] if own else text_libraries()


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
    script = Path(__file__).with_name("fresh.py")
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
