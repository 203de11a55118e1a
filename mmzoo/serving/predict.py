"""Run, raw values -> answers of its exported model: what a server would answer. Assembles no task."""

import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from mmzoo.errors import MmzooError, RunError, suggest
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.serving.raw_values import SignatureInputs

DEFAULT = "serving_default"
"""The signature that TF Serving answers when none is named."""


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

    def inputs(self, signature: str | None = None) -> SignatureInputs:
        """Returns the inputs of a signature; of the default one if none is named.

        Raises:
            MmzooError: There is no such signature.
        """
        name = signature or DEFAULT
        if name not in self.signatures:
            known = [one for one in self.signatures if one != DEFAULT]
            raise MmzooError(f"{self.folder}: the exported model has no signature '{name}'. {suggest(name, known)}")
        who = "the exported model" if name == DEFAULT else f"the signature '{name}'"
        return SignatureInputs(who, self.signatures[name], self.encoded)

    def predict(self, raw: Mapping[str, tf.Tensor], signature: str | None = None) -> dict[str, np.ndarray]:
        """Answers a batch.

        Args:
            raw: What `SignatureInputs.complete` makes.
            signature: Which one; the default one if not given.

        Returns:
            Output name -> array whose first axis is the batch.
        """
        outputs = tf.saved_model.load(str(self.folder)).signatures[signature or DEFAULT](**raw)
        return {name: value.numpy() for name, value in sorted(outputs.items())}


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
    encoders = run.load_plan()["encoders"]
    return Exported(folder, _signatures(folder), _files(run, catalog or discover()), frozenset(encoders))


def predict_command(run: Run, specs: Mapping[str, tf.TensorSpec], files: Container[str]) -> str:
    """Writes the command that asks a run's exported model.

    Args:
        run: Exported, or about to be.
        specs: Of the signature, by input, batched.
        files: The inputs whose values are files; the others are typed.
    """
    asked = " ".join(f"--{name} {_placeholder(spec, name in files)}" for name, spec in specs.items())
    return f"{shlex.join(['mmzoo', 'predict', str(run.folder)])} {asked}"


def _placeholder(spec: tf.TensorSpec, file: bool) -> str:
    if file:
        return "FILE" if spec.shape.rank == 1 else "FOLDER"
    return {tf.string: "TEXT", tf.bool: "true"}.get(spec.dtype, "NUMBER")


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
    inputs = run.load_plan()["inputs"]
    return frozenset(name for name, column in inputs.items() if catalog.get("processor", column["type"]).load().from_file)
