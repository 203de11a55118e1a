"""GRU captioner with additive attention: trained with teacher forcing, decoded with beam search."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmzoo import (
    END,
    MASKED_LOGIT,
    PAD,
    START,
    UNKNOWN,
    FeatureSpec,
    Head,
    InputName,
    PositiveInt,
    Rate,
    Signature,
    Stream,
    StreamError,
    only_stream,
    pool,
)

MAX_LENGTH = 512
"""Most words of a caption: the graph, which has a step for each, would take minutes to make."""


class GRUCaptioner(Head):
    """Captioner: a GRU decoder with additive attention and beam search.

    At step t, with state h_t-1 and the embedding x of the previous word:
    `a = softmax_i(v . tanh(W_k token_i + W_q h_t-1))` over the real tokens, `z = sigmoid(W_g h_t-1) * sum_i a_i token_i`,
    `h_t = GRU([x; z], h_t-1)`, `logits = W_o tanh(x + W_h h_t + W_z z)`. The initial state is `tanh(W_s mean of the tokens)`.

    The tokens of a stream are projected to `units` dimensions and layer-normalised. Several streams are projected with
    separate weights and concatenated along the token axis, in order. A stream that is absent or not given has no influence.

    Outputs in training: `logits` `(batch, length, vocabulary)`, `tokens` `(batch, length)`, the ids of the target (END is
    predicted, START is not), and `attention` `(batch, length, tokens)`.

    Answers: `caption` returns the caption and its `score`, the natural logarithm of its probability. `explain` returns these,
    the caption's `words` `(batch, length)` and `attention` `(batch, length, tokens)`, the attention weight of each token at
    each word; the report draws it for a single stream. The beam search returns the hypothesis with the largest
    `log p / ((5 + words) / 6) ** length_penalty`. A finished hypothesis stays in the beam unchanged. UNKNOWN is never chosen.

    Source: Xu et al. 2015, arXiv 1502.03044, sections 3.1.2 and 4.2, with a GRU (Cho et al. 2014) in place of the LSTM and one
    gate per dimension in place of a scalar; length penalty of Wu et al. 2016, arXiv 1609.08144, equation 14, without coverage.

    Args:
        inputs: The specification of each input's features.
        target: The input with the captions.
        units: Size of the GRU state, of the attention and of the word embeddings.
        dropout: Dropout rate of the embeddings, the states and the last hidden layer.
        beam: Beam size, the number of hypotheses; 1 is greedy search.
        length_penalty: Exponent of the length penalty. With 0, the most probable caption wins; larger values favour long ones.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, FeatureSpec],
        target: InputName,
        units: PositiveInt = 256,
        dropout: Rate = 0.3,
        beam: PositiveInt = 3,
        length_penalty: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.target, self.beam, self.length_penalty = target, beam, length_penalty
        vocabulary = inputs[target]["vocabulary"]
        if vocabulary is None:
            raise StreamError(f"the target '{target}' must be token ids; give it a text processor such as 'words'.")
        self.length, self.vocabulary = inputs[target]["shape"][0], vocabulary
        if self.length > MAX_LENGTH:
            raise StreamError(
                f"the head 'gru_captioner' has a step in its graph for each of at most {MAX_LENGTH} words, "
                f"received {self.length} of '{target}'. Set a shorter sequence_length."
            )
        dense = keras.layers.Dense
        self.project, self.norm = dense(units, name="project"), keras.layers.LayerNormalization(name="norm")
        self.projections: dict[str, keras.layers.Dense] = {}  # for several streams, instead of `project`
        self.first = dense(units, activation="tanh", name="first")
        self.key, self.query = dense(units, name="key"), dense(units, use_bias=False, name="query")
        self.energy = dense(1, use_bias=False, name="energy")
        self.gate = dense(units, activation="sigmoid", name="gate")
        self.cell = keras.layers.GRUCell(units, name="cell")
        self.embedding = keras.layers.Embedding(self.vocabulary, units, name="embedding")
        self.from_state, self.from_context = dense(units, name="from_state"), dense(units, name="from_context")
        self.words = dense(self.vocabulary, dtype="float32", name="words")
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, streams: Any) -> None:
        if len(streams) > 1:
            self.projections = {
                name: keras.layers.Dense(self.project.units, dtype=self.dtype_policy, name=name) for name in streams
            }
            for name, projection in self.projections.items():
                projection.build((None, None, streams[name]["tokens"][-1]))

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: dict[str, Any] | None = None, training: bool = False) -> dict[str, Any]:
        stream, keys, state = self._prepare(streams)
        tokens = ops.cast((targets or {})[self.target], "int32")  # (batch, length)
        starts = ops.full_like(tokens[:, :1], START)
        words = self.embedding(ops.concatenate([starts, tokens[:, :-1]], axis=1))  # (batch, length, units)
        words = self.dropout(words, training=training)
        steps = []
        for step in range(self.length):
            state, context, attention = self._step(words[:, step : step + 1], state, stream, keys)
            steps.append((state, context, attention))
        states, contexts, attentions = (ops.concatenate(parts, axis=1) for parts in zip(*steps, strict=True))
        logits = self._logits(words, states, contexts, training)
        return {"logits": logits, "tokens": tokens, "attention": attentions}

    def signatures(self) -> dict[str, Signature]:
        caption = {self.target: self.target}
        words = {"words": self.target}
        drawn = "" if self.projections else "attention"  # the report draws it over the tokens of one picture
        return {
            "caption": Signature(self._caption, decode=caption, answers=caption),
            "explain": Signature(self._explain, decode=caption, answers=caption, tokens=words, attention=drawn),
        }

    # One step, for n hypotheses of each example: n is 1 in training and the beam size in the search.

    def _prepare(self, streams: dict[str, Stream]) -> tuple[Stream, Any, Any]:
        """Returns what all steps share: the projected tokens, their attention keys, and the initial state."""
        projected = self._project_streams({name: _without_masked(stream) for name, stream in streams.items()})
        tokens, mask = (ops.concatenate([stream[part] for stream in projected], axis=1) for part in ("tokens", "mask"))
        stream = Stream(tokens=self.norm(tokens), mask=mask)
        return stream, self.key(stream["tokens"]), self.first(pool(stream))[:, None]

    def _project_streams(self, streams: dict[str, Stream]) -> list[Stream]:
        if not self.projections:
            stream = only_stream(streams, "the head 'gru_captioner'")
            return [Stream(tokens=self.project(stream["tokens"]), mask=stream["mask"])]
        known = {name: layer for name, layer in self.projections.items() if name in streams}
        if len(known) < max(len(streams), 1):
            names = f"{', '.join(self.projections)}; received {', '.join(streams) or 'none'}"
            raise StreamError(f"the head 'gru_captioner' takes the streams that it was built with, {names}.")
        return [Stream(tokens=layer(streams[name]["tokens"]), mask=streams[name]["mask"]) for name, layer in known.items()]

    def _step(self, words: Any, state: Any, stream: Stream, keys: Any) -> tuple[Any, Any, Any]:
        attention = self._attention(state, keys, stream["mask"])  # (batch, n, tokens)
        context = ops.matmul(ops.cast(attention, keys.dtype), stream["tokens"]) * self.gate(state)  # (batch, n, units)
        inputs = ops.concatenate([words, context], axis=-1)
        flat_inputs, flat_state = (ops.reshape(value, (-1, value.shape[-1])) for value in (inputs, state))
        state = ops.reshape(self.cell(flat_inputs, flat_state)[0], ops.shape(state))
        return state, context, attention

    def _attention(self, state: Any, keys: Any, mask: Any) -> Any:
        mixed = ops.tanh(keys[:, None] + self.query(state)[:, :, None])  # (batch, n, tokens, units)
        energy = ops.cast(ops.squeeze(self.energy(mixed), -1), "float32")
        real = ops.cast(mask, "float32")[:, None]
        energy = energy + (1 - real) * MASKED_LOGIT
        # All zeros for an absent stream; `keras.ops.softmax` warns about a single token.
        return ops.exp(energy - ops.logsumexp(energy, axis=-1, keepdims=True)) * real

    def _logits(self, words: Any, states: Any, contexts: Any, training: bool = False) -> Any:
        states = self.dropout(states, training=training)
        hidden = ops.tanh(words + self.from_state(states) + self.from_context(contexts))
        return self.words(self.dropout(hidden, training=training))

    # Answers

    def _caption(self, streams: dict[str, Stream]) -> dict[str, Any]:
        best = self._search(streams, trace=False)
        return {self.target: best["ids"], "score": best["score"]}

    def _explain(self, streams: dict[str, Stream]) -> dict[str, Any]:
        best = self._search(streams, trace=True)
        return {self.target: best["ids"], "score": best["score"], "words": best["ids"], "attention": best["attention"]}

    def _search(self, streams: dict[str, Stream], trace: bool) -> dict[str, Any]:
        """Beam search: `ids` `(batch, length)` and `score` `(batch,)` of the best caption; with `trace`, its `attention`."""
        stream, keys, state = self._prepare(streams)
        beam = self._start(state, stream, trace)

        def unfinished(step: Any, beam: dict[str, Any]) -> Any:
            return ops.logical_and(step < self.length, ops.logical_not(ops.all(beam["finished"])))

        def advance(step: Any, beam: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return step + 1, self._advance(step, beam, stream, keys)

        _, beam = ops.while_loop(unfinished, advance, (ops.convert_to_tensor(0), beam))
        words = ops.sum(ops.cast(beam["ids"] != PAD, "float32"), axis=-1)
        best = ops.argmax(beam["score"] / ((5 + words) / 6) ** self.length_penalty, axis=1)[:, None]  # (batch, 1)
        return {name: _take(value, best)[:, 0] for name, value in beam.items()}

    def _start(self, state: Any, stream: Stream, trace: bool) -> dict[str, Any]:
        """Returns the state of the search before the first step: one tensor per name, with axes `(batch, beam, ...)`."""
        zeros = ops.zeros_like(ops.repeat(state[..., 0], self.beam, axis=1), dtype="float32")  # (batch, beam)
        ids = ops.repeat(ops.cast(zeros, "int32")[..., None], self.length, axis=-1)
        beam = {
            "ids": ids,  # PAD everywhere
            "last": ops.full_like(ids[..., 0], START),
            # All hypotheses are equal at first. All but one get a very low score, so the first step picks different words.
            "score": zeros + ops.convert_to_tensor([0.0] + [MASKED_LOGIT] * (self.beam - 1)),
            "finished": ops.cast(zeros, "bool"),
            "state": ops.repeat(state, self.beam, axis=1),
        }
        if trace:
            unseen = ops.zeros_like(ops.cast(stream["mask"], "float32"))[:, None, None]  # (batch, 1, 1, tokens)
            beam["attention"] = ops.cast(ids, "float32")[..., None] + unseen
        return beam

    def _advance(self, step: Any, beam: dict[str, Any], stream: Stream, keys: Any) -> dict[str, Any]:
        """Extends each hypothesis by one word, and returns the state of the search with the best ones."""
        words = self.embedding(beam["last"])
        state, context, attention = self._step(words, beam["state"], stream, keys)
        logs = ops.log_softmax(self._logits(words, state, context))  # (batch, beam, vocabulary)
        ids = ops.arange(self.vocabulary)
        excluded = ops.cast((ids == PAD) | (ids == UNKNOWN) | (ids == START), "float32") * MASKED_LOGIT
        finished = ops.cast(ids != PAD, "float32") * MASKED_LOGIT  # a finished hypothesis continues with PAD, at log p = 0
        logs = ops.where(beam["finished"][..., None], finished, logs + excluded)
        totals = ops.reshape(beam["score"][..., None] + logs, (-1, self.beam * self.vocabulary))
        score, chosen = ops.top_k(totals, self.beam)
        parent, word = ops.cast(chosen // self.vocabulary, "int32"), ops.cast(chosen % self.vocabulary, "int32")
        at = ops.cast(ops.arange(self.length) == step, "int32")  # (length,), 1 at this step
        parents = {name: _take(beam[name], parent) for name in ("ids", "finished")}
        new = {
            "ids": parents["ids"] + word[..., None] * at,
            "last": word,
            "score": score,
            "finished": parents["finished"] | (word == END),
            "state": _take(state, parent),
        }
        if "attention" in beam:
            added = _take(attention, parent)[:, :, None] * ops.cast(word != PAD, "float32")[..., None, None]
            new["attention"] = _take(beam["attention"], parent) + added * ops.cast(at, "float32")[:, None]
        return new


def _without_masked(stream: Stream) -> Stream:
    """Sets masked tokens to 0: a product with the mask would keep NaN."""
    tokens, mask = stream["tokens"], stream["mask"]
    return Stream(tokens=ops.where(mask[..., None], tokens, ops.zeros_like(tokens)), mask=mask)


def _take(values: Any, indices: Any) -> Any:
    """Selects hypotheses by their indices `(batch, n)` from values `(batch, beam, ...)`."""
    shape = (*indices.shape, *[1] * (len(values.shape) - 2))
    return ops.take_along_axis(values, ops.reshape(indices, (-1, *shape[1:])), axis=1)
