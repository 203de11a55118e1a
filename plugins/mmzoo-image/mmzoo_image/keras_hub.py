"""Any backbone of KerasHub as an encoder, of pictures or of text."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import FeatureSpec, Rate, Stream, StreamError, given_ids, make_stream
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, PictureEncoder, load_backbone

TEXT_INPUTS = {"token_ids", "padding_mask", "segment_ids"}
"""What a backbone of text may read; all are made of the ids."""


class KerasHub(PictureEncoder):
    """Reads a picture or a text with a pretrained backbone of KerasHub.

    Pixels `(batch, height, width, 3)`, 0 to 255, or ids `(batch, length)`, whichever the input's processor gives, -> tokens
    `(batch, tokens, dim)`. A picture's tokens are all real: the places of a map row by row, or what a transformer gives. A
    text's are real where its ids are not PAD; the ids are those of the preset's own vocabulary: the processor `preset_tokens`
    gives them. Of a pair of encoders, such as CLIP's, the one is taken that reads the input, without its projection.

    Args:
        features: What is known of the input.
        backbone_config: What a run has kept of the preset.
        preset: A preset's name, such as `bert_tiny_en_uncased` or `dinov2_small`; `hf://...`, `kaggle://...`, or a folder that
            `save_to_preset` wrote. Pixels are scaled as its image converter says, to -1 to 1 if it has none.
        tokens: What the stream holds: `all` tokens; the `first` alone, which is BERT's [CLS] and a vision transformer's class
            token; the `last` real one, for a backbone that reads from left to right; or what the backbone itself has `pooled`.
        dropout: Share of the output's numbers that is zeroed in training.
        augment: Of pictures: Keras augmentation layers that change the pixels in training, in order: the Keras identifier of
            each, or a mapping of its `type` and its options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        preset: str,
        tokens: Literal["all", "first", "last", "pooled"] = "all",
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never changed; an option's default shows in the help
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        self.features, self.holds = features, tokens
        self.reads_text = features["vocabulary"] is not None
        part = self.start_from(preset, backbone_config, partial(_load_part, preset, features), SIGNED)
        # Without what the stream does not hold, whose weights nothing would use.
        self.backbone = keras.Model(part.input, _output(part, preset, tokens))
        self._check_tokens(preset)

    def call(self, values: Any, training: bool = False) -> Stream:
        if not self.reads_text:
            return super().call(values, training=training)
        ids, mask = given_ids(values, self.features)
        made = {"token_ids": ids, "padding_mask": ops.cast(mask, "int32"), "segment_ids": ops.zeros_like(ids)}
        seen = self.backbone({name: made[name] for name in self.backbone.input}, training=training)
        return self._kept(seen, mask, training)

    def tokens(self, seen: Any) -> Any:
        tokens = super().tokens(seen)
        return tokens[:, :1] if self.holds == "first" else tokens

    def _kept(self, seen: Any, mask: Any, training: bool) -> Stream:
        tokens = self.dropout(seen, training=training)
        if self.holds == "all":
            return make_stream(tokens, mask)
        if self.holds == "last":
            last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
            tokens = ops.take_along_axis(tokens, last[:, None, None], axis=1)
        elif self.holds == "first":
            tokens = tokens[:, :1]
        return make_stream(tokens, ops.any(mask, axis=1, keepdims=True))

    def _check_tokens(self, preset: str) -> None:
        is_map = len(self.backbone.output.shape) == 4
        if not self.reads_text and (self.holds == "last" or (self.holds == "first" and is_map)):
            gives = "a map" if is_map else "a picture's tokens"
            raise StreamError(f"the preset '{preset}' gives {gives}, of which tokens: {self.holds} takes nothing. Choose all.")


def _load_part(preset: str, features: FeatureSpec) -> Any:
    if features["vocabulary"] is not None:
        return _text_part(load_backbone(preset), preset, features)
    return _picture_part(load_backbone(preset, image_shape=tuple(features["shape"])), preset, features)


def _text_part(whole: Any, preset: str, features: FeatureSpec) -> Any:
    part = getattr(whole, "text_encoder", whole)
    reads = set(part.input) if isinstance(part.input, Mapping) else {"pictures"}
    if not reads <= TEXT_INPUTS:
        others = ", ".join(sorted(reads - TEXT_INPUTS))
        raise StreamError(f"the preset '{preset}' reads {others}, received text. Choose one that reads text alone.")
    known, length = getattr(part, "vocabulary_size", None), getattr(part, "max_sequence_length", None)
    found = (features["vocabulary"] or 0) - ("pad" in features)
    if known is not None and found > known:
        advice = f"Read the text with {{type: preset_tokens, preset: {preset}}}."
        raise StreamError(f"the preset '{preset}' knows {known} ids, received {found}. {advice}")
    if length is not None and features["shape"][0] > length:
        raise StreamError(f"the preset '{preset}' reads texts of at most {length} ids, received {features['shape'][0]}.")
    return part


def _picture_part(whole: Any, preset: str, features: FeatureSpec) -> Any:
    part = getattr(whole, "vision_encoder", whole)
    inputs = list(part.input.values()) if isinstance(part.input, Mapping) else [part.input]
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        names = ", ".join(sorted(part.input)) if isinstance(part.input, Mapping) else "no pictures"
        raise StreamError(f"the preset '{preset}' reads {names}, received pictures. Choose one that reads pictures alone.")
    wanted, found = inputs[0].shape[1:], features["shape"]
    if any(size not in (None, given) for size, given in zip(wanted, found, strict=True)):
        raise StreamError(f"the preset '{preset}' reads pictures of shape {list(wanted)}, received {found}.")
    return part


def _output(part: Any, preset: str, tokens: str) -> Any:
    """Finds the tensor that holds what is asked for."""
    outputs = part.output if isinstance(part.output, Mapping) else {"sequence_output": part.output}
    name = "pooled_output" if tokens == "pooled" else "sequence_output"
    if name not in outputs:
        raise StreamError(f"the preset '{preset}' has no {name} for tokens: {tokens}; it gives {', '.join(outputs)}.")
    return outputs[name]
