"""Split -> answers of trivial baselines, scored beside the model.

Each baseline is a function that returns its name, a sentence for people, and its answers. A new one is a new function in
`PREDICTING`, for models that predict an input, or in `EMBEDDING`, for models that embed their inputs; recipes choose from their
names, `BaselineName`.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mmzoo.contracts.processor import inputs_of
from mmzoo.contracts.progress import Screen
from mmzoo.data.batches import examples_at, examples_of
from mmzoo.data.splits import Data
from mmzoo.evaluation.bags import WORDS, bag_length, bag_of_words, unit
from mmzoo.evaluation.neighbours import Groups, all_features, middle_frame, nearest_examples, searched
from mmzoo.recipe.settings import BaselineName
from mmzoo.serving.served import Served

DENSE = ("image", "video", "audio", "vector")
"""Modalities whose features have a distance, so that a nearest example exists."""
PIXELS = ("image", "video")
"""Modalities whose features are pixels."""


@dataclass(frozen=True)
class Baseline:
    """The answers of a trivial baseline.

    Args:
        name: As in `scores.json`.
        about: How it answers, for people who read the report: a noun phrase.
        answers: For each readable example of the split, in order: output -> value. They are made as they are read, once.
    """

    name: str
    about: str
    answers: Iterable[Mapping[str, Any]]


# Models that predict an input


@dataclass(frozen=True)
class Prediction:
    """What is predicted, and from what.

    Args:
        data: Scanned.
        split: Whose examples are answered.
        inputs: What the answer is made from.
        output: The output that predicts an input.
        target: The input that it predicts.
        screen: Where progress goes.
    """

    data: Data
    split: str
    inputs: Sequence[str]
    output: str
    target: str
    screen: Screen

    @cached_property
    def train_answers(self) -> list[list[Any]]:
        """The right answers of each training example; none of an unreadable one."""
        answers = zip(self.data.references("train", self.target), self.data.readable["train"], strict=True)
        return [references if readable else [] for references, readable in answers]

    @cached_property
    def most_frequent(self) -> Any:
        """The most frequent answer of the training split."""
        return most_common(iter(self.train_answers))

    @cached_property
    def texts(self) -> list[str]:
        """The inputs that are text."""
        return inputs_of(self.data.processors, self.inputs, "text")

    @cached_property
    def same_texts(self) -> Groups | None:
        """Groups of examples whose text inputs are equal; None without text inputs."""
        if not self.texts:
            return None
        numbers: dict[Any, int] = {}
        train = [numbers.setdefault(texts, len(numbers)) if texts is not None else -1 for texts in self._texts_of("train")]
        split = [numbers.get(texts, -1) for texts in self._texts_of(self.split) if texts is not None]
        return Groups(np.array(train), np.array(split))

    @cached_property
    def dense(self) -> str | None:
        """The one input whose features have a distance; None if none or several have."""
        return _only(inputs_of(self.data.processors, self.inputs, *DENSE))

    @property
    def has_frames(self) -> bool:
        """Whether the input with a distance is a video whose mask says which frames are present."""
        processor = self.data.processors[self.dense] if self.dense is not None else None
        return processor is not None and processor.modality == "video" and bool(processor.features.get("mask"))

    @cached_property
    def nearest_by(self) -> dict[str, tuple[int, ...]]:
        """The nearest training example of each example, by the whole features and by the middle frame: one pass for both."""
        assert self.dense is not None
        parts = {"whole": all_features} | ({"middle frame": middle_frame} if self.has_frames else {})
        found = nearest_examples(self.data, self.dense, self.split, self.screen, [*parts.values()], self.same_texts)
        return dict(zip(parts, zip(*found, strict=True), strict=True))

    def answer(self, name: str, about: str, answers: Sequence[Any]) -> Baseline:
        """Makes a baseline from its answers, one for each example."""
        return Baseline(name, about, [{self.output: answer} for answer in answers])

    def _texts_of(self, split: str) -> Iterator[tuple[Any, ...] | None]:
        """Reads the first value of each text input of each example; None for an unreadable one."""
        columns = zip(*(self.data.references(split, name) for name in self.texts), strict=True)
        for values, readable in zip(columns, self.data.readable[split], strict=True):
            yield tuple(value[0] if value else "" for value in values) if readable else None


def most_frequent(wanted: Prediction) -> Baseline:
    """Answers every example with the most frequent answer."""
    about = "the most frequent answer of the training split, for every example"
    return wanted.answer("most_frequent", about, [wanted.most_frequent] * wanted.data.sizes[wanted.split])


def text_only(wanted: Prediction) -> Baseline | None:
    """Answers with the most frequent answer to the same text; with the most frequent of all to a text that is new."""
    groups = wanted.same_texts
    if groups is None:
        return None
    about = f"the most frequent answer of the training split to the same {_joined(wanted.texts)}; no other input is read"
    answers = {
        group: most_common(wanted.train_answers[index] for index in groups.members(group)) for group in {*groups.split} - {-1}
    }
    given = [answers.get(group, wanted.most_frequent) for group in groups.split]
    return wanted.answer("_".join(wanted.texts) + "_only", about, given)


def nearest(wanted: Prediction) -> Baseline | None:
    """Answers with the answer of the nearest training example."""
    if wanted.dense is None:
        return None
    about = f"the answer of the training example with the nearest {wanted.dense}, by {_distance(wanted.data, wanted.dense)}"
    return _nearest(wanted, "nearest", about, "whole")


def single_frame(wanted: Prediction) -> Baseline | None:
    """Answers with the answer of the training clip whose middle frame is nearest."""
    if wanted.dense is None or not wanted.has_frames:
        return None
    about = f"the answer of the training example whose {wanted.dense} has the nearest middle frame, by "
    about += _distance(wanted.data, wanted.dense)
    return _nearest(wanted, "single_frame", about, "middle frame")


PREDICTING: Mapping[BaselineName, Callable[[Prediction], Baseline | None]] = {
    "most_frequent": most_frequent,
    "text_only": text_only,
    "nearest": nearest,
    "single_frame": single_frame,
}
"""Baselines of models that predict an input, in the order of the report. Each returns None where it does not apply."""


def predicting(served: Served, data: Data, split: str, names: Container[BaselineName], screen: Screen) -> Iterator[Baseline]:
    """Makes the baselines with these names of a model whose default signature predicts one input; none of any other model."""
    signature = served.answers[served.default]
    if len(signature.answers) != 1:
        return
    ((output, target),) = signature.answers.items()
    wanted = Prediction(data, split, signature.read, output, target, screen)
    made = (make(wanted) for name, make in PREDICTING.items() if name in names)
    yield from (baseline for baseline in made if baseline is not None)


def _nearest(wanted: Prediction, name: str, about: str, part: str) -> Baseline:
    among = f", among those with the same {_joined(wanted.texts)} if there are any" if wanted.texts else ""
    return wanted.answer(name, about + among, [wanted.train_answers[index][0] for index in wanted.nearest_by[part]])


def most_common(references: Iterator[list[Any]]) -> Any:
    """Returns the most frequent value; of several, the one that occurs first."""
    return Counter(value for values in references for value in values).most_common(1)[0][0]


# Models that embed their inputs


@dataclass(frozen=True)
class Embedding:
    """What is embedded: one text input, and one input whose features have a distance.

    Args:
        data: Scanned.
        split: Whose examples are embedded.
        text: The text input.
        dense: The other input.
        reads: Output -> the input that it embeds.
        screen: Where progress goes.
    """

    data: Data
    split: str
    text: str
    dense: str
    reads: Mapping[str, str]
    screen: Screen


def nearest_words(wanted: Embedding) -> Baseline:
    """Embeds as bags of words of length 1: a text as its words, the other input as the words of the nearest one's text."""
    data, text, dense = wanted.data, wanted.text, wanted.dense
    numbered = examples_at(data, "train", searched(data, dense)).map(lambda number, example: (number, example[text]))
    train = {int(number): ids for number, ids in numbered.as_numpy_iterator()}  # bags would take a hundred times the memory
    length = bag_length(data.sizes[wanted.split], list(train.values()))
    about = (
        f"bags of words{f' of {length:,} entries' if length < WORDS else ''}: each {text} is embedded as its words, and each "
        f"{dense} as the words of the {text} of the training example with the nearest {dense}, by {_distance(data, dense)}"
    )
    return Baseline("nearest", about, _bags(wanted, train, length))


def _bags(wanted: Embedding, train: Mapping[int, np.ndarray], length: int) -> Iterator[dict[str, np.ndarray]]:
    data, text, dense, among = wanted.data, wanted.text, wanted.dense, np.array([*train], dtype=int)
    found = nearest_examples(data, dense, wanted.split, wanted.screen, [all_features], among=among)
    split = examples_of(data, wanted.split).map(lambda example: example[text]).as_numpy_iterator()
    for ids, (number,) in zip(split, found, strict=True):
        words = {text: ids, dense: np.ravel(train[number])}
        yield {output: unit(bag_of_words(words[name], length)) for output, name in wanted.reads.items()}


EMBEDDING: Mapping[BaselineName, Callable[[Embedding], Baseline]] = {"nearest": nearest_words}
"""Baselines of models that embed a text and one other input."""


def embedding(
    served: Served, data: Data, split: str, names: Container[BaselineName], signatures: Mapping[str, str], screen: Screen
) -> list[Baseline]:
    """Makes the baselines of a model that embeds its inputs.

    Args:
        served: The model.
        data: Scanned.
        split: Whose examples are embedded.
        names: Which baselines.
        signatures: Output that is an embedding -> the signature that answers it.
        screen: Where progress goes.

    Returns:
        None at all unless each output embeds one input, and these inputs are one text and one with a distance.
    """
    read = {output: served.answers[name].read for output, name in signatures.items()}
    inputs = {name for names in read.values() for name in names}
    dense, text = (_only(inputs_of(data.processors, inputs, *modalities)) for modalities in (DENSE, ("text",)))
    if dense is None or text is None or any(len(names) != 1 for names in read.values()):
        return []
    wanted = Embedding(data, split, text, dense, {output: names[0] for output, names in read.items()}, screen)
    return [make(wanted) for name, make in EMBEDDING.items() if name in names]


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _joined(names: Sequence[str]) -> str:
    return " and ".join(names)


def _distance(data: Data, name: str) -> str:
    """Says by what distance the nearest training example is found; and among how many, if not among all."""
    pixels = data.processors[name].modality in PIXELS
    among = len(searched(data, name))
    few = f", among {among:,} of the {data.sizes['train']:,} examples" if among < data.sizes["train"] else ""
    return f"the distance of the {'pixels' if pixels else 'features'}{few}"
