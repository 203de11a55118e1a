"""Initialises a video transformer with the weights of an image transformer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_hub
from keras import ops

from mmzoo import StreamError, reason_of, suggest
from mmzoo_video.space_time import Divided, SpaceTime

SHAPE = (
    *("patch_size", "num_layers", "num_heads", "hidden_dim", "mlp_dim", "attention_dropout", "layer_norm_epsilon"),
    *("use_mha_bias", "use_mlp_bias", "use_patch_bias"),
)
"""Arguments of KerasHub's `ViTBackbone` that a video transformer takes from a preset."""


def load_vit(preset: str, shape: tuple[int, ...]) -> Any:
    """Loads KerasHub's `ViTBackbone` with its weights.

    Args:
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder.
        shape: Shape of a frame.

    Raises:
        StreamError: The preset does not exist, cannot be loaded, does not fit frames of this shape, or has no class token.
    """
    kind = keras_hub.models.ViTBackbone
    if "://" not in preset and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"KerasHub has no image transformer '{preset}', and there is no such folder. {advice}")
    image = _one_line_errors(preset, lambda: kind.from_preset(preset, image_shape=shape))
    if not image.use_class_token:
        raise StreamError(f"the preset '{preset}' has no class token, which a video transformer starts from. Choose another.")
    return image


def load_scale(preset: str, default: tuple[Any, Any]) -> tuple[Any, Any]:
    """Returns the factor and offset of a preset's image converter, or `default` if the preset has none.

    Raises:
        StreamError: The preset cannot be fetched.
    """
    try:
        converter = _one_line_errors(preset, lambda: keras_hub.layers.ViTImageConverter.from_preset(preset))
    except StreamError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return default
        raise
    return (1.0 if converter.scale is None else converter.scale, 0.0 if converter.offset is None else converter.offset)


def _one_line_errors(preset: str, load: Callable[[], Any]) -> Any:
    """Loads a preset; raises any error as a `StreamError` of one line."""
    try:
        return load()
    except Exception as error:  # hubs and file formats have errors of their own
        advice = " Check the network, or give a folder that holds it." if isinstance(error, OSError) else ""
        raise StreamError(f"the preset '{preset}' cannot be used here: {reason_of(error)}{advice}") from error


def copy_weights(image: Any, video: SpaceTime) -> None:
    """Copies the weights of an image transformer to a video transformer.

    As in ViViT, section 3.4: the kernel of a tubelet's middle frame is the image's patch kernel and that of its other frames is
    zero; position embeddings are repeated over time. As in TimeSformer's code: temporal attention starts as a copy of spatial
    attention, followed by a dense layer of zeros, and temporal position embeddings start at zero. The second transformer of the
    factorised encoder keeps its random weights.
    """
    _start_embedding(image.get_layer("vit_patching_and_embedding"), video)
    _copy(image.get_layer("vit_encoder"), video.encoder)
    if isinstance(video, Divided):
        video.time.assign(ops.zeros_like(video.time))
        for block, over_time in zip(video.encoder.encoder_layers, video.over_time, strict=True):
            _copy(block.layer_norm_1, over_time.norm)
            _copy(block.mha, over_time.mha)


def _copy(source: Any, target: Any) -> None:
    for old, new in zip(source.trainable_weights, target.trainable_weights, strict=True):
        new.assign(old)


def _start_embedding(source: Any, video: SpaceTime) -> None:
    target = video.embedding
    patches, tubelets = source.patch_embedding, target.patch_embedding
    middle = tubelets.kernel.shape[2] // 3 // 2
    after = tubelets.kernel.shape[2] - 3 * (middle + 1)
    tubelets.kernel.assign(ops.pad(patches.kernel, ((0, 0), (0, 0), (3 * middle, after), (0, 0))))
    if patches.use_bias:
        tubelets.bias.assign(patches.bias)
    target.class_token.assign(source.class_token)
    positions = ops.convert_to_tensor(source.position_embedding.embeddings)
    repeated = [positions[:1], *[positions[1:]] * video.stacked]
    target.position_embedding.embeddings.assign(ops.concatenate(repeated, axis=0))
