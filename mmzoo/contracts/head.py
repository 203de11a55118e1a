"""A head: streams -> outputs, and the signatures that the served model answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Signature:
    """A named entry of the served model: raw values in, answers out.

    Args:
        answer: Streams -> named tensors whose first axis is the batch; Keras ops alone. With `gallery` its second argument is
            the embeddings of the head's gallery, `(entries, dim)`.
        decode: Output -> the input whose processor turns the output's ids (or pixels) into raw values.
        tokens: Output -> the input whose processor turns each id of the output into its own string.
        answers: Output -> the input that it predicts; what metrics compare and baselines imitate.
        attention: The output `(batch, tokens, regions)` that says how much each token of the answer looked at each token of an
            input; what the report draws. Empty if there is none.
        inputs: The recipe's inputs that it takes, in order; every one that has an encoder, if empty.
        reads: Further input, one of `inputs` -> the recipe's input whose processor and encoder read it, several raw values for
            an example: `{"labels": "caption"}`. `answer` finds them under that input's name, example by example: its stream has
            `batch * values` rows.
        needs: Those of `inputs` without which there is no answer. Any other may be absent, an empty raw value, as long as one
            is there: its stream is masked as a whole.
        gallery: The output `(batch, top_k)` of places in the head's gallery. What is served is what stands there: `id`, and a
            text for each input that the gallery shows.
    """

    answer: Callable[..., Tensors]
    decode: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    attention: str = ""
    inputs: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    gallery: str = ""


@dataclass(frozen=True)
class Gallery:
    """What a head searches: examples that are embedded after training and live inside the exported model.

    Args:
        source: A split of the recipe's data, or a data set of its own: what an option of the type `mmzoo.Examples` holds.
        signature: The one that embeds an entry.
        output: Its output that is the embedding, `(batch, dim)`.
        shows: The recipe's inputs whose raw text is answered for an entry; the first of several.
        key: The field of the data that names an entry; where it comes from (`pairs.csv:12`), if empty.
    """

    source: str | Mapping[str, Any]
    signature: str
    output: str
    shows: tuple[str, ...] = ()
    key: str = ""


def with_aliases(found: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Returns outputs by name, and by each alias of one that is among them."""
    return {**found, **{alias: found[name] for alias, name in aliases.items() if name in found}}


class Head(keras.layers.Layer):
    """Base of heads: streams and, in training, targets -> named outputs.

    `call(streams, targets=None, training=False)` gives a dict of tensors, which losses find by name. `targets` holds the
    features of the inputs that `targets` names.
    """

    @property
    def targets(self) -> tuple[str, ...]:
        """The inputs that the head learns to predict; they are given to it and not encoded."""
        return ()

    @property
    def aliases(self) -> Mapping[str, str]:
        """Alias -> output: what losses and metrics call an output that is named after an input of the recipe."""
        return {}

    @property
    def gallery(self) -> Gallery | None:
        """What the head searches; nothing by default."""
        return None

    def signatures(self) -> dict[str, Signature]:
        """What the model answers, by name; the first is the default one, and the one that is evaluated."""
        raise NotImplementedError
