"""Served model, split -> the answer to every example, with its references."""

from collections.abc import Container, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import ROW
from mmzoo.contracts.head import Signature
from mmzoo.contracts.raw import first_values, plain, plain_rows
from mmzoo.data.splits import Data
from mmzoo.evaluation.rows import Row
from mmzoo.serving.served import Served

BATCH = 64
"""Examples that are answered at a time."""


class Answered(NamedTuple):
    """An answered example.

    Args:
        row: What the run keeps of it: where it comes from, its references and its answer.
        values: What metrics find by name.
    """

    row: Row
    values: Row


class Predictor:
    """Answers examples with the default signature, and with others for further outputs that metrics name.

    Args:
        served: The model.
        data: Opened.
        named: The names that metrics use.
    """

    def __init__(self, served: Served, data: Data, named: Container[str]):
        self.served, self.data, self.named = served, data, named
        self.signature = served.answers[served.default]
        self.further = self._further_outputs()
        shown = served.gallery.shows if self.signature.gallery and served.gallery else ()
        typed = {name for name, one in data.processors.items() if name not in self.signature.inputs and not one.from_file}
        self.references = [name for name in data.processors if name in named or name in {*typed, *shown}]

    def _further_outputs(self) -> dict[str, str]:
        """Maps each named output that the default signature lacks to the first other signature which has it."""
        found: dict[str, str] = {}
        for name in list(self.served.answers)[1:]:
            if not self.served.answers[name].reads:
                outputs = self.served.outputs(name)
                found |= {output: name for output in outputs if output in self.named and output not in found}
        default = self.served.outputs(self.served.default)
        return {output: name for output, name in found.items() if output not in default}

    def named_outputs(self) -> dict[str, str]:
        """Maps each output that metrics name to its signature; without those of a default signature that searches."""
        own = {} if self.signature.gallery else self.served.outputs(self.served.default)
        return {output: self.served.default for output in own if output in self.named} | self.further

    def answer_split(self, split: str, missing: Mapping[str, np.ndarray] | None = None) -> Iterator[Answered]:
        """Answers every example of a split. In `Data.readable`, those that cannot be read any more are left out before.

        Args:
            split: Which one.
            missing: Input -> whether it is removed from each example.

        Raises:
            DataError: An example cannot be read any more, and the recipe says to stop.
        """
        for number, batch in enumerate(self.data.raw_batches(split, BATCH)):
            rows = slice(number * BATCH, (number + 1) * BATCH)
            removed = {name: all_of_split[rows] for name, all_of_split in (missing or {}).items()}
            found = list(self.answer_batch(batch, removed, rows.start))
            readable = zip(found, self.data.readable[split][rows], strict=True)
            if any(is_readable and not one.row["answers"]["model"]["ok"] for one, is_readable in readable):
                self.data.check_again(split, batch, rows.start)
            yield from found

    def answer_batch(
        self, batch: Mapping[str, Any], missing: Mapping[str, np.ndarray] | None = None, first: int = 0
    ) -> Iterator[Answered]:
        """Answers a batch of `Data.raw_batches`; the seed of an example, if the signature takes one, is its number.

        Args:
            batch: Of `Data.raw_batches`.
            missing: Input -> whether it is removed from each example.
            first: The number of the batch's first example in its split.
        """
        served, signature = self.served, self.signature
        raw = self._raw(signature, batch, first)
        for place, name in enumerate(signature.read):
            if missing and name in missing:
                removed = missing[name].reshape([-1] + [1] * (len(raw[place].shape) - 1))
                raw[place] = tf.where(removed, tf.zeros_like(raw[place]), raw[place])  # zeros of strings are empty ones
        answers = _rows_of(served.predict(served.default, *raw))
        further = [self._answer_all(name, batch, first) for name in dict.fromkeys(self.further.values())]
        references = {name: plain_rows(batch[name]) for name in self.references}
        for index, (source, answer, *others) in enumerate(zip(batch[ROW].numpy(), answers, *further, strict=True)):
            own = {name: rows[index] for name, rows in references.items()}
            row = {"row": source.decode(), "references": own, "answers": {"model": answer}}
            outputs = {output: other[output] for other in others for output in self.further if output in other}
            yield Answered(row, values_by_name(row, "model", signature.answers) | outputs)

    def _raw(self, signature: Signature, batch: Mapping[str, Any], first: int) -> list[tf.Tensor]:
        """Returns the first value of each example for each input of a signature."""
        raw = [first_values(batch[name], len(self.served.spec(name).shape)) for name in signature.read]
        return raw + ([tf.range(first, first + len(batch[ROW]), dtype=tf.int64)] if signature.seed else [])

    def _answer_all(self, name: str, batch: Mapping[str, Any], first: int) -> Iterator[Row]:
        """Answers a batch with another signature; all values of its input, stacked, where an example has several."""
        served, signature = self.served, self.served.answers[name]
        values = batch[signature.inputs[0]]
        if len(signature.inputs) > 1 or len(values.shape) == len(served.spec(signature.inputs[0]).shape):
            yield from _rows_of(served.predict(name, *self._raw(signature, batch, first)))
            return
        values = values if isinstance(values, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(values)
        outputs = served.predict(name, values.flat_values)
        for start, stop in zip(values.row_starts().numpy(), values.row_limits().numpy(), strict=True):
            yield {output: value[start:stop] for output, value in outputs.items()}


def values_by_name(row: Row, scorer: str, answers: Mapping[str, str]) -> Row:
    """Returns what metrics find by name: references by input, the outputs, and `answer` and `references` if it has one answer.

    Args:
        row: Of the example.
        scorer: Whose answer.
        answers: Output -> the input that it predicts.
    """
    outputs, references = row["answers"][scorer], row["references"]
    values = references | outputs if answers else outputs | references  # the text of a search result hides no input
    if len(answers) == 1:
        ((output, name),) = answers.items()
        values |= {"answer": outputs[output], "references": references[name]}
    return values


def _rows_of(outputs: Mapping[str, np.ndarray]) -> Iterator[Row]:
    for index in range(len(outputs["ok"])):
        yield {name: plain(value[index]) for name, value in outputs.items()}
