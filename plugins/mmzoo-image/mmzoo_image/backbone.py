"""What encoders of pictures share: pixels made ready, and a backbone that may come with weights."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import keras
import keras_hub
from keras import ops

from mmzoo import Rate, Stream, StreamError, make_stream, reason_of, suggest
from mmzoo_image.augment import Augmentations, make_augmentation

HUBS = "(hf|kaggle|modelscope)://"
"""How the name of a preset begins that is none of KerasHub's own."""


class Scale(NamedTuple):
    """What a backbone wants of pixels, 0 to 255: `pixels * factor + offset`, each one number or one per channel."""

    factor: Any
    offset: Any


def standard_scale(mean: Sequence[float], std: Sequence[float]) -> Scale:
    """Gives the scale that makes channels, 0 to 1, of that mean and standard deviation standard ones."""
    return Scale(tuple(1 / (255 * one) for one in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))


IMAGENET = standard_scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIGNED = Scale(1 / 127.5, -1.0)
"""To -1 to 1."""


BackboneConfig = dict[str, Any]
"""What an encoder keeps of a preset in the run, as JSON: the backbone's shape and the scale of pixels."""


class PictureEncoder(keras.layers.Layer):
    """Base of encoders of pictures: augments and scales pixels, and makes a stream of what the backbone sees in them.

    A child sets `backbone` and `scale`, by `start_from` if they come from a preset, or overrides `see` or `tokens`.

    Args:
        dropout: Share of the output's numbers that is zeroed in training.
        augment: What changes the pixels in training.
    """

    backbone: Any
    scale: Scale
    backbone_config: BackboneConfig | None = None

    def __init__(self, dropout: Rate, augment: Augmentations, **kwargs: Any):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(dropout)
        self.augment = make_augmentation(augment)

    def build(self, shape: Any) -> None:
        self.built = True  # the backbone is built when it is made

    def call(self, pixels: Any, training: bool = False) -> Stream:
        changed = self.augment(ops.cast(pixels, self.compute_dtype), training=training)
        factor, offset = (ops.convert_to_tensor(value, changed.dtype) for value in self.scale)
        seen = self.see(changed * factor + offset, training)
        return make_stream(self.dropout(self.tokens(seen), training=training))

    def start_from(self, preset: str, backbone_config: BackboneConfig | None, load: Callable[[], Any], scale: Scale) -> Any:
        """Gives a preset's backbone and sets `scale`.

        Args:
            preset: Its name or folder.
            backbone_config: What the run has kept of it; then nothing is loaded, for the run has the weights.
            load: Loads the backbone.
            scale: Of a preset that has none of its own.
        """
        if backbone_config is None:
            backbone, self.scale = load(), load_scale(preset, scale)
            self.backbone_config = {"backbone": keras.saving.serialize_keras_object(backbone), "scale": list(self.scale)}
            return backbone
        self.backbone_config, self.scale = backbone_config, Scale(*backbone_config["scale"])
        return keras.saving.deserialize_keras_object(backbone_config["backbone"])

    def see(self, pictures: Any, training: bool) -> Any:
        """Gives what the backbone makes of scaled pixels."""
        named = isinstance(self.backbone.input, Mapping)
        return self.backbone(dict.fromkeys(self.backbone.input, pictures) if named else pictures, training=training)

    def tokens(self, seen: Any) -> Any:
        """Makes tokens `(batch, tokens, dim)` of what the backbone gives: of a map its places, row by row."""
        if len(seen.shape) != 4:
            return seen
        rows, columns, dim = seen.shape[1:]
        unknown = None in (rows, columns)
        return ops.reshape(seen, (ops.shape(seen)[0], -1, dim) if unknown else (-1, rows * columns, dim))


def load_backbone(preset: str, kind: Any = keras_hub.models.Backbone, **options: Any) -> Any:
    """Loads a KerasHub backbone with its weights.

    Args:
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder.
        kind: What it must be: a KerasHub backbone's class.
        options: Of the backbone, such as `image_shape`, instead of the preset's own.

    Raises:
        StreamError: There is none, it cannot be fetched, it is of another kind, or its weights do not fit `options`.
    """
    if not re.match(HUBS, preset) and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"KerasHub has no preset '{preset}' for this encoder, and there is no such folder. {advice}")
    with _said(preset):
        return kind.from_preset(preset, **options)


def load_scale(preset: str, default: Scale) -> Scale:
    """Gives the scale that a preset's own image converter has, or `default` if it comes with none.

    Raises:
        StreamError: It cannot be fetched.
    """
    with _said(preset):
        try:
            converter = keras_hub.layers.ImageConverter.from_preset(preset)
        except FileNotFoundError:
            return default
        except ValueError as error:
            if not str(error).startswith("Unable to find a subclass"):  # KerasHub has converters for most of its backbones
                raise
            return default
    return Scale(_numbers(converter.scale, 1.0), _numbers(converter.offset, 0.0))


def _numbers(value: Any, default: float) -> Any:
    if value is None:
        return default
    return tuple(value) if isinstance(value, Sequence) else value


@contextmanager
def _said(preset: str) -> Iterator[None]:
    """Says in one line why a preset does not load."""
    try:
        yield
    except OSError as error:
        what = f"the preset '{preset}' cannot be fetched or read: {reason_of(error)}"
        raise StreamError(f"{what} Check the network, or give a folder that holds it.") from error
    except Exception as error:  # hubs and file formats have errors of their own
        raise StreamError(f"the preset '{preset}' cannot be used here: {reason_of(error)}") from error


def check_divides(features: Mapping[str, Any], patch: int) -> None:
    """Holds that a picture is cut into whole patches.

    Raises:
        StreamError: It is not.
    """
    height, width = features["shape"][:2]
    if height % patch or width % patch:
        raise StreamError(
            f"pictures of {height} x {width} pixels cannot be cut into patches of {patch} x {patch}. "
            "Choose a patch, or a size of the pictures, so that one divides the other."
        )
