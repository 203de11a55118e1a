"""Toy dual encoder with a loss over the whole batch, as in CLIP (Radford et al. 2021, arXiv 2103.00020)."""

from typing import Any

import keras
import numpy as np
from keras import ops

from mmzoo import Examples, Gallery, Head, InputName, PositiveInt, Signature, Stream, make_stream, pick_stream, pool


class Project(keras.layers.Layer):
    """Projects each stream's mean token into one shared space, scaled to length 1.

    Args:
        dim: The size of the shared space.
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
    """Compares each candidate of a batch with each query.

    Training outputs: `logits` `(batch, batch)`, the scaled cosine of each candidate (row) with each query (column). Signatures,
    for the inputs `image` and `caption`: `embed` returns `image_embedding` and `caption_embedding`, `(batch, dim)` of length 1;
    `embed_image` and `embed_caption` return one of them. `search` returns the two nearest candidates of the gallery. `name`
    returns the cosine of an image with each of several captions, -1 for an empty one.

    Args:
        candidate: The input whose examples are searched.
        query: The input that searches.
        temperature: The initial value of the learned divisor of the cosines.
        pictures: The examples that are searched.
        key: The field that identifies an entry.
    """

    def __init__(
        self,
        *,
        candidate: InputName = "image",
        query: InputName = "caption",
        temperature: float = 0.07,
        pictures: Examples = None,
        key: str = "",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.candidate, self.query, self.temperature = candidate, query, temperature
        self.pictures, self.key = pictures, key

    def build(self, streams_shape: Any, targets_shape: Any = None) -> None:
        first = keras.initializers.Constant(np.log(1 / self.temperature))
        self.scale = self.add_weight(shape=(), initializer=first, name="scale")

    def call(self, streams: dict[str, Stream], targets: Any = None) -> dict[str, Any]:
        candidate, query = self._embed(streams, self.candidate), self._embed(streams, self.query)
        return {"logits": ops.exp(self.scale) * ops.matmul(candidate, ops.transpose(query))}

    @property
    def aliases(self) -> dict[str, str]:
        return {"candidate_embedding": f"{self.candidate}_embedding", "query_embedding": f"{self.query}_embedding"}

    def signatures(self) -> dict[str, Signature]:
        def embed(*names: str) -> Signature:
            return Signature(
                lambda streams: {f"{name}_embedding": self._embed(streams, name) for name in names}, inputs=tuple(names)
            )

        def search(streams: dict[str, Stream], entries: Any) -> dict[str, Any]:
            cosines = ops.matmul(self._embed(streams, self.query), ops.transpose(entries))
            score, place = ops.top_k(cosines, min(2, entries.shape[0]))
            return {"place": place, "score": score}

        def name(streams: dict[str, Stream]) -> dict[str, Any]:
            candidate, labels = self._embed(streams, self.candidate), self._embed(streams, self.query)
            labels = ops.reshape(labels, (ops.shape(candidate)[0], -1, candidate.shape[-1]))
            present = ops.reshape(streams[self.query]["mask"][:, 0], ops.shape(labels)[:2])
            return {"cosine": ops.where(present, ops.sum(candidate[:, None] * labels, axis=-1), -1.0)}

        searches = {"search": Signature(search, inputs=(self.query,), gallery="place")} if self.pictures is not None else {}
        return searches | {
            "embed": embed(self.candidate, self.query),
            "name": Signature(name, inputs=(self.candidate, "labels"), reads={"labels": self.query}),
            f"embed_{self.candidate}": embed(self.candidate),
            f"embed_{self.query}": embed(self.query),
        }

    @property
    def gallery(self) -> Gallery | None:
        if self.pictures is None:
            return None
        return Gallery(self.pictures, f"embed_{self.candidate}", f"{self.candidate}_embedding", (self.query,), self.key)

    def _embed(self, streams: dict[str, Stream], name: str) -> Any:
        return pool(pick_stream(streams, name, "the head 'toy_match'"))


def info_nce(logits: Any) -> Any:
    """Averages the contrastive cross-entropies of both directions over the batch.

    Args:
        logits: `(batch, batch)`, the right pairs on the diagonal.

    Returns:
        `(batch,)`.
    """
    right = ops.diagonal(logits)
    return (ops.logsumexp(logits, axis=1) + ops.logsumexp(logits, axis=0)) / 2 - right


class Recall:
    """Share of candidates whose own query, or an equal one, is among the nearest.

    Args:
        k: The number of nearest queries that count.
    """

    def __init__(self, *, k: PositiveInt = 1):
        self.k, self.rows = k, []

    def update(self, candidate_embedding: Any, query_embedding: Any) -> None:
        self.rows.append((candidate_embedding, query_embedding))

    def result(self) -> dict[str, float]:
        if not self.rows:
            return {"toy_recall": 0.0}
        candidates, queries = (np.stack(side) for side in zip(*self.rows, strict=True))
        scores = candidates @ queries.T
        better = (scores > np.diag(scores)[:, None] + 1e-6).sum(axis=1)
        return {"toy_recall": float((better < self.k).mean())}
