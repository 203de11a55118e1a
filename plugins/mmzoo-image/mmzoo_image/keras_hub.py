"""Any KerasHub backbone as an encoder of pictures or text."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import FeatureSpec, Preset, Rate, Stream, StreamError, given_ids, make_stream
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, ImageEncoder, load_backbone

TEXT_INPUTS = {"token_ids", "padding_mask", "segment_ids"}
"""Inputs that a text backbone may have. All are computed from the ids."""


class KerasHub(ImageEncoder):
    """Encodes a picture or a text with any pretrained KerasHub backbone.

    Pixels `(batch, height, width, 3)`, 0 to 255, or ids `(batch, sequence_length)` -> tokens `(batch, tokens, dim)`.

    Picture: the tokens are a transformer's output, or a feature map row by row; none is masked. Text: one token per id, masked
    at PAD. The ids must be those of the preset's own vocabulary, as the processor `preset_tokens` returns them. Of a preset
    with two encoders, such as CLIP, the encoder that reads the input is used, without its projection. An
    output `(batch, dim)`, such as SigLIP's, is one token, whatever `tokens` says.

    Args:
        features: The `FeatureSpec` of the input.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        preset: A preset's name, such as `bert_tiny_en_uncased` or `dinov2_small`; `hf://...`, `kaggle://...`, or a folder that
            `save_to_preset` wrote. Pixels are scaled by the preset's image converter, else to -1 to 1.
        tokens: Which tokens the stream has: `all`; `first`, which is BERT's [CLS] or a vision transformer's class token;
            `last`, the last one that is not padding, for a causal backbone; or `pooled`, the backbone's pooled output.
        dropout: Dropout rate of the output tokens.
        augment: For pictures: Keras augmentation layers, applied in order, in training only. Each is a Keras identifier, or a
            mapping with `type` and the layer's options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        preset: Preset,
        tokens: Literal["all", "first", "last", "pooled"] = "all",
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never mutated; the help shows an option's default
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        self.features, self.tokens = features, tokens
        self.reads_text = features["vocabulary"] is not None
        part = self.load_or_restore(preset, backbone_config, partial(_load_part, preset, features), SIGNED)
        # Leaves out the layers behind other outputs: their weights would be unused.
        self.backbone = keras.Model(part.input, _output(part, preset, tokens))
        self._check_tokens(preset)
        if len(self.backbone.output.shape) == 2:
            self.tokens = "pooled"  # there is one, whichever is asked for

    def call(self, values: Any, training: bool = False) -> Stream:
        if not self.reads_text:
            return super().call(values, training=training)
        ids, mask = given_ids(values, self.features)
        inputs = {"token_ids": ids, "padding_mask": ops.cast(mask, "int32"), "segment_ids": ops.zeros_like(ids)}
        states = self.backbone({name: inputs[name] for name in self.backbone.input}, training=training)
        return self._text_stream(states, mask, training)

    def to_tokens(self, output: Any) -> Any:
        tokens = super().to_tokens(output)
        return tokens[:, :1] if self.tokens == "first" else tokens

    def _text_stream(self, states: Any, mask: Any, training: bool) -> Stream:
        tokens = self.dropout(states, training=training)
        if self.tokens == "all":
            return make_stream(tokens, mask)
        if self.tokens == "last":
            last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
            tokens = ops.take_along_axis(tokens, last[:, None, None], axis=1)
        elif self.tokens == "first":
            tokens = tokens[:, :1]
        return make_stream(tokens, ops.any(mask, axis=1, keepdims=True))

    def _check_tokens(self, preset: str) -> None:
        rank = len(self.backbone.output.shape)
        is_map = rank == 4
        if not self.reads_text and rank > 2 and (self.tokens == "last" or (self.tokens == "first" and is_map)):
            output = "a feature map" if is_map else "the tokens of a picture"
            raise StreamError(f"the preset '{preset}' returns {output}; tokens: {self.tokens} does not apply. Choose all.")


def _load_part(preset: str, features: FeatureSpec) -> Any:
    if features["vocabulary"] is not None:
        return _text_part(load_backbone(preset), preset, features)
    return _picture_part(load_backbone(preset, image_shape=tuple(features["shape"])), preset, features)


def _text_part(whole: Any, preset: str, features: FeatureSpec) -> Any:
    part = getattr(whole, "text_encoder", whole)
    inputs = set(part.input) if isinstance(part.input, Mapping) else {"pictures"}
    if not inputs <= TEXT_INPUTS:
        others = ", ".join(sorted(inputs - TEXT_INPUTS))
        raise StreamError(f"the preset '{preset}' reads {others}, received text. Choose one that reads text only.")
    known, most = getattr(part, "vocabulary_size", None), getattr(part, "max_sequence_length", None)
    found = (features["vocabulary"] or 0) - ("pad" in features)
    if known is not None and found > known:
        advice = f"Read the text with {{type: preset_tokens, preset: {preset}}}."
        raise StreamError(f"the preset '{preset}' knows {known} ids, received {found}. {advice}")
    if most is not None and features["shape"][0] > most:
        raise StreamError(f"the preset '{preset}' reads texts of at most {most} ids, received {features['shape'][0]}.")
    return part


def _picture_part(whole: Any, preset: str, features: FeatureSpec) -> Any:
    part = getattr(whole, "vision_encoder", whole)
    inputs = list(part.input.values()) if isinstance(part.input, Mapping) else [part.input]
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        names = ", ".join(sorted(part.input)) if isinstance(part.input, Mapping) else "no pictures"
        raise StreamError(f"the preset '{preset}' reads {names}, received pictures. Choose one that reads pictures only.")
    wanted, found = inputs[0].shape[1:], features["shape"]
    if any(size not in (None, given) for size, given in zip(wanted, found, strict=True)):
        raise StreamError(f"the preset '{preset}' reads pictures of shape {list(wanted)}, received {found}.")
    return part


def _output(part: Any, preset: str, tokens: str) -> Any:
    """Returns the backbone's output tensor for the option `tokens`."""
    if not isinstance(part.output, Mapping) and len(part.output.shape) == 2:
        return part.output
    outputs = part.output if isinstance(part.output, Mapping) else {"sequence_output": part.output}
    name = "pooled_output" if tokens == "pooled" else "sequence_output"
    if name not in outputs:
        raise StreamError(f"the preset '{preset}' has no {name} for tokens: {tokens}; it returns {', '.join(outputs)}.")
    return outputs[name]
