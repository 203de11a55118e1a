"""BERT on KerasHub's backbone."""

from typing import Any, Literal

import keras
import keras_hub
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Rate, Stream, StreamError, given_ids, make_stream
from mmzoo import pool as mean
from mmzoo_text.presets import load_preset


class Bert(keras.layers.Layer):
    """Reads a text with BERT and gives one state of it, or the states of all its pieces.

    Ids `(batch, length)` -> one token `(batch, 1, dim)`, or a token per id. Each id sees all that are not PAD; blocks normalise
    after attention and after the two dense layers. A text without an id gives an absent stream.

    Source: Devlin et al. 2019, arXiv 1810.04805; the backbone is KerasHub's `BertBackbone`, without the dense layer that BERT
    has on top of [CLS] for its next-sentence task. KerasHub computes GELU by its tanh formula, Hugging Face exactly, so states
    of the same weights differ in the third digit.

    Args:
        features: What is known of the ids.
        backbone_config: The shape of the preset's backbone, as a run has kept it.
        dim: Of the embeddings and states; `heads` must divide it.
        depth: Transformer blocks.
        heads: Attention heads in each block.
        mlp: Numbers between a block's two dense layers; `4 * dim` if not given.
        weights: KerasHub preset such as `bert_base_en_uncased`, `hf://...`, or a folder as KerasHub or Hugging Face write it,
            whose weights to start from; its shape replaces the options above. The ids must be of its own vocabulary: read the
            text with `wordpiece` and this for its `vocabulary`. None starts from random weights.
        pool: `class` for the state at the first id, which is [CLS] by `wordpiece`; `mean` for the mean of all ids' states,
            better where no [CLS] comes first, as by `words`; `none` for the states of all ids.
        dropout: Share of numbers that is zeroed in training, in each block.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: PositiveInt = 768,
        depth: PositiveInt = 12,
        heads: PositiveInt = 12,
        mlp: PositiveInt | None = None,
        weights: str | None = None,
        pool: Literal["class", "mean", "none"] = "class",
        dropout: Rate = 0.1,
        backbone_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.features, self.pool = features, pool
        if backbone_config is not None:
            backbone = keras.saving.deserialize_keras_object(backbone_config)
        elif weights is not None:
            backbone = load_preset(keras_hub.models.BertBackbone, weights, dropout=dropout, dtype=self.dtype_policy.name)
            _check_fits(features, backbone, weights)
        else:
            backbone = _backbone(features, dim, depth, heads, mlp or 4 * dim, dropout)
        self.backbone_config = keras.saving.serialize_keras_object(backbone) if weights is not None else None
        self.backbone = keras.Model(backbone.input, backbone.output["sequence_output"])

    def build(self, shape: Any) -> None:
        self.built = True  # the backbone is built when it is made

    def call(self, ids: Any, training: bool = False) -> Stream:
        ids, mask = given_ids(ids, self.features)
        known = {"token_ids": ids, "segment_ids": ops.zeros_like(ids), "padding_mask": ops.cast(mask, "int32")}
        states = self.backbone(known, training=training)  # (batch, length, dim)
        if self.pool == "none":
            return make_stream(states, mask)
        pooled = states[:, 0] if self.pool == "class" else mean(make_stream(states, mask))
        return make_stream(pooled, ops.any(mask, axis=1, keepdims=True))


def _backbone(features: FeatureSpec, dim: int, depth: int, heads: int, mlp: int, dropout: float) -> Any:
    if dim % heads:
        raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")
    return keras_hub.models.BertBackbone(
        vocabulary_size=features["vocabulary"],
        num_layers=depth,
        num_heads=heads,
        hidden_dim=dim,
        intermediate_dim=mlp,
        dropout=dropout,
        max_sequence_length=features["shape"][0],
    )


def _check_fits(features: FeatureSpec, backbone: Any, weights: str) -> None:
    vocabulary, known = (features["vocabulary"] or 0) - ("pad" in features), backbone.vocabulary_size
    if vocabulary > known:
        raise StreamError(
            f"the text has ids of {vocabulary:,} pieces, the preset '{weights}' knows {known:,}. "
            f"Read the text with {{type: wordpiece, vocabulary: {weights}}}."
        )
    length, most = features["shape"][0], backbone.max_sequence_length
    if length > most:
        raise StreamError(f"a text has {length} ids, the preset '{weights}' reads {most} at most. Make its `length` smaller.")
