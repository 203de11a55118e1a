"""Two streams in one shared space and a loss over the whole batch, as in CLIP (Radford et al. 2021, arXiv 2103.00020)."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mmzoo import Examples, Gallery, Head, InputName, PositiveInt, Signature, Stream, make_stream, pick_stream, pool


class Project(keras.layers.Layer):
    """Projects each stream's mean token into one shared space, to length 1.

    Args:
        dim: Of the shared space.
    """

    def __init__(self, *, dim: PositiveInt = 8, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, streams: Any) -> None:
        self.projections = {name: keras.layers.Dense(self.dim, use_bias=False, name=name) for name in streams}
        for name, projection in self.projections.items():
            projection.build((None, streams[name]["tokens"][-1]))

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        return {name: self._project(name, stream) for name, stream in streams.items()}

    def _project(self, name: str, stream: Stream) -> Stream:
        vector = ops.normalize(self.projections[name](pool(stream)))
        return make_stream(vector, ops.any(stream["mask"], axis=1, keepdims=True))


class Match(Head):
    """Compares each picture of a batch with each text of it.

    Outputs in training: `logits` `(batch, batch)`, the scaled cosine of each picture (row) with each text (column).
    Answers: `embed` gives `image` and `text`, `(batch, dim)` of length 1; `embed_image` and `embed_text` one of them. `search`
    gives the two pictures of the gallery nearest to a text, `name` the cosine of a picture with each of some texts, -1 for an
    empty one.

    Args:
        image: The input that holds the pictures.
        text: The input that holds the texts.
        temperature: What the cosines are divided by at first; it is learned.
        pictures: What is searched.
        key: The field that names a picture.
    """

    def __init__(
        self,
        *,
        image: InputName = "image",
        text: InputName = "caption",
        temperature: float = 0.07,
        pictures: Examples = None,
        key: str = "",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image, self.text, self.temperature, self.pictures, self.key = image, text, temperature, pictures, key

    def build(self, streams_shape: Any, targets_shape: Any = None) -> None:
        first = keras.initializers.Constant(np.log(1 / self.temperature))
        self.scale = self.add_weight(shape=(), initializer=first, name="scale")

    def call(self, streams: dict[str, Stream], targets: Any = None) -> dict[str, Any]:
        image, text = self._embed(streams, self.image), self._embed(streams, self.text)
        return {"logits": ops.exp(self.scale) * ops.matmul(image, ops.transpose(text))}

    def signatures(self) -> dict[str, Signature]:
        def image(streams: dict[str, Stream]) -> dict[str, Any]:
            return {"image": self._embed(streams, self.image)}

        def text(streams: dict[str, Stream]) -> dict[str, Any]:
            return {"text": self._embed(streams, self.text)}

        def search(streams: dict[str, Stream], entries: Any) -> dict[str, Any]:
            score, place = ops.top_k(ops.matmul(text(streams)["text"], ops.transpose(entries)), min(2, entries.shape[0]))
            return {"place": place, "score": score}

        def name(streams: dict[str, Stream]) -> dict[str, Any]:
            one, several = self._embed(streams, self.image), self._embed(streams, self.text)
            several = ops.reshape(several, (ops.shape(one)[0], -1, one.shape[-1]))
            there = ops.reshape(streams[self.text]["mask"][:, 0], ops.shape(several)[:2])
            return {"cosine": ops.where(there, ops.sum(one[:, None] * several, axis=-1), -1.0)}

        searches = {"search": Signature(search, inputs=(self.text,), gallery="place")} if self.pictures is not None else {}
        return searches | {
            "embed": Signature(lambda streams: image(streams) | text(streams), inputs=(self.image, self.text)),
            "name": Signature(name, inputs=(self.image, "labels"), reads={"labels": self.text}),
            "embed_image": Signature(image, inputs=(self.image,)),
            "embed_text": Signature(text, inputs=(self.text,)),
        }

    @property
    def gallery(self) -> Gallery | None:
        return None if self.pictures is None else Gallery(self.pictures, "embed_image", "image", (self.text,), self.key)

    def _embed(self, streams: dict[str, Stream], name: str) -> Any:
        return pool(pick_stream(streams, name, "the head 'toy_match'"))


def info_nce(logits: Any) -> Any:
    """Averages the cross-entropies of finding a picture's text and a text's picture in the batch.

    Args:
        logits: `(batch, batch)`, the right pairs on the diagonal.

    Returns:
        `(batch,)`.
    """
    right = ops.diagonal(logits)
    return (ops.logsumexp(logits, axis=1) + ops.logsumexp(logits, axis=0)) / 2 - right


class Recall:
    """Counts how often the text nearest to a picture is its own, or one that reads the same.

    Args:
        k: Among how many nearest texts.
    """

    def __init__(self, *, k: PositiveInt = 1):
        self.k, self.rows = k, []

    def update(self, image: Any, text: Any) -> None:
        self.rows.append((image, text))

    def result(self) -> dict[str, float]:
        if not self.rows:
            return {"toy_recall": 0.0}
        images, texts = (np.stack(side) for side in zip(*self.rows, strict=True))
        scores = images @ texts.T
        better = (scores > np.diag(scores)[:, None] + 1e-6).sum(axis=1)
        return {"toy_recall": float((better < self.k).mean())}
