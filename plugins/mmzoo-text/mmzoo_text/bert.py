"""BERT encoder on KerasHub's backbone."""

from typing import Any, Literal

import keras
import keras_hub
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Preset, Rate, Stream, StreamError, given_ids, make_stream, preset_json
from mmzoo import pool as mean
from mmzoo_text.presets import load_preset

GELUS: dict[str, Literal["exact", "tanh"]] = {"gelu": "exact", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
"""Hugging Face's names of GELU, and how each is computed."""


class Bert(keras.layers.Layer):
    """Encodes a text with BERT, from random or pretrained weights.

    Ids `(batch, sequence_length)` -> one token `(batch, 1, dim)`, or one token per id. Attention is bidirectional and masks
    PAD. Blocks are post-norm: they normalise after attention and after the MLP. A text with no id other than PAD is an absent
    stream. An input is one text, so all its ids are of BERT's first segment.

    Source: Devlin et al. 2019, arXiv 1810.04805. The backbone is KerasHub's `BertBackbone`, without BERT's pooler, the dense
    layer on [CLS] for next-sentence prediction.

    Args:
        features: The `FeatureSpec` of the ids.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        dim: Size of the embeddings and states; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        mlp: Hidden size of each block's MLP; by default `4 * dim`.
        weights: KerasHub preset to load pretrained weights from: a name such as `bert_base_en_uncased`, `hf://...`, or a folder
            in KerasHub's or Hugging Face's format. The preset's architecture replaces the options above. The ids must be those
            of the preset's vocabulary: use the processor `wordpiece` with this preset as its `vocabulary`. None starts from
            random weights.
        gelu: How GELU is computed: `exact`, as Hugging Face's `gelu` does, or `tanh`, the approximation of KerasHub and of its
            `gelu_new`. None computes it as the `config.json` of weights in Hugging Face's format says, else with tanh. With the
            other one, states differ in the third digit.
        pool: `class` returns the state of the first id, which is [CLS] with `wordpiece`. `mean` returns the mean state of all
            ids, better where the text has no [CLS], as with `words`. `none` returns the states of all ids.
        dropout: Dropout rate of every block.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: PositiveInt = 768,
        depth: PositiveInt = 12,
        heads: PositiveInt = 12,
        mlp: PositiveInt | None = None,
        weights: Preset | None = None,
        gelu: Literal["exact", "tanh"] | None = None,
        pool: Literal["class", "mean", "none"] = "class",
        dropout: Rate = 0.1,
        backbone_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.features, self.pool = features, pool
        if backbone_config is not None:
            backbone, gelu = keras.saving.deserialize_keras_object(backbone_config["backbone"]), backbone_config["gelu"]
        elif weights is not None:
            backbone = load_preset(keras_hub.models.BertBackbone, weights, dropout=dropout, dtype=self.dtype_policy.name)
            _check_fits(features, backbone, weights)
            gelu = gelu or _gelu_of(weights)
        else:
            backbone = _backbone(features, dim, depth, heads, mlp or 4 * dim, dropout)
        if gelu == "exact":
            _make_gelu_exact(backbone)
        self.backbone_config = None
        if weights is not None:
            self.backbone_config = {"backbone": keras.saving.serialize_keras_object(backbone), "gelu": gelu}
        self.backbone = keras.Model(backbone.input, backbone.output["sequence_output"])

    def build(self, shape: Any) -> None:
        self.built = True  # the backbone is built when it is made

    def call(self, ids: Any, training: bool = False) -> Stream:
        ids, mask = given_ids(ids, self.features)
        inputs = {"token_ids": ids, "segment_ids": ops.zeros_like(ids), "padding_mask": ops.cast(mask, "int32")}
        states = self.backbone(inputs, training=training)  # (batch, sequence_length, dim)
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


def _gelu_of(weights: str) -> Literal["exact", "tanh"]:
    """Returns how weights were trained to compute GELU; KerasHub's format does not say it, and KerasHub takes tanh."""
    found = preset_json(weights, "config.json").get("hidden_act", "gelu_new")
    if found not in GELUS:
        raise StreamError(f"the preset '{weights}' was trained with the activation '{found}', expected {' or '.join(GELUS)}.")
    return GELUS[found]


def _make_gelu_exact(backbone: Any) -> None:
    for layer in backbone._flatten_layers():
        if isinstance(layer, keras.layers.Dense) and layer.name.endswith("feedforward_intermediate_dense"):
            layer.activation = keras.activations.gelu


def _check_fits(features: FeatureSpec, backbone: Any, weights: str) -> None:
    vocabulary, known = (features["vocabulary"] or 0) - ("pad" in features), backbone.vocabulary_size
    if vocabulary > known:
        raise StreamError(
            f"the text's vocabulary has {vocabulary:,} tokens, that of the preset '{weights}' has {known:,}. "
            f"Read the text with {{type: wordpiece, vocabulary: {weights}}}."
        )
    length, most = features["shape"][0], backbone.max_sequence_length
    if length > most:
        raise StreamError(f"a text has {length} ids, the preset '{weights}' reads {most} at most. Reduce `sequence_length`.")
