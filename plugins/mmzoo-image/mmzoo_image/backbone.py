"""Base of the image encoders: augments and scales pixels, runs a backbone, loads presets."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_hub
from keras import ops

from mmzoo import Rate, Stream, StreamError, make_stream, preset_json, reason_of, suggest
from mmzoo_image.augment import Augmentations, make_augmentation

HUBS = "(hf|kaggle|modelscope)://"
"""Regular expression of the prefixes of presets on a hub."""


class Scale(NamedTuple):
    """Scales pixels, 0 to 255, for a backbone: `pixels * factor + offset`. Each is one number, or one number per channel."""

    factor: Any
    offset: Any


def standard_scale(mean: Sequence[float], std: Sequence[float]) -> Scale:
    """Returns the scale that standardises channels. `mean` and `std` are those of channels in 0 to 1."""
    return Scale(tuple(1 / (255 * s) for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))


IMAGENET = standard_scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIGNED = Scale(1 / 127.5, -1.0)
"""Scales to -1 to 1."""

PREPROCESSING = "preprocessor_config.json"
"""The file in which a model in Hugging Face's format says how its pictures are resized and scaled."""

RESAMPLING = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the kernels that the processor `image` has -> its names."""

BackboneConfig = dict[str, Any]
"""What a run stores of a preset, as JSON: the backbone's Keras config and the scale of pixels."""


class ImageEncoder(keras.layers.Layer):
    """Base of image encoders: augments and scales pixels, runs the backbone and returns its output as a stream.

    A subclass sets `backbone` and `scale`; `load_or_restore` gets both from a preset, and sets `expects`. It may override
    `run_backbone` and `to_tokens`.

    Args:
        dropout: Dropout rate of the output tokens.
        augment: Keras augmentation layers, applied in order, in training only.
    """

    backbone: Any
    scale: Scale
    backbone_config: BackboneConfig | None = None
    expects: Mapping[str, Any] = {}

    def __init__(self, dropout: Rate, augment: Augmentations, **kwargs: Any):
        # Levels of grey are lost if pixels are cast to half precision before they are scaled.
        super().__init__(autocast=False, **kwargs)
        self.dropout = keras.layers.Dropout(dropout)
        self.augment = make_augmentation(augment)

    def build(self, shape: Any) -> None:
        self.built = True  # the backbone is built when it is made

    def call(self, pixels: Any, training: bool = False) -> Stream:
        pixels = self.augment(ops.cast(pixels, "float32"), training=training)
        factor, offset = (ops.convert_to_tensor(value, pixels.dtype) for value in self.scale)
        output = self.run_backbone(pixels * factor + offset, training)
        return make_stream(self.dropout(self.to_tokens(output), training=training))

    def load_or_restore(
        self, preset: str, backbone_config: BackboneConfig | None, load: Callable[[], Any], default: Scale
    ) -> Any:
        """Returns a preset's backbone, and sets `scale` and `backbone_config`.

        Args:
            preset: The preset's name or folder.
            backbone_config: The config that a run stored, or None. If given, the preset is not loaded: the run has the weights.
            load: Loads the backbone with its weights.
            default: The scale for a preset that has none of its own.
        """
        if backbone_config is None:
            backbone = load()
            self.scale, self.expects = load_preprocessing(preset, default)
            self.backbone_config = {"backbone": keras.saving.serialize_keras_object(backbone), "scale": list(self.scale)}
            return backbone
        self.backbone_config, self.scale = backbone_config, Scale(*backbone_config["scale"])
        return keras.saving.deserialize_keras_object(backbone_config["backbone"])

    def run_backbone(self, pixels: Any, training: bool) -> Any:
        """Returns the backbone's output for scaled pixels, which are in float32."""
        pixels = ops.cast(pixels, self.compute_dtype)
        named = isinstance(self.backbone.input, Mapping)
        return self.backbone(dict.fromkeys(self.backbone.input, pixels) if named else pixels, training=training)

    def to_tokens(self, output: Any) -> Any:
        """Reshapes a feature map `(batch, rows, columns, dim)` to tokens `(batch, rows * columns, dim)`, row by row.

        Any other output is returned unchanged.
        """
        if len(output.shape) != 4:
            return output
        rows, columns, dim = output.shape[1:]
        unknown = None in (rows, columns)
        return ops.reshape(output, (ops.shape(output)[0], -1, dim) if unknown else (-1, rows * columns, dim))


def load_backbone(preset: str, kind: Any = keras_hub.models.Backbone, **options: Any) -> Any:
    """Loads a KerasHub backbone with its weights.

    Args:
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder.
        kind: KerasHub backbone class that the preset must have.
        options: Arguments of the backbone, such as `image_shape`, that replace the preset's.

    Raises:
        StreamError: The preset does not exist, cannot be fetched, is of another class, or its weights do not fit `options`.
    """
    if not re.match(HUBS, preset) and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"KerasHub has no preset '{preset}' for this encoder, and there is no such folder. {advice}")
    with _one_line_errors(preset):
        return kind.from_preset(preset, **options)


def load_preprocessing(preset: str, default: Scale) -> tuple[Scale, dict[str, str]]:
    """Returns how the pictures that a preset was trained with were scaled, and how they became square.

    Both are told by its `preprocessor_config.json` or its image converter; a preset that has neither gets `default`. How they
    became square is given as options of the processor `image`, without what is not told or `image` cannot do.

    Raises:
        StreamError: The preset cannot be fetched, or its scale is not complete.
    """
    with _one_line_errors(preset):
        if told := preset_json(preset, PREPROCESSING):
            return _told_scale(told), _told_fit(told)
        converter = _load_converter(preset)
    if converter is None:
        return default, {}
    fit = "crop" if converter.crop_to_aspect_ratio else "pad" if converter.pad_to_aspect_ratio else "stretch"
    scale = Scale(_scale_value(converter.scale, 1.0), _scale_value(converter.offset, 0.0))
    return scale, {"fit": fit, "interpolation": str(converter.interpolation)}


def _load_converter(preset: str) -> Any:
    """Returns the image converter of a preset; None if it has none."""
    try:
        return keras_hub.layers.ImageConverter.from_preset(preset)
    except FileNotFoundError:
        return None
    except ValueError as error:
        if not str(error).startswith("Unable to find a subclass"):  # some backbones have no converter
            raise
        return None


def _told_scale(told: Mapping[str, Any]) -> Scale:
    """Returns the scale that a `preprocessor_config.json` says. What it leaves out is as in Hugging Face's classes."""
    factor = told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1.0
    if not told.get("do_normalize", True):
        return Scale(factor, 0.0)
    mean, std = (told.get(name) for name in ("image_mean", "image_std"))
    if not mean or not std:
        raise ValueError(f"its {PREPROCESSING} has no image_mean or image_std.")
    return Scale(tuple(factor / s for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))


def _told_fit(told: Mapping[str, Any]) -> dict[str, str]:
    """Returns how pictures become square, as a `preprocessor_config.json` says."""
    if not told.get("do_resize", True):
        return {}
    kernel, size = told.get("resample", 0), told.get("size")
    found = {"interpolation": RESAMPLING[kernel]} if kernel in RESAMPLING else {}
    one_side, crops = isinstance(size, Mapping) and "shortest_edge" in size, told.get("do_center_crop", False)
    if one_side == crops:  # else it is resized to a square and cropped, or not square
        found["fit"] = "resize_crop" if crops else "stretch"
    return found


def _scale_value(value: Any, default: float) -> Any:
    if value is None:
        return default
    return tuple(value) if isinstance(value, Sequence) else value


@contextmanager
def _one_line_errors(preset: str) -> Iterator[None]:
    """Raises any error of loading a preset as a `StreamError` of one line."""
    try:
        yield
    except OSError as error:
        what = f"the preset '{preset}' cannot be fetched or read: {reason_of(error)}"
        raise StreamError(f"{what} Check the network, or give a folder that holds it.") from error
    except Exception as error:  # hubs and file formats have errors of their own
        raise StreamError(f"the preset '{preset}' cannot be used here: {reason_of(error)}") from error


def check_divides(features: Mapping[str, Any], patch: int) -> None:
    """Checks that both sides of a picture are multiples of `patch`.

    Raises:
        StreamError: One is not.
    """
    height, width = features["shape"][:2]
    if height % patch or width % patch:
        raise StreamError(
            f"pictures of {height} x {width} pixels cannot be cut into patches of {patch} x {patch}. "
            "Choose a patch, or a size of the pictures, so that one divides the other."
        )
