"""A SavedModel, from TF-Hub or a folder, as an encoder. TensorFlow backend only."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from mmzoo import FeatureSpec, Rate, StreamError, suggest
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, PictureEncoder, Scale

SCALES = {"unit": Scale(1 / 255, 0.0), "signed": SIGNED, "bytes": Scale(1.0, 0.0)}


class TFHub(PictureEncoder):
    """Reads a picture with a SavedModel from TF-Hub or from a folder.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens: of a module that gives a vector `(batch, dim)` one token, of a map
    `(batch, rows, columns, dim)` its places row by row, or `(batch, tokens, dim)` as they are; all real.

    Runs on the TensorFlow backend alone. Its variables are trained, saved and exported with the others, as far as the module
    says that they can be trained. The computation stays in the module, so a run is reopened where the module is at hand. A
    SavedModel is a program: use one that you trust. TF1 modules, and modules with lookup tables, are not read.

    Args:
        features: What is known of the pixels.
        module: A folder that holds a SavedModel, or a handle that the package tensorflow-hub fetches (`mmzoo-image[tfhub]`),
            such as `https://tfhub.dev/.../1`, and keeps under `TFHUB_CACHE_DIR`.
        endpoint: The signature that is called; if not given the module itself, or `serving_default` if it cannot be called.
        output: Which of several outputs is taken; may be left out if there is one.
        scale: What the module wants of pixels: `unit` is 0 to 1, as TF-Hub's modules of pictures do, `signed` -1 to 1, `bytes`
            0 to 255.
        dropout: Share of the output's numbers that is zeroed in training.
        augment: Keras augmentation layers that change the pixels in training, in order: the Keras identifier of each, or a
            mapping of its `type` and its options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        module: str,
        endpoint: str | None = None,
        output: str | None = None,
        scale: Literal["unit", "signed", "bytes"] = "unit",
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never changed; an option's default shows in the help
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        if keras.backend.backend() != "tensorflow":
            what = f"tfhub runs on the TensorFlow backend alone, this one is '{keras.backend.backend()}'"
            raise StreamError(f"{what}. Set KERAS_BACKEND=tensorflow, or choose another encoder.")
        self.scale = SCALES[scale]
        self.loaded = _load(module)
        function, concrete = _endpoint(self.loaded, endpoint, module)
        spec = tf.TensorSpec((None, *features["shape"]), tf.float32)
        self.switches = all(_gives(function, spec, training=switch) is not None for switch in (True, False))
        gives = _gives(function, spec, **({"training": False} if self.switches else {}))
        if gives is None:
            wanted = " or ".join(dict.fromkeys(_takes(one) for one in concrete))
            raise StreamError(f"the module '{module}' takes {wanted}, received {_describe(spec)}.")
        self.picked = _pick(gives, output, module)
        _check_state(concrete, module)
        self.function = function
        # Keras' own names for the module's variables, so that they are trained, saved and exported.
        self.held = [keras.Variable(one, dtype=one.dtype.name, trainable=one.trainable) for one in _variables(concrete)]

    def see(self, pictures: Any, training: bool) -> Any:
        # Held still, it computes as in inference, like Keras' batch normalisation: else its running means would go on.
        how = {"training": training and self.trainable} if self.switches else {}
        gives = self.function(ops.cast(pictures, "float32"), **how)
        return ops.cast(gives[self.picked] if isinstance(gives, Mapping) else gives, self.compute_dtype)


def _load(module: str) -> Any:
    try:
        return tf.saved_model.load(module if Path(module).is_dir() else _fetch(module))
    except (OSError, ValueError, tf.errors.OpError) as error:
        line = str(error).strip().partition("\n")[0].removesuffix(".")
        what = f"the module '{module}' cannot be fetched or read: {line}"
        raise StreamError(f"{what}. Check the network, or give a folder that holds a SavedModel.") from error


def _fetch(handle: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):  # it uses what setuptools no longer wants used
            import tensorflow_hub
    except ImportError as error:
        what = f"the module '{handle}' is no folder, and fetching it needs tensorflow-hub: {error}"
        raise StreamError(f"{what}. Run pip install 'mmzoo-image[tfhub]'.") from error
    return tensorflow_hub.resolve(handle)


def _endpoint(loaded: Any, endpoint: str | None, module: str) -> tuple[Callable[..., Any], list[Any]]:
    """Finds what is called, as a function of one tensor, and the graphs behind it."""
    called = getattr(loaded, "__call__", None)  # noqa: B004  # it is wanted itself
    if endpoint is None and called is not None:
        return called, called.concrete_functions
    name = endpoint or "serving_default"
    if name not in loaded.signatures:
        advice = suggest(name, loaded.signatures) or "It has none."
        raise StreamError(f"the module '{module}' has no signature '{name}'. {advice}")
    signature = loaded.signatures[name]
    inputs = sorted(signature.structured_input_signature[1])
    if len(inputs) != 1:
        raise StreamError(
            f"the signature '{name}' of the module '{module}' takes {', '.join(inputs)}; expected pictures alone."
        )
    return lambda pictures: signature(**{inputs[0]: pictures}), [signature]


def _gives(function: Callable[..., Any], spec: tf.TensorSpec, **how: Any) -> Any:
    """Gives the specs of what a function gives, or None if it does not take this."""
    try:
        return tf.function(lambda pictures: function(pictures, **how)).get_concrete_function(spec).structured_outputs
    except (TypeError, ValueError):
        return None


def _takes(concrete: Any) -> str:
    positional, named = concrete.structured_input_signature
    specs = [one for one in (*positional, *named.values()) if isinstance(one, tf.TensorSpec)]
    return ", ".join(map(_describe, specs))


def _describe(spec: tf.TensorSpec) -> str:
    return f"{spec.shape} {spec.dtype.name}"


def _pick(gives: Any, output: str | None, module: str) -> str | None:
    """Chooses an output; None of a module that gives a tensor, not a dict."""
    outputs = dict(gives) if isinstance(gives, Mapping) else {"": gives}
    name = output or next(iter(outputs))
    if name not in outputs or (output is None and len(outputs) > 1):
        asked = f"no output '{output}'" if output else "several outputs"
        raise StreamError(f"the module '{module}' has {asked}. Set the option output to one of: {', '.join(sorted(outputs))}.")
    shape = getattr(outputs[name], "shape", tf.TensorShape(None))
    if shape.rank not in (2, 3, 4) or shape[-1] is None:
        raise StreamError(f"the module '{module}' gives {shape}; expected (batch, dim), (batch, tokens, dim) or a map.")
    return name or None


def _check_state(concrete: Iterable[Any], module: str) -> None:
    """Holds that variables are all that a module remembers: the exported model would leave out the rest."""
    for one in concrete:
        known = {id(variable.handle) for variable in one.variables}
        if any(found.dtype == tf.resource and id(found) not in known for found in one.captured_inputs):
            raise StreamError(
                f"the module '{module}' holds a table, which the exported model cannot take over. Choose another."
            )


def _variables(concrete: Iterable[Any]) -> list[tf.Variable]:
    """Lists the variables of some graphs, each once."""
    return list({id(variable): variable for one in concrete for variable in one.variables}.values())
