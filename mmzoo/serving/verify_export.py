"""Loads a SavedModel as a server would, and answers requests; a script that `export` runs without mmzoo and Keras.

Reads `{"folder": ..., "libraries": [...], "arguments": {input: ASCII name}, "inputs": {signature: [{input: values}, ...]}}`
from standard input, with the batches of each signature, and loads the libraries of ops. Prints `{"answers": {loader:
{signature: [{output: values}, ...]}}}` for each of TensorFlow's two loaders, or `{"reason": ...}`. Arrays are base64 with their
dtype and shape.
"""

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

if __name__ == "__main__":  # without this TensorFlow imports Keras if it is installed
    sys.modules["keras"] = sys.modules["mmzoo"] = None  # type: ignore[assignment]

import tensorflow as tf


def decoded(array: Any) -> np.ndarray:
    """Converts JSON data of the request to an array."""
    if array["dtype"] == "object":
        return np.array([b64decode(value) for value in array["b64"]], dtype=object).reshape(array["shape"])
    return np.frombuffer(b64decode(array["b64"]), array["dtype"]).reshape(array["shape"])


def encoded(values: Any) -> dict[str, Any]:
    """Converts an array to JSON data."""
    values = np.asarray(values)
    strings = values.dtype == object
    data = [b64encode(value).decode() for value in values.ravel()] if strings else b64encode(values.tobytes()).decode()
    return {"dtype": values.dtype.name, "shape": list(values.shape), "b64": data}


Batches = dict[str, list[dict[str, Any]]]


def by_saved_model(folder: str, inputs: Batches, arguments: dict[str, str]) -> Batches:
    """Loads with `tf.saved_model.load`; returns the outputs of each signature for each batch."""
    model = tf.saved_model.load(folder)

    def ask(name: str, raw: dict[str, np.ndarray]) -> dict[str, Any]:
        specs, named = model.signatures[name].structured_input_signature[1], {arguments[key]: one for key, one in raw.items()}
        return dict(model.signatures[name](**{key: tf.constant(value, specs[key].dtype) for key, value in named.items()}))

    return _asked(inputs, ask)


def by_session(folder: str, inputs: Batches) -> Batches:
    """Loads with the loader and session of TensorFlow 1, as TF Serving does; it refuses models that the other one takes."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signatures = tf.compat.v1.saved_model.loader.load(session, ["serve"], folder).signature_def

        def ask(name: str, raw: dict[str, np.ndarray]) -> dict[str, Any]:
            fetches = {output: info.name for output, info in signatures[name].outputs.items()}
            return dict(session.run(fetches, {signatures[name].inputs[key].name: value for key, value in raw.items()}))

        return _asked(inputs, ask)


def _asked(inputs: Batches, ask: Callable[[str, dict[str, np.ndarray]], dict[str, Any]]) -> Batches:
    return {
        name: [
            {output: encoded(value) for output, value in ask(name, {key: decoded(one) for key, one in raw.items()}).items()}
            for raw in batches
        ]
        for name, batches in inputs.items()
    }


if __name__ == "__main__":
    request = json.load(sys.stdin)
    loaders: dict[str, Callable[[str, Batches], Batches]] = {
        "tf.saved_model.load": partial(by_saved_model, arguments=request["arguments"]),
        "the v1 Session loader": by_session,
    }
    loader = "the libraries of ops"
    answers = {}
    try:
        for library in request["libraries"]:
            tf.load_op_library(library)
        for loader, load in loaders.items():
            answers[loader] = load(request["folder"], request["inputs"])
        print(json.dumps({"answers": answers}))
    except Exception as error:  # noqa: BLE001  # whatever it is, the user must hear it
        print(json.dumps({"reason": f"{type(error).__name__}, {loader}: {error}"}))
