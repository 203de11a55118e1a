"""Checks that a stock TF Serving can run every signature: its ops, and the dtypes and shapes of its outputs."""

import importlib.util
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import tensorflow as tf

from mmzoo.errors import ExportError
from mmzoo.serving.served import Served

PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
"""Ops that call Python, which is not on a server."""
JSON_TYPES = (tf.string, tf.bool, tf.float32, tf.float64, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint32, tf.uint64)
"""The dtypes that the server can write as JSON."""


def audit(served: Served) -> None:
    """Checks that a stock TF Serving can run every signature and return its outputs as JSON.

    Raises:
        ExportError: The server has not an op, or cannot return an output; the message names the part of the task that made it.
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
            yield f"{owner}: the op {op} calls Python, which the server does not have. Write it in graph ops."
        elif op.startswith("Xla"):
            yield f"{owner}: the op {op} needs XLA, which is turned off on the server. Export under the TensorFlow backend."
        elif not _is_tensorflow(op) and op.replace(">", "_") not in _text_ops():
            yield f"{owner}: the op {op} is neither TensorFlow's nor TF Text's, so the server does not have it."
    for function in concrete.graph.as_graph_def().library.function:
        if function.attr["_XlaMustCompile"].b:
            yield f"{function.signature.name}: it is compiled by XLA, which is turned off on the server. Remove jit_compile."


def _ops(concrete: Any) -> set[tuple[str, str]]:
    """Returns each op with the name of its node, or of the function that the node is in."""
    definition = concrete.graph.as_graph_def()
    functions = {function.signature.name: function.node_def for function in definition.library.function}
    ops = {(node.name, node.op) for node in definition.node}
    ops |= {(name, node.op) for name, nodes in functions.items() for node in nodes}
    return {(owner, op) for owner, op in ops if op not in functions}


def _is_tensorflow(op: str) -> bool:
    return op.startswith("_") or hasattr(tf.raw_ops, op)  # an underscore marks internal ops of TensorFlow


@cache
def _text_ops() -> frozenset[str]:
    """Lists TF Text's ops by their names in Python: `TFText_Utf8Binarize` for `TFText>Utf8Binarize`."""
    return frozenset(chain.from_iterable(dir(tf.load_op_library(library)) for library in text_libraries()))


def text_libraries() -> list[str]:
    """Lists the libraries with TF Text's ops, which every stock server links; none if TF Text is not installed."""
    spec = importlib.util.find_spec("tensorflow_text")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    return [str(path) for folder in folders for path in sorted(Path(folder).glob("python/*/_*.so"))]


def libraries_of(served: Served) -> list[str]:
    """Lists the libraries that a model needs beside TensorFlow: those of TF Text if it uses one of its ops."""
    functions = [function.get_concrete_function() for function in served.functions.values()]
    core_only = all(_is_tensorflow(op) for concrete in functions for _, op in _ops(concrete))
    return [] if core_only else text_libraries()


def _output_faults(concrete: Any) -> Iterator[str]:
    for name, output in concrete.structured_outputs.items():
        if isinstance(output, tf.RaggedTensor | tf.SparseTensor):
            yield f"the output '{name}' is a {type(output).__name__}; a signature can return only dense tensors."
        elif output.dtype not in JSON_TYPES:
            yield f"the output '{name}' is {output.dtype.name}, which the server cannot write as JSON."
        elif output.shape.rank == 0:
            yield f"the output '{name}' is a scalar; the first axis of every output must be the batch."
        elif output.shape.rank is not None and output.shape[0] is not None:
            yield f"the output '{name}' always has {output.shape[0]} rows; the first axis of every output must be the batch."
