"""Dual encoder: compares candidates and queries by the cosine of their embeddings."""

import math
from typing import Any

import keras
from keras import ops

from mmzoo import (
    MASKED_LOGIT,
    Examples,
    FieldName,
    Gallery,
    Head,
    InputName,
    PositiveFloat,
    PositiveInt,
    Signature,
    Stream,
    StreamError,
    pick_stream,
    pool,
    same_dim,
    search_gallery,
    unit,
)

Streams = dict[str, Stream]


class Match(Head):
    """Embeds two inputs in one space, for search and zero-shot classification.

    The query is the input that searches, the candidate is the input that is searched: captions and images, or captions and
    sounds. Outputs and signatures are named after these inputs; below they are `caption` and `image`, the defaults.

    Each stream is averaged over its real tokens and scaled to length 1. Put the fusion `project` before this head unless the
    encoders have the same dim already.

    Training outputs: `image_embedding` and `caption_embedding` `(batch, dim)`; `logit_scale` `()`, 1 / temperature;
    `logit_bias` `()`, 0 without `bias`. Losses and metrics find the embeddings as `candidate_embedding` and `query_embedding`.
    A loss computes the logits `logit_scale * cosine + logit_bias`.

    Signatures: `embed_image` and `embed_caption` return `image_embedding` and `caption_embedding` `(batch, dim)`.
    `zero_shot` takes an image and `labels`, texts `(batch, labels)`. It returns `score` `(batch, labels)`, the softmax of
    `logit_scale * cosine` over the labels of the row that are not empty, and 0 for empty labels. With `bias`, as in SigLIP,
    the score of a label is the sigmoid of its logit: labels do not compete, and none or several may apply. With a gallery,
    `search` takes a caption and `search_by_image` an image. Both return the `id` and the caption of the nearest candidates
    in the gallery, `(batch, top_k)`, nearest first, and their `score`, the cosine. A gallery smaller than `top_k` is
    returned as a whole.

    Source: Radford et al. 2021, arXiv 2103.00020, section 2.3: the scale starts at 1 / 0.07 and is clipped to 100. SigLIP (Zhai
    et al. 2023, arXiv 2303.15343) starts with `temperature: 0.1` and `bias: -10`.

    Args:
        candidate: The input whose examples fill the gallery.
        query: The input that searches; labels are read like it.
        temperature: The divisor of the cosines; its initial value if it is learned.
        learned: Whether training changes the temperature.
        max_logit_scale: The upper bound of a learned 1 / temperature, applied after each update.
        bias: The initial value of a learned bias; no bias if not given.
        gallery: The examples that are searched: a split's name, or a data set; no search if not given.
        key: The field of the gallery's data that becomes an entry's `id`; if empty, the place it was read from
            (`pairs.csv:12`).
        top_k: The number of candidates that a search returns.
    """

    def __init__(
        self,
        *,
        candidate: InputName = "image",
        query: InputName = "caption",
        temperature: PositiveFloat = 0.07,
        learned: bool = True,
        max_logit_scale: PositiveFloat = 100.0,
        bias: float | None = None,
        gallery: Examples = None,
        key: FieldName = "",
        top_k: PositiveInt = 10,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # lengths and the scale are in float32
        if learned and temperature * max_logit_scale < 1:
            found = f"its temperature {temperature} is a scale of {1 / temperature:g}"
            raise StreamError(f"{found}, expected at most {max_logit_scale:g}; raise `max_logit_scale`.")
        self.candidate, self.query, self.top_k = candidate, query, top_k
        self.temperature, self.searched, self.key = temperature, gallery, key
        self.log_scale = self.bias = None
        if learned:
            self.log_scale = self._scalar("log_scale", -math.log(temperature), AtMost(math.log(max_logit_scale)))
        if bias is not None:
            self.bias = self._scalar("bias", bias)

    def _scalar(self, name: str, initial: float, constraint: Any = None) -> Any:
        initializer = keras.initializers.Constant(initial)
        return self.add_weight((), initializer, "float32", autocast=False, constraint=constraint, name=name)

    def call(self, streams: Streams, targets: Any = None) -> dict[str, Any]:
        pair = {name: pick_stream(streams, name, "the head 'match'") for name in (self.candidate, self.query)}
        same_dim(pair, "the head 'match'")
        bias = _constant(0.0) if self.bias is None else self.bias.value
        scalars = {"logit_scale": self._scale(), "logit_bias": bias}
        return self._named(streams, self.candidate) | self._named(streams, self.query) | scalars

    @property
    def aliases(self) -> dict[str, str]:
        """The names by which losses and metrics find the two embeddings."""
        return {"candidate_embedding": f"{self.candidate}_embedding", "query_embedding": f"{self.query}_embedding"}

    def _scale(self) -> Any:
        return _constant(1 / self.temperature) if self.log_scale is None else ops.exp(self.log_scale)

    def _embed(self, streams: Streams, name: str) -> Any:
        return unit(pool(pick_stream(streams, name, "the head 'match'")))  # (batch, dim)

    def _named(self, streams: Streams, name: str) -> dict[str, Any]:
        return {f"{name}_embedding": self._embed(streams, name)}

    # Signatures

    @property
    def gallery(self) -> Gallery | None:
        if self.searched is None:
            return None
        return Gallery(self.searched, f"embed_{self.candidate}", f"{self.candidate}_embedding", (self.query,), self.key)

    def signatures(self) -> dict[str, Signature]:
        def embed(name: str) -> Signature:
            return Signature(lambda streams: self._named(streams, name), inputs=(name,))

        embeddings = {f"embed_{name}": embed(name) for name in (self.candidate, self.query)}
        zero_shot = Signature(
            self._zero_shot, inputs=(self.candidate, "labels"), reads={"labels": self.query}, needs=(self.candidate,)
        )
        return (self._searches() if self.searched is not None else {}) | embeddings | {"zero_shot": zero_shot}

    def _searches(self) -> dict[str, Signature]:
        def by(name: str) -> Signature:
            def search(streams: Streams, entries: Any) -> dict[str, Any]:
                return search_gallery(self._embed(streams, name), entries, self.top_k)

            return Signature(search, inputs=(name,), gallery="place")

        return {"search": by(self.query), f"search_by_{self.candidate}": by(self.candidate)}

    def _zero_shot(self, streams: Streams) -> dict[str, Any]:
        candidate, labels = self._embed(streams, self.candidate), self._embed(streams, self.query)
        table = ops.shape(candidate)[0], ops.shape(labels)[0] // ops.maximum(ops.shape(candidate)[0], 1)
        real = ops.cast(ops.reshape(ops.any(streams[self.query]["mask"], axis=1), table), "float32")
        cosines = ops.matmul(ops.reshape(labels, (*table, labels.shape[-1])), candidate[..., None])[..., 0]  # (batch, labels)
        if self.bias is not None:
            return {"score": ops.sigmoid(self._scale() * cosines + self.bias.value) * real}
        logits = self._scale() * cosines + (1 - real) * MASKED_LOGIT
        # Keras' softmax warns about a single label.
        return {"score": ops.exp(logits - ops.logsumexp(logits, axis=1, keepdims=True)) * real}


def _constant(number: float) -> Any:
    return ops.convert_to_tensor(number, "float32")


class AtMost(keras.constraints.Constraint):
    """Clips a weight to an upper bound after each update."""

    def __init__(self, most: float):
        self.most = most

    def __call__(self, weight: Any) -> Any:
        return ops.minimum(weight, self.most)

    def get_config(self) -> dict[str, Any]:
        return {"most": self.most}
