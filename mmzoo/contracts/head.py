"""Head: streams -> named outputs, and the signatures under which the served model answers.

A head is a Keras layer that derives from `Head`. Losses take its outputs by name. Its signatures become the entries of
the exported SavedModel. The core passes it `inputs`: what the processor of each input gives, `{name: FeatureSpec}`.

    class Classify(Head):
        def __init__(self, *, inputs: Mapping[str, FeatureSpec], target: InputName, **kwargs):
            super().__init__(**kwargs)
            self.target, self.dense = target, keras.layers.Dense(inputs[target]["vocabulary"])

        targets = property(lambda self: (self.target,))

        def call(self, streams, targets=None, training=False):
            return {"logits": self.dense(pool(only_stream(streams, "classify")))}

        def signatures(self):
            label = {"answer": self.target}  # the output `answer` predicts the target, and its processor decodes it
            return {"classify": Signature(self.answer, decode=label, answers=label)}

        def answer(self, streams):
            return {"answer": ops.argmax(self.call(streams)["logits"], axis=-1)}
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Signature:
    """A named entry of the served model: takes raw values, returns answers.

    Args:
        answer: Function of streams that returns named tensors, each with the batch as its first axis. It uses Keras ops only.
            With `gallery` it takes a second argument: the embeddings of the head's gallery, `(entries, dim)`.
        decode: Output -> the input whose processor decodes it, from ids or pixels to raw values.
        tokens: Output -> the input whose processor turns each of its ids into a string. An output that `answer` does not return
            becomes the tokens of that input itself, `(batch, tokens)`, empty strings for padding; the input must be one of the
            signature's own. It is left out if the processor has no tokens.
        answers: Output -> the target (an input without an encoder) that it predicts. Metrics compare the two, and baselines
            predict the same target.
        attention: Name of the output that holds attention weights, `(batch, tokens, regions)`: how much each token of the
            answer attends to each token of an input. The report draws it over the one input of the modality `image`; without
            such an input, over the picture that the answer is. Empty for none.
        inputs: Inputs of the recipe that the signature takes, in order. Empty for every input that has an encoder.
        seed: Name of a further, last input of the signature: a number for each example, int64, any. `answer` takes it as the
            keyword `seed`, `(batch,)`. The same raw values and seed must give the same answer, whatever the rest of the batch.
            Empty for none.
        reads: For inputs that take several raw values per example: their name, one of `inputs` -> the recipe's input whose
            processor and encoder read them, as in `{"labels": "caption"}`. `answer` finds their stream under the name of the
            recipe's input, with `batch * values` rows, example by example.
        needs: Those of `inputs` that must be present. Any other one may be absent (an empty raw value) as long as at least one
            input is present. The stream of an absent input is masked completely.
        gallery: Name of the output that holds indices into the head's gallery, `(batch, top_k)`. The served model returns the
            entries at these indices instead: the `id` of each, and a text for each input that the gallery shows.
    """

    answer: Callable[..., Tensors]
    decode: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    attention: str = ""
    inputs: tuple[str, ...] = ()
    seed: str = ""
    reads: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    gallery: str = ""

    @property
    def read(self) -> tuple[str, ...]:
        """Those of `inputs` that a processor reads: all but the seed."""
        return tuple(name for name in self.inputs if name != self.seed)


@dataclass(frozen=True)
class Gallery:
    """Examples that a retrieval head searches. They are embedded after training and exported with the model.

    Args:
        source: A split of the recipe's data, or another data set: the value of an option of type `mmzoo.Examples`.
        signature: Name of the signature that embeds an example.
        output: Name of that signature's output that is the embedding, `(batch, dim)`.
        shows: Inputs of the recipe whose raw text is returned for a match; the first one where an example has several.
        key: Field of the data that identifies an entry. Empty for the place that it comes from (`pairs.csv:12`).
    """

    source: str | Mapping[str, Any]
    signature: str
    output: str
    shows: tuple[str, ...] = ()
    key: str = ""


def search_gallery(embedding: Any, entries: Any, top_k: int) -> Tensors:
    """Finds the entries of a gallery with the largest inner products.

    Args:
        embedding: Of each query, `(batch, dim)`.
        entries: `(entries, dim)`.
        top_k: How many; all entries if there are fewer.

    Returns:
        `place`, the indices, and `score`, the inner products, `(batch, top_k)`, largest first.
    """
    # The gallery is far larger than the batch: it is not transposed.
    products = ops.transpose(ops.matmul(entries, ops.transpose(embedding)))  # (batch, entries)
    score, place = ops.top_k(products, min(top_k, entries.shape[0]))
    return {"place": place, "score": score}


def with_aliases(outputs: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Returns the outputs by name, and also by each alias of an output that is present."""
    return {**outputs, **{alias: outputs[name] for alias, name in aliases.items() if name in outputs}}


class Head(keras.layers.Layer):
    """Base class of heads: streams and, in training, targets -> named outputs.

    `call(streams, targets=None, training=False)` returns a dict of tensors, which losses take by name. `targets` holds the
    features of the inputs that the property `targets` names.
    """

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """Gives no mask of Keras: the streams hold their own."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Inputs that the head learns to predict. They are passed to `call` as features and need no encoder."""
        return ()

    @property
    def aliases(self) -> Mapping[str, str]:
        """Alias -> output: a fixed name, for losses and metrics, of an output that is named after an input of the recipe."""
        return {}

    @property
    def players(self) -> Mapping[str, Sequence[Any]]:
        """Parts of the head that are trained against each other: name in `train.optimizers` -> its layers; none by default."""
        return {}

    @property
    def gallery(self) -> Gallery | None:
        """The examples that the head searches; None by default."""
        return None

    def watch(self, streams: Mapping[str, Any], targets: Mapping[str, Any]) -> Tensors:
        """Returns what a person would look at while the head trains; called after each epoch on a few fixed examples.

        `pictures`, `(rows, columns, height, width, 3)`, 0 to 255, becomes a picture in the run's folder. The mean of every
        other tensor is said. A head without this method of its own is not called.

        Args:
            streams: Of the examples.
            targets: Their features, as in `call`.
        """
        return {}

    def warn(self, watched: Mapping[str, Any]) -> str:
        """Says what goes wrong in the training, as far as `watched`, the arrays of `watch`, show it; empty if nothing does."""
        return ""

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name. The first one is the default; it is the one that is evaluated."""
        raise NotImplementedError
