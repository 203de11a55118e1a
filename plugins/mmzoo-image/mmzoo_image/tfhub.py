"""A SavedModel, from TF-Hub or a folder, as an image encoder. TensorFlow backend only."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from mmzoo import FeatureSpec, Preset, Rate, StreamError, suggest
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, ImageEncoder, Scale

SCALES = {"unit": Scale(1 / 255, 0.0), "signed": SIGNED, "bytes": Scale(1.0, 0.0)}


class TFHub(ImageEncoder):
    """Encodes a picture with a SavedModel from TF-Hub or a folder.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, tokens, dim)`, none masked. A module may return a vector
    `(batch, dim)`, which becomes one token; a feature map `(batch, rows, columns, dim)`, whose tokens are in row order; or
    tokens `(batch, tokens, dim)`.

    Runs on the TensorFlow backend only. The module's variables are saved and exported with the model. Those that the module
    marks as trainable are trained. The computation itself stays in the module, so a run can only be reopened where the module
    is available. A SavedModel is a program: use only those that you trust. TF1 modules and modules with lookup tables are not
    supported.

    Args:
        features: The `FeatureSpec` of the pixels.
        module: Folder of a SavedModel, or a TF-Hub handle such as `https://tfhub.dev/.../1`. The package tensorflow-hub
            (`mmzoo-image[tfhub]`) downloads a handle and caches it under `TFHUB_CACHE_DIR`.
        endpoint: The signature to call. By default the module itself is called, or `serving_default` if it is not callable.
        output: The output to use; needed only if the module has several.
        scale: Range of pixels that the module expects: `unit` is 0 to 1, the convention of TF-Hub's image modules; `signed` is
            -1 to 1; `bytes` is 0 to 255.
        dropout: Dropout rate of the output tokens.
        augment: Keras augmentation layers, applied in order, in training only. Each is a Keras identifier, or a mapping with
            `type` and the layer's options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        module: Preset,
        endpoint: str | None = None,
        output: str | None = None,
        scale: Literal["unit", "signed", "bytes"] = "unit",
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never mutated; the help shows an option's default
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        if keras.backend.backend() != "tensorflow":
            what = f"tfhub runs on the TensorFlow backend only, this one is '{keras.backend.backend()}'"
            raise StreamError(f"{what}. Set KERAS_BACKEND=tensorflow, or choose another encoder.")
        self.scale = SCALES[scale]
        self.loaded = _load(module)
        function, concrete = _endpoint(self.loaded, endpoint, module)
        spec = tf.TensorSpec((None, *features["shape"]), tf.float32)
        self.takes_training = all(_output_specs(function, spec, training=value) is not None for value in (True, False))
        outputs = _output_specs(function, spec, **({"training": False} if self.takes_training else {}))
        if outputs is None:
            expected = " or ".join(dict.fromkeys(_describe_inputs(graph) for graph in concrete))
            raise StreamError(f"the module '{module}' takes {expected}, received {_describe(spec)}.")
        self.output_name = _choose_output(outputs, output, module)
        _check_state(concrete, module)
        self.function = function
        # As Keras variables, so that Keras trains, saves and exports them.
        self.module_variables = [keras.Variable(v, dtype=v.dtype.name, trainable=v.trainable) for v in _variables(concrete)]

    def run_backbone(self, pixels: Any, training: bool) -> Any:
        # A frozen module runs in inference mode, as Keras' batch normalisation does; else its moving averages would change.
        options = {"training": training and self.trainable} if self.takes_training else {}
        outputs = self.function(pixels, **options)
        return ops.cast(outputs[self.output_name] if isinstance(outputs, Mapping) else outputs, self.compute_dtype)


def _load(module: str) -> Any:
    try:
        return tf.saved_model.load(module if Path(module).is_dir() else _fetch(module))
    except (OSError, ValueError, tf.errors.OpError) as error:
        line = str(error).strip().partition("\n")[0].removesuffix(".")
        what = f"the module '{module}' cannot be fetched or read: {line}"
        raise StreamError(f"{what}. Check the network, or give a folder that holds a SavedModel.") from error


def _fetch(handle: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):  # it imports a deprecated part of setuptools
            import tensorflow_hub
    except ImportError as error:
        what = f"the module '{handle}' is not a folder, and fetching it needs tensorflow-hub: {error}"
        raise StreamError(f"{what}. Run pip install 'mmzoo-image[tfhub]'.") from error
    return tensorflow_hub.resolve(handle)


def _endpoint(loaded: Any, endpoint: str | None, module: str) -> tuple[Callable[..., Any], list[Any]]:
    """Returns what to call, as a function of one tensor, and its concrete functions."""
    own_call = getattr(loaded, "__call__", None)  # noqa: B004  # the attribute itself is needed
    if endpoint is None and own_call is not None:
        return own_call, own_call.concrete_functions
    name = endpoint or "serving_default"
    if name not in loaded.signatures:
        advice = suggest(name, loaded.signatures) or "It has none."
        raise StreamError(f"the module '{module}' has no signature '{name}'. {advice}")
    signature = loaded.signatures[name]
    inputs = sorted(signature.structured_input_signature[1])
    if len(inputs) != 1:
        raise StreamError(f"the signature '{name}' of the module '{module}' takes {', '.join(inputs)}; expected pictures only.")
    return lambda pictures: signature(**{inputs[0]: pictures}), [signature]


def _output_specs(function: Callable[..., Any], spec: tf.TensorSpec, **options: Any) -> Any:
    """Returns the specs of a function's outputs, or None if it does not accept this input."""
    try:
        return tf.function(lambda pictures: function(pictures, **options)).get_concrete_function(spec).structured_outputs
    except (TypeError, ValueError):
        return None


def _describe_inputs(concrete: Any) -> str:
    positional, named = concrete.structured_input_signature
    specs = [spec for spec in (*positional, *named.values()) if isinstance(spec, tf.TensorSpec)]
    return ", ".join(map(_describe, specs))


def _describe(spec: tf.TensorSpec) -> str:
    return f"{spec.shape} {spec.dtype.name}"


def _choose_output(returned: Any, output: str | None, module: str) -> str | None:
    """Returns the name of the output to use; None if the module returns one tensor instead of a dict."""
    outputs = dict(returned) if isinstance(returned, Mapping) else {"": returned}
    name = output or next(iter(outputs))
    if name not in outputs or (output is None and len(outputs) > 1):
        problem = f"no output '{output}'" if output else "several outputs"
        raise StreamError(f"the module '{module}' has {problem}. Set `output` to one of: {', '.join(sorted(outputs))}.")
    shape = getattr(outputs[name], "shape", tf.TensorShape(None))
    if shape.rank not in (2, 3, 4) or shape[-1] is None:
        expected = "(batch, dim), (batch, tokens, dim) or a feature map"
        raise StreamError(f"the module '{module}' returns {shape}; expected {expected}.")
    return name or None


def _check_state(concrete: Iterable[Any], module: str) -> None:
    """Checks that variables are a module's only state: any other resource, such as a table, would not be exported."""
    for graph in concrete:
        known = {id(variable.handle) for variable in graph.variables}
        if any(tensor.dtype == tf.resource and id(tensor) not in known for tensor in graph.captured_inputs):
            raise StreamError(f"the module '{module}' has a lookup table, which cannot be exported. Choose another.")


def _variables(concrete: Iterable[Any]) -> list[tf.Variable]:
    """Lists the variables of several graphs, each once."""
    return list({id(variable): variable for graph in concrete for variable in graph.variables}.values())
