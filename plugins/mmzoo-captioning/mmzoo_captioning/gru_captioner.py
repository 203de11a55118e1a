"""GRU decoder with additive attention over the tokens of a picture: trains by teacher forcing, answers by beam search."""

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


class GRUCaptioner(Head):
    """Says what streams show, word by word, with attention over their tokens.

    At step t, with state h_t-1 and the embedding x of the previous word:
    `a = softmax_i(v . tanh(W_k token_i + W_q h_t-1))` over the real tokens, `z = sigmoid(W_g h_t-1) * sum_i a_i token_i`,
    `h_t = GRU([x; z], h_t-1)`, `logits = W_o tanh(x + W_h h_t + W_z z)`. The first state is `tanh(W_s mean of the tokens)`.

    The tokens are a stream's, projected to `units` numbers and normalised; those of several streams, each projected by its own
    weights, stand one after the other, in the streams' order. An absent stream, or one that is not given, changes nothing.

    Outputs in training: `logits` `(batch, length, vocabulary)`, `tokens` `(batch, length)` (the target's ids, so END is
    learned and START is not) and `attention` `(batch, length, tokens)`.

    Answers: `caption` gives the caption and its `score`, the natural logarithm of its probability; `explain` gives the caption,
    its `words` `(batch, length)`, and `attention` `(batch, length, tokens)`, how much each word looked at each token, which the
    report draws where there is one stream. The best hypothesis has the largest `log p / ((5 + words) / 6) ** length_penalty`; a
    finished one is frozen. UNKNOWN is never said.

    Source: Xu et al. 2015, arXiv 1502.03044, sections 3.1.2 and 4.2, with a GRU (Cho et al. 2014) for the LSTM and one gate
    per dimension for the scalar one; length penalty of Wu et al. 2016, arXiv 1609.08144, equation 14, without coverage.

    Args:
        inputs: What is known of each input.
        target: The input that holds the caption.
        units: Size of the state, of the attention's space and of the word embeddings.
        dropout: Share of the embeddings, states and last hidden layer that is zeroed in training.
        beam: Hypotheses kept in the search; 1 is greedy.
        length_penalty: 0 prefers as the model does, 1 makes up for long captions.
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
        dense = keras.layers.Dense
        self.project, self.norm = dense(units, name="project"), keras.layers.LayerNormalization(name="norm")
        self.projections: dict[str, keras.layers.Dense] = {}  # of several streams, which `project` has no part in
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
        stream, keys, state = self._look(streams)
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
        text = {self.target: self.target}
        drawn = "" if self.projections else "attention"  # over the tokens of one picture
        caption = Signature(self._caption, decode=text, answers=text)
        explain = Signature(self._explain, decode=text, answers=text, tokens={"words": self.target}, attention=drawn)
        return {"caption": caption, "explain": explain}

    # One step, for several hypotheses of each example at once: n is 1 in training and the beam in the search.

    def _look(self, streams: dict[str, Stream]) -> tuple[Stream, Any, Any]:
        """Prepares what stays the same over all steps: the tokens in the head's own dim, their keys, the first state."""
        projected = self._projected(streams)
        tokens, mask = (ops.concatenate([one[part] for one in projected], axis=1) for part in ("tokens", "mask"))
        stream = Stream(tokens=self.norm(tokens), mask=mask)
        return stream, self.key(stream["tokens"]), self.first(pool(stream))[:, None]

    def _projected(self, streams: dict[str, Stream]) -> list[Stream]:
        if not self.projections:
            stream = only_stream(streams, "the head 'gru_captioner'")
            return [Stream(tokens=self.project(stream["tokens"]), mask=stream["mask"])]
        known = {name: layer for name, layer in self.projections.items() if name in streams}
        if len(known) < max(len(streams), 1):
            names = f"{', '.join(self.projections)}; received {', '.join(streams) or 'none'}"
            raise StreamError(f"the head 'gru_captioner' looks at the streams that it was made with, {names}.")
        return [Stream(tokens=layer(streams[name]["tokens"]), mask=streams[name]["mask"]) for name, layer in known.items()]

    def _step(self, words: Any, state: Any, stream: Stream, keys: Any) -> tuple[Any, Any, Any]:
        attention = self._attention(state, keys, stream["mask"])  # (batch, n, tokens)
        context = ops.matmul(ops.cast(attention, keys.dtype), stream["tokens"]) * self.gate(state)  # (batch, n, units)
        taken = ops.concatenate([words, context], axis=-1)
        flat = ops.reshape(taken, (-1, taken.shape[-1])), ops.reshape(state, (-1, state.shape[-1]))
        state = ops.reshape(self.cell(flat[0], flat[1])[0], ops.shape(state))
        return state, context, attention

    def _attention(self, state: Any, keys: Any, mask: Any) -> Any:
        mixed = ops.tanh(keys[:, None] + self.query(state)[:, :, None])  # (batch, n, tokens, units)
        energy = ops.cast(ops.squeeze(self.energy(mixed), -1), "float32")
        real = ops.cast(mask, "float32")[:, None]
        energy = energy + (1 - real) * MASKED_LOGIT
        # Nothing at all for an absent stream; Keras' softmax warns of one token.
        return ops.exp(energy - ops.logsumexp(energy, axis=-1, keepdims=True)) * real

    def _logits(self, words: Any, states: Any, contexts: Any, training: bool = False) -> Any:
        states = self.dropout(states, training=training)
        hidden = ops.tanh(words + self.from_state(states) + self.from_context(contexts))
        return self.words(self.dropout(hidden, training=training))

    # Answers

    def _caption(self, streams: dict[str, Stream]) -> dict[str, Any]:
        found = self._search(streams, trace=False)
        return {self.target: found["ids"], "score": found["score"]}

    def _explain(self, streams: dict[str, Stream]) -> dict[str, Any]:
        found = self._search(streams, trace=True)
        return {self.target: found["ids"], "score": found["score"], "words": found["ids"], "attention": found["attention"]}

    def _search(self, streams: dict[str, Stream], trace: bool) -> dict[str, Any]:
        """Searches the best caption: `ids` `(batch, length)`, `score` `(batch,)`, and `attention` if it is traced."""
        stream, keys, state = self._look(streams)
        found = self._start(state, stream, trace)

        def going(step: Any, found: dict[str, Any]) -> Any:
            return ops.logical_and(step < self.length, ops.logical_not(ops.all(found["finished"])))

        def advance(step: Any, found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return step + 1, self._advance(step, found, stream, keys)

        _, found = ops.while_loop(going, advance, (ops.convert_to_tensor(0), found))
        words = ops.sum(ops.cast(found["ids"] != PAD, "float32"), axis=-1)
        best = ops.argmax(found["score"] / ((5 + words) / 6) ** self.length_penalty, axis=1)[:, None]  # (batch, 1)
        return {name: _take(value, best)[:, 0] for name, value in found.items()}

    def _start(self, state: Any, stream: Stream, trace: bool) -> dict[str, Any]:
        beams = ops.zeros_like(ops.repeat(state[..., 0], self.beam, axis=1), dtype="float32")  # (batch, beam)
        ids = ops.repeat(ops.cast(beams, "int32")[..., None], self.length, axis=-1)
        found = {
            "ids": ids,  # PAD everywhere
            "last": ops.full_like(ids[..., 0], START),
            # All hypotheses are one in the beginning; all but the first start hopeless, so that they become different.
            "score": beams + ops.convert_to_tensor([0.0] + [MASKED_LOGIT] * (self.beam - 1)),
            "finished": ops.cast(beams, "bool"),
            "state": ops.repeat(state, self.beam, axis=1),
        }
        if trace:
            nothing = ops.zeros_like(ops.cast(stream["mask"], "float32"))[:, None, None]  # (batch, 1, 1, tokens)
            found["attention"] = ops.cast(ids, "float32")[..., None] + nothing
        return found

    def _advance(self, step: Any, found: dict[str, Any], stream: Stream, keys: Any) -> dict[str, Any]:
        words = self.embedding(found["last"])
        state, context, attention = self._step(words, found["state"], stream, keys)
        logs = ops.log_softmax(self._logits(words, state, context))  # (batch, beam, vocabulary)
        ids = ops.arange(self.vocabulary)
        unsayable = ops.cast((ids == PAD) | (ids == UNKNOWN) | (ids == START), "float32") * MASKED_LOGIT
        frozen = ops.cast(ids != PAD, "float32") * MASKED_LOGIT  # a finished hypothesis goes on with PAD at no cost
        logs = ops.where(found["finished"][..., None], frozen, logs + unsayable)
        totals = ops.reshape(found["score"][..., None] + logs, (-1, self.beam * self.vocabulary))
        score, chosen = ops.top_k(totals, self.beam)
        parent, word = ops.cast(chosen // self.vocabulary, "int32"), ops.cast(chosen % self.vocabulary, "int32")
        at = ops.cast(ops.arange(self.length) == step, "int32")  # (length,), 1 at this step
        grown = {name: _take(found[name], parent) for name in ("ids", "finished")}
        new = {
            "ids": grown["ids"] + word[..., None] * at,
            "last": word,
            "score": score,
            "finished": grown["finished"] | (word == END),
            "state": _take(state, parent),
        }
        if "attention" in found:
            looked = _take(attention, parent)[:, :, None] * ops.cast(word != PAD, "float32")[..., None, None]
            new["attention"] = _take(found["attention"], parent) + looked * ops.cast(at, "float32")[:, None]
        return new


def _take(values: Any, indices: Any) -> Any:
    """Takes hypotheses `(batch, n)` out of values `(batch, beam, ...)`."""
    shape = (*indices.shape, *[1] * (len(values.shape) - 2))
    return ops.take_along_axis(values, ops.reshape(indices, (-1, *shape[1:])), axis=1)
