"""Dual encoder: pictures and texts are compared by the angle between their embeddings."""

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
)
from mmzoo_matching.project import unit

Streams = dict[str, Stream]


class Match(Head):
    """Embeds pictures and texts in one space; searches and names pictures.

    Each stream is averaged over its real tokens and scaled to length 1; put a fusion `project` before it unless the encoders
    give one dim already.

    Outputs in training: `image_embedding` and `text_embedding` `(batch, dim)`, `logit_scale` `()`, 1 / temperature, and
    `logit_bias` `()`, 0 unless it is asked for; a loss makes the logits `logit_scale * cosine + logit_bias`.

    Answers: `embed_image` and `embed_text` give an embedding `(batch, dim)`. `zero_shot` takes a picture and `labels`, texts
    `(batch, labels)`, and gives each a `score`, the softmax of `logit_scale * cosine` over those of the row that are not empty;
    an empty one has 0. With a gallery, `search` takes a text and `search_by_image` a picture: the `id` and text of the pictures
    in the gallery that are nearest, `(batch, top_k)`, the nearest first, and their `score`, the cosine. A gallery that is
    smaller than `top_k` is answered as a whole.

    Source: Radford et al. 2021, arXiv 2103.00020, section 2.3: scale starts at 1 / 0.07 and is held to 100. SigLIP (Zhai et al.
    2023, arXiv 2303.15343) starts with `temperature: 0.1` and `bias: -10`.

    Args:
        image: The input that holds the pictures.
        text: The input that holds the texts.
        temperature: What cosines are divided by; the first value if it is learned.
        learned: Whether training changes the temperature.
        max_logit_scale: A learned 1 / temperature is held to at most this after each update.
        bias: The first value of a learned bias; none if not given.
        gallery: The pictures that are searched: a split's name, or a data set; without it nothing is searched.
        key: The field of the gallery's data that names a picture; where it comes from (`pairs.csv:12`), if not given.
        top_k: How many pictures a search answers.
    """

    def __init__(
        self,
        *,
        image: InputName = "image",
        text: InputName = "caption",
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
        self.image, self.text, self.top_k = image, text, top_k
        self.temperature, self.searched, self.key = temperature, gallery, key
        self.log_scale = self.shift = None
        if learned:
            self.log_scale = self._scalar("log_scale", -math.log(temperature), AtMost(math.log(max_logit_scale)))
        if bias is not None:
            self.shift = self._scalar("bias", bias)

    def _scalar(self, name: str, first: float, constraint: Any = None) -> Any:
        start = keras.initializers.Constant(first)
        return self.add_weight((), start, "float32", autocast=False, constraint=constraint, name=name)

    def call(self, streams: Streams, targets: Any = None) -> dict[str, Any]:
        pair = {name: pick_stream(streams, name, "the head 'match'") for name in (self.image, self.text)}
        same_dim(pair, "the head 'match'")
        bias = _fixed(0.0) if self.shift is None else self.shift.value
        scalars = {"logit_scale": self._scale(), "logit_bias": bias}
        return self._embed_image(streams) | self._embed_text(streams) | scalars

    def _scale(self) -> Any:
        return _fixed(1 / self.temperature) if self.log_scale is None else ops.exp(self.log_scale)

    def _embed(self, streams: Streams, name: str) -> Any:
        return unit(pool(pick_stream(streams, name, "the head 'match'")))  # (batch, dim)

    # Answers

    @property
    def gallery(self) -> Gallery | None:
        if self.searched is None:
            return None
        return Gallery(self.searched, "embed_image", "image_embedding", (self.text,), self.key)

    def signatures(self) -> dict[str, Signature]:
        embedding = {
            "embed_image": Signature(self._embed_image, inputs=(self.image,)),
            "embed_text": Signature(self._embed_text, inputs=(self.text,)),
            "zero_shot": Signature(
                self._zero_shot, inputs=(self.image, "labels"), reads={"labels": self.text}, needs=(self.image,)
            ),
        }
        return (self._searches() if self.searched is not None else {}) | embedding

    def _searches(self) -> dict[str, Signature]:
        def by(name: str) -> Signature:
            return Signature(
                lambda streams, entries: self._search(self._embed(streams, name), entries), inputs=(name,), gallery="place"
            )

        return {"search": by(self.text), "search_by_image": by(self.image)}

    def _search(self, query: Any, entries: Any) -> dict[str, Any]:
        # The gallery is far larger than the queries: it is not transposed.
        cosines = ops.transpose(ops.matmul(entries, ops.transpose(query)))  # (batch, entries)
        score, place = ops.top_k(cosines, min(self.top_k, entries.shape[0]))
        return {"place": place, "score": score}

    def _embed_image(self, streams: Streams) -> dict[str, Any]:
        return {"image_embedding": self._embed(streams, self.image)}

    def _embed_text(self, streams: Streams) -> dict[str, Any]:
        return {"text_embedding": self._embed(streams, self.text)}

    def _zero_shot(self, streams: Streams) -> dict[str, Any]:
        image, labels = self._embed(streams, self.image), self._embed(streams, self.text)
        table = ops.shape(image)[0], ops.shape(labels)[0] // ops.maximum(ops.shape(image)[0], 1)
        real = ops.cast(ops.reshape(ops.any(streams[self.text]["mask"], axis=1), table), "float32")
        cosines = ops.matmul(ops.reshape(labels, (*table, labels.shape[-1])), image[..., None])[..., 0]  # (batch, labels)
        logits = self._scale() * cosines + (1 - real) * MASKED_LOGIT
        # Keras' softmax warns of one label.
        return {"score": ops.exp(logits - ops.logsumexp(logits, axis=1, keepdims=True)) * real}


def _fixed(number: float) -> Any:
    return ops.convert_to_tensor(number, "float32")


class AtMost(keras.constraints.Constraint):
    """Holds a weight to at most a number after each update."""

    def __init__(self, most: float):
        self.most = most

    def __call__(self, weight: Any) -> Any:
        return ops.minimum(weight, self.most)

    def get_config(self) -> dict[str, Any]:
        return {"most": self.most}
