"""Loads a SavedModel as a server would, and answers requests; a script that `export` runs without mmzoo and Keras.

Reads `{"folder": ..., "libraries": [...], "inputs": {signature: {input: values}}}` from standard input and loads the libraries
of ops. Prints the outputs of each signature, for each of TensorFlow's two loaders. Strings are base64 with their shape.
"""

import json
import sys
from base64 import b64decode, b64encode
from typing import Any

import numpy as np

if __name__ == "__main__":  # without this TensorFlow imports Keras if it is installed
    sys.modules["keras"] = sys.modules["mmzoo"] = None  # type: ignore[assignment]

import tensorflow as tf


def decoded(values: Any) -> Any:
    """Converts JSON data of the request to an array."""
    if not isinstance(values, dict):
        return np.array(values)
    return np.array([b64decode(value) for value in values["b64"]], dtype=object).reshape(values["shape"])


def encoded(values: Any) -> Any:
    """Converts an array of the answer to JSON data."""
    values = np.asarray(values)
    if values.dtype == object:
        return {"b64": [b64encode(value).decode() for value in values.ravel()], "shape": list(values.shape)}
    return values.tolist()


def by_saved_model(folder: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Loads with `tf.saved_model.load`; returns signature -> output -> value."""
    model, answers = tf.saved_model.load(folder), {}
    for name, raw in inputs.items():
        specs = model.signatures[name].structured_input_signature[1]
        outputs = model.signatures[name](**{key: tf.constant(decoded(value), specs[key].dtype) for key, value in raw.items()})
        answers[name] = {output: encoded(value.numpy()) for output, value in outputs.items()}
    return answers


def by_session(folder: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Loads with the loader and session of TensorFlow 1, as TF Serving does; it refuses models that the other one takes."""
    answers = {}
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signatures = tf.compat.v1.saved_model.loader.load(session, ["serve"], folder).signature_def
        for name, raw in inputs.items():
            signature = signatures[name]
            fetches = {output: info.name for output, info in signature.outputs.items()}
            feed = {signature.inputs[key].name: decoded(value) for key, value in raw.items()}
            answers[name] = {output: encoded(value) for output, value in session.run(fetches, feed).items()}
    return answers


if __name__ == "__main__":
    request = json.load(sys.stdin)
    for library in request["libraries"]:
        tf.load_op_library(library)
    loaders = {"tf.saved_model.load": by_saved_model, "the v1 Session loader": by_session}
    print(json.dumps({name: load(request["folder"], request["inputs"]) for name, load in loaders.items()}))
