"""DAMSM: matches the regions of an image with the words of a caption, and both as a whole."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import (
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
    search_gallery,
    unit,
)
from mmzoo_text2image.damsm_loss import attend

Streams = dict[str, Stream]
WHO = "the head 'damsm'"


class DAMSM(Head):
    """Matches regions of images with words of captions (AttnGAN's DAMSM).

    Embeds regions and words in one space, and whole images and captions in another of the same dim.

    The candidate is the input with regions, the query is the input with words. Outputs and signatures are named after these
    inputs; below they are `image` and `caption`, the defaults.

    - regions: `W v`, for each token v of the image;
    - image: `U m + b`, where m is the mean of the image's tokens, scaled to length 1;
    - words: the tokens of the caption;
    - caption: the last states of both directions, or the mean of the words (`sentence`), scaled to length 1.

    Words and captions are projected, as regions and images are, only if their size is not `dim`. The weights of projections
    start uniformly in -0.1 to 0.1. Give the caption an encoder with one token per word, such as `lstm` with `pool: none`.

    Training outputs: `regions` `(batch, regions, dim)` and `regions_mask` `(batch, regions)`; `words` `(batch, words, dim)` and
    `words_mask` `(batch, words)`; `image_embedding` and `caption_embedding` `(batch, dim)`. Masked regions and words are zeros.
    Losses and metrics find the embeddings as `candidate_embedding` and `query_embedding`. The loss is `damsm`.

    Signatures: `embed_image` and `embed_caption` return `image_embedding` and `caption_embedding` `(batch, dim)`. `explain`
    takes an image and a caption. It returns `tokens` `(batch, words)`, the words, and `attention` `(batch, words, regions)`,
    how much each word attends to each region; the weights of a word sum to 1, and those of padding are 0. The report draws it.
    With a gallery, `search` takes a caption and `search_by_image` an image. Both return the `id` and the caption of the
    nearest candidates in the gallery, `(batch, top_k)`, nearest first, and their `score`, the cosine. A gallery smaller than
    `top_k` is returned as a whole.

    Source: Xu et al. 2018, arXiv 1711.10485 (AttnGAN), section 3.2, and the authors' code. There the image's vector is
    projected from the pooled features of a later layer, 2,048 numbers; here from the mean of the tokens that the regions come
    from. There a caption has no END; here END is one of its words if its processor writes one.

    Args:
        candidate: The input with regions, whose examples fill the gallery.
        query: The input with words, which searches.
        dim: The size of the shared spaces.
        sentence: The vector of a caption: `states` takes the first half of the last real token and the second half of the first
            one, the last states of an encoder with `bidirectional: true` and `merge: concatenate`; `mean` takes the mean of the
            real tokens, for any other encoder.
        gamma1: Sharpness of the attention that `explain` returns; give the loss the same.
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
        dim: PositiveInt = 256,
        sentence: Literal["states", "mean"] = "states",
        gamma1: PositiveFloat = 4.0,
        gallery: Examples = None,
        key: FieldName = "",
        top_k: PositiveInt = 10,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.candidate, self.query, self.dim, self.sentence, self.gamma1 = candidate, query, dim, sentence, gamma1
        self.searched, self.key, self.top_k = gallery, key, top_k
        self.to_region, self.to_image = self._dense("to_region", use_bias=False), self._dense("to_image")
        self.to_word: keras.layers.Dense | None = None
        self.to_caption: keras.layers.Dense | None = None

    def _dense(self, name: str, use_bias: bool = True) -> keras.layers.Dense:
        uniform = keras.initializers.RandomUniform(-0.1, 0.1)
        return keras.layers.Dense(self.dim, use_bias=use_bias, kernel_initializer=uniform, dtype=self.dtype_policy, name=name)

    def build(self, streams: Any) -> None:
        image, caption = (pick_stream(streams, name, WHO)["tokens"][-1] for name in (self.candidate, self.query))
        if self.sentence == "states" and caption % 2:
            raise StreamError(
                f"{WHO} takes the states of two directions, one after the other, but {self.query} has the odd dim {caption}. "
                "Set `bidirectional: true` and `merge: concatenate` in its encoder, or `sentence: mean` here."
            )
        self.to_region.build((None, None, image))
        self.to_image.build((None, image))
        if caption != self.dim:
            self.to_word, self.to_caption = self._dense("to_word", use_bias=False), self._dense("to_caption")
            self.to_word.build((None, None, caption))
            self.to_caption.build((None, caption))

    def call(self, streams: Streams, targets: Any = None) -> dict[str, Any]:
        regions, words = self._regions(streams), self._words(streams)
        return {
            "regions": regions["tokens"],
            "regions_mask": regions["mask"],
            "words": words["tokens"],
            "words_mask": words["mask"],
            f"{self.candidate}_embedding": self._embed_candidate(streams),
            f"{self.query}_embedding": self._embed_query(streams),
        }

    @property
    def aliases(self) -> dict[str, str]:
        """The names by which losses and metrics find the two embeddings."""
        return {"candidate_embedding": f"{self.candidate}_embedding", "query_embedding": f"{self.query}_embedding"}

    def _regions(self, streams: Streams) -> Stream:
        return _projected(pick_stream(streams, self.candidate, WHO), self.to_region)  # (batch, regions, dim)

    def _words(self, streams: Streams) -> Stream:
        return _projected(pick_stream(streams, self.query, WHO), self.to_word)  # (batch, words, dim)

    def _embed_candidate(self, streams: Streams) -> Any:
        return unit(self.to_image(pool(pick_stream(streams, self.candidate, WHO))))  # (batch, dim)

    def _embed_query(self, streams: Streams) -> Any:
        stream = pick_stream(streams, self.query, WHO)
        vector = last_states(stream) if self.sentence == "states" else pool(stream)
        return unit(vector if self.to_caption is None else self.to_caption(vector))  # (batch, dim)

    # Signatures

    @property
    def gallery(self) -> Gallery | None:
        if self.searched is None:
            return None
        return Gallery(self.searched, f"embed_{self.candidate}", f"{self.candidate}_embedding", (self.query,), self.key)

    def signatures(self) -> dict[str, Signature]:
        ways = {self.candidate: self._embed_candidate, self.query: self._embed_query}

        def embed(name: str) -> Signature:
            return Signature(lambda streams: {f"{name}_embedding": ways[name](streams)}, inputs=(name,))

        def search(name: str) -> Signature:
            def find(streams: Streams, entries: Any) -> dict[str, Any]:
                return search_gallery(ways[name](streams), entries, self.top_k)

            return Signature(find, inputs=(name,), gallery="place")

        searches = {"search": search(self.query), f"search_by_{self.candidate}": search(self.candidate)}
        embeddings = {f"embed_{name}": embed(name) for name in ways}
        words = {"tokens": self.query}
        explain = Signature(self._explain, inputs=(self.candidate, self.query), tokens=words, attention="attention")
        return (searches if self.searched is not None else {}) | embeddings | {"explain": explain}

    def _explain(self, streams: Streams) -> dict[str, Any]:
        regions, words = self._regions(streams), self._words(streams)
        similarity = ops.matmul(words["tokens"], ops.transpose(regions["tokens"], (0, 2, 1)))  # (batch, words, regions)
        return {"attention": attend(ops.cast(similarity, "float32"), words["mask"], regions["mask"], self.gamma1)}


def _projected(stream: Stream, projection: Any) -> Stream:
    """Projects the tokens of a stream; masked ones become zeros."""
    tokens = stream["tokens"] if projection is None else projection(stream["tokens"])
    return Stream(tokens=ops.where(stream["mask"][..., None], tokens, ops.zeros_like(tokens)), mask=stream["mask"])


def last_states(stream: Stream) -> Any:
    """Joins the first half of the last real token and the second half of the first one; zeros for an absent stream."""
    tokens, real = _projected(stream, None)["tokens"], ops.cast(stream["mask"], "int32")
    place = ops.arange(1, real.shape[1] + 1, dtype="int32")
    first, last = (ops.argmax(values, axis=1)[:, None, None] for values in (real, real * place))
    first, last = (ops.take_along_axis(tokens, at, axis=1)[:, 0] for at in (first, last))  # (batch, dim)
    half = tokens.shape[-1] // 2
    return ops.concatenate([last[:, :half], first[:, half:]], axis=1)
