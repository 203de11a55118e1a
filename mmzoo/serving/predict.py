"""Run, raw values -> answers of its exported model, as a server would give them. Assembles no task."""

import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.processor import Processor
from mmzoo.errors import MmzooError, RunError, suggest
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.serving.argument_names import argument_name
from mmzoo.serving.raw_values import SignatureInputs

DEFAULT = "serving_default"
"""The signature that TF Serving uses if a request names none."""


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Args:
        folder: The folder of the version.
        signatures: Signature -> input -> batched spec.
        files: The inputs whose values are files.
        encoded: The inputs that an example may lack, as long as it has another one of them.
        modalities: Input -> its modality.
    """

    folder: Path
    signatures: Mapping[str, Mapping[str, tf.TensorSpec]]
    files: frozenset[str]
    encoded: frozenset[str] = frozenset()
    modalities: Mapping[str, str] = field(default_factory=dict)

    def inputs(self, signature: str | None = None) -> SignatureInputs:
        """Returns the inputs of a signature; those of the default one if `signature` is None.

        Raises:
            MmzooError: The signature does not exist.
        """
        name = signature or DEFAULT
        if name not in self.signatures:
            known = [other for other in self.signatures if other != DEFAULT]
            raise MmzooError(f"{self.folder}: the exported model has no signature '{name}'. {suggest(name, known)}")
        owner = "the exported model" if name == DEFAULT else f"the signature '{name}'"
        return SignatureInputs(owner, self.signatures[name], self.encoded)

    def predict(self, raw: Mapping[str, tf.Tensor], signature: str | None = None) -> dict[str, np.ndarray]:
        """Answers a batch.

        Args:
            raw: Input -> tensor, from `SignatureInputs.complete`.
            signature: Name of the signature; the default one if None.

        Returns:
            Output name -> array whose first axis is the batch.
        """
        outputs = self._model.signatures[signature or DEFAULT](**{argument_name(name): value for name, value in raw.items()})
        return {name: value.numpy() for name, value in sorted(outputs.items())}

    @cached_property
    def _model(self) -> Any:
        return tf.saved_model.load(str(self.folder))


def open_export(run: Run, catalog: Catalog | None = None) -> Exported:
    """Finds the newest exported version of a run; loads no model yet.

    Raises:
        RunError: The folder holds no run, or the run has no exported model.
        PluginError: A plugin of the run is not installed any more.
    """
    if not run.plan.exists():
        raise RunError(f"{run.folder}: there is no run. `mmzoo build RECIPE` makes one.")
    versions = [path for path in run.export.glob("[0-9]*") if path.name.isdigit()]
    if not versions:
        raise RunError(f"{run.folder}: the run has no exported model. `mmzoo export {run.folder}` makes it.")
    folder = max(versions, key=lambda path: int(path.name))
    run = run.exporter()
    processors = _processors(run, catalog or discover())
    files = frozenset(name for name, processor in processors.items() if processor.from_file)
    modalities = {name: processor.modality for name, processor in processors.items()}
    return Exported(folder, _signatures(folder), files, frozenset(run.load_plan()["encoders"]), modalities)


def predict_command(run: Run, specs: Mapping[str, tf.TensorSpec], files: Container[str]) -> str:
    """Formats the command line that predicts with a run's exported model.

    Args:
        run: The run; it need not be exported yet.
        specs: Input of the signature -> batched spec.
        files: The inputs whose values are files; the values of the others are typed.
    """
    options = " ".join(f"--{name} {_placeholder(spec, name in files)}" for name, spec in specs.items())
    return f"{shlex.join(['mmzoo', 'predict', str(run.folder)])} {options}"


def _placeholder(spec: tf.TensorSpec, is_file: bool) -> str:
    if is_file:
        return "FILE" if spec.shape.rank == 1 else "FOLDER"
    return {tf.string: "TEXT", tf.bool: "true"}.get(spec.dtype, "NUMBER")


def _signatures(folder: Path) -> dict[str, dict[str, tf.TensorSpec]]:
    """Reads the signatures of a SavedModel without loading it: signature -> input -> batched spec."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise RunError(f"{folder}: the exported model is incomplete: {error}. `mmzoo export` makes it anew.") from error
    signatures = model.meta_graphs[0].signature_def
    return {
        name: {
            input_name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
            for input_name, info in sorted(signatures[name].inputs.items())  # the file has them in any order
        }
        for name in sorted(signatures)
        if not name.startswith("__")
    }


def _processors(run: Run, catalog: Catalog) -> dict[str, type[Processor]]:
    """Returns the class of each input's processor."""
    inputs = run.load_plan()["inputs"]
    return {name: catalog.get("processor", column["type"]).load() for name, column in inputs.items()}
