"""A video transformer's start from the weights of an image transformer."""

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
"""Options of KerasHub's `ViTBackbone` that a video transformer takes over from a preset."""


def load_vit(preset: str, shape: tuple[int, ...]) -> Any:
    """Loads KerasHub's `ViTBackbone` with its weights.

    Args:
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder.
        shape: Of a frame.

    Raises:
        StreamError: There is none, it cannot be loaded, does not fit frames of this shape, or has no class token.
    """
    kind = keras_hub.models.ViTBackbone
    if "://" not in preset and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"KerasHub has no image transformer '{preset}', and there is no such folder. {advice}")
    image = _said(preset, lambda: kind.from_preset(preset, image_shape=shape))
    if not image.use_class_token:
        raise StreamError(f"the preset '{preset}' has no class token, which a video transformer starts from. Choose another.")
    return image


def load_scale(preset: str, default: tuple[Any, Any]) -> tuple[Any, Any]:
    """Gives what a preset's own image converter multiplies pixels by and adds to them, or `default` if it has none.

    Raises:
        StreamError: It cannot be fetched.
    """
    try:
        converter = _said(preset, lambda: keras_hub.layers.ViTImageConverter.from_preset(preset))
    except StreamError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return default
        raise
    return (1.0 if converter.scale is None else converter.scale, 0.0 if converter.offset is None else converter.offset)


def _said(preset: str, load: Callable[[], Any]) -> Any:
    """Loads, or says in one line why a preset does not load."""
    try:
        return load()
    except Exception as error:  # hubs and file formats have errors of their own
        advice = " Check the network, or give a folder that holds it." if isinstance(error, OSError) else ""
        raise StreamError(f"the preset '{preset}' cannot be used here: {reason_of(error)}{advice}") from error


def start_from(image: Any, video: SpaceTime) -> None:
    """Gives a video transformer the weights of an image transformer.

    A tubelet's middle frame has the image's patches, its other frames have zeros, and positions are repeated over time (ViViT,
    section 3.4). Attention over time starts as a copy of that over places, before a layer of zeros, and
    positions in time as zeros (TimeSformer's code). The second transformer of the factorised encoder keeps its own start.
    """
    _start_embedding(image.get_layer("vit_patching_and_embedding"), video)
    _copy(image.get_layer("vit_encoder"), video.encoder)
    if isinstance(video, Divided):
        video.time.assign(ops.zeros_like(video.time))
        for block, over_time in zip(video.encoder.encoder_layers, video.over_time, strict=True):
            _copy(block.layer_norm_1, over_time.norm)
            _copy(block.mha, over_time.mha)


def _copy(source: Any, target: Any) -> None:
    for there, here in zip(source.trainable_weights, target.trainable_weights, strict=True):
        here.assign(there)


def _start_embedding(source: Any, video: SpaceTime) -> None:
    target = video.embedding
    patches, tubelets = source.patch_embedding, target.patch_embedding
    middle = tubelets.kernel.shape[2] // 3 // 2
    after = tubelets.kernel.shape[2] - 3 * (middle + 1)
    tubelets.kernel.assign(ops.pad(patches.kernel, ((0, 0), (0, 0), (3 * middle, after), (0, 0))))
    if patches.use_bias:
        tubelets.bias.assign(patches.bias)
    target.class_token.assign(source.class_token)
    places = ops.convert_to_tensor(source.position_embedding.embeddings)
    repeated = [places[:1], *[places[1:]] * video.stacked]
    target.position_embedding.embeddings.assign(ops.concatenate(repeated, axis=0))
