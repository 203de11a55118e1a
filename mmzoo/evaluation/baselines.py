"""Split -> answers as one would give without learning: what every score is read beside."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.processor import inputs_of
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import PAD, mask_of
from mmzoo.data.batches import examples_of
from mmzoo.data.splits import Data, most_common
from mmzoo.serving.served import Served

Found = Mapping[str, Any]
"""What is answered for an example, by the name of the output."""
NEIGHBOURS, NEIGHBOURHOOD = 20_000, 1 << 30
"""The most training examples among which the nearest is looked for, and the most bytes that they may take."""
DENSE = ("image", "video", "audio", "vector")
"""Modalities whose features have a distance, so that there is a nearest example."""
WORDS = 4096
"""Numbers in a vector of words; ids that differ by a multiple of it count as one word."""


def answers(served: Served, data: Data, split: str, screen: Screen) -> dict[str, list[Found]]:
    """Answers as one would without learning.

    Returns:
        Baseline -> what it answers for each readable example; none for a model that predicts no input. `most_frequent` is the
        training split's most frequent answer; `<text>_only` the most frequent one to the same text; `nearest` that of the
        nearest training example, and `single_frame` that of the nearest by the middle frame of clips, each among those with the
        same text, if a text is read too. To a text that training has not, the most frequent of all is answered, and the nearest
        of all.
    """
    signature = served.answers[served.default]
    if len(signature.answers) != 1:
        return {}
    ((output, target),) = signature.answers.items()
    train = zip(data.references("train", target), data.readable["train"], strict=True)
    readable = [references for references, good in train if good]
    found: dict[str, list[Found]] = {"most_frequent": [{output: most_common(iter(readable))}] * data.sizes[split]}
    texts = inputs_of(data.processors, signature.inputs, "text")
    alike = _alike(data, split, texts) if texts else None
    if alike is not None:
        said = {same: most_common(readable[index] for index in alike.among(same)) for same in {*alike.own} - {-1}}
        most_frequent = found["most_frequent"][0][output]
        found["_".join(texts) + "_only"] = [{output: said.get(same, most_frequent)} for same in alike.own]
    if (dense := _dense_input(data, signature.inputs)) is not None:
        video = data.processors[dense].modality == "video"
        parts = {"single_frame": _middle, "nearest": _whole} if video else {"nearest": _whole}
        near = zip(*_nearest(data, dense, split, screen, [*parts.values()], alike), strict=True)
        for name, indices in zip(parts, near, strict=True):
            found[name] = [{output: readable[index][0]} for index in indices]
    return found


@dataclass(frozen=True)
class _Alike:
    """Which texts are the same: a number for each example of the training split and of another one, -1 for one of its own."""

    train: np.ndarray
    own: np.ndarray

    def among(self, number: int) -> np.ndarray:
        """Gives the training examples with a text."""
        return np.flatnonzero(self.train == number)


def _alike(data: Data, split: str, texts: Sequence[str]) -> _Alike:
    numbers: dict[Any, int] = {}
    train = [numbers.setdefault(one, len(numbers)) for one in _read(data, "train", texts)]
    return _Alike(np.array(train), np.array([numbers.get(one, -1) for one in _read(data, split, texts)]))


def _read(data: Data, split: str, texts: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Gives the first of each text of the readable examples."""
    columns = zip(*(data.references(split, name) for name in texts), strict=True)
    for values, good in zip(columns, data.readable[split], strict=True):
        if good:
            yield tuple(value[0] if value else "" for value in values)


def embeddings(served: Served, data: Data, split: str, wanted: Mapping[str, str], screen: Screen) -> dict[str, list[Found]]:
    """Embeds as one would without learning: a text as its words, a picture as the words of the text beside the nearest picture.

    Args:
        served: What embeds otherwise.
        data: Scanned.
        split: Which examples.
        wanted: Output that embeds -> the signature that answers it.
        screen: Where progress goes.

    Returns:
        `nearest` -> the vectors of each readable example, counts of words of length 1; nothing unless the outputs embed one
        picture and one text.
    """
    read = {output: served.answers[name].inputs for output, name in wanted.items()}
    inputs = {name for one in read.values() for name in one}
    picture, texts = _dense_input(data, inputs), inputs_of(data.processors, inputs, "text")
    if picture is None or len(texts) != 1 or any(len(one) != 1 for one in read.values()):
        return {}
    step = _step(data, picture)
    beside = [
        words if words.ndim == 1 else words.sum(0) for words in _words(examples_of(data, "train").shard(step, 0), texts[0])
    ]
    own = _words(examples_of(data, split), texts[0])
    near = _nearest(data, picture, split, screen, [_whole])
    return {
        "nearest": [
            {output: _unit(beside[index // step] if one == (picture,) else words) for output, one in read.items()}
            for words, (index,) in zip(own, near, strict=True)
        ]
    }


def _words(examples: tf.data.Dataset, name: str) -> Iterator[np.ndarray]:
    """Counts the words of each text: `(WORDS,)`, or `(texts, WORDS)` of an example that has several."""
    for ids in examples.map(lambda example: example[name]).as_numpy_iterator():
        counts = np.zeros((*ids.shape[:-1], WORDS), "float32")
        for place, word in np.ndenumerate(ids):
            counts[(*place[:-1], word % WORDS)] += word != PAD
        yield counts


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _dense_input(data: Data, inputs: Iterable[str]) -> str | None:
    """Returns the one input whose features have a distance; None if there is none or several."""
    dense = inputs_of(data.processors, inputs, *DENSE)
    return dense[0] if len(dense) == 1 else None


def _whole(features: np.ndarray, _: np.ndarray) -> np.ndarray:
    return features


def _middle(clips: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Takes of each clip the middle one of the frames that are there, `(batch, time)`."""
    rows = np.arange(len(clips))
    return clips[rows, np.argsort(~there, axis=1, kind="stable")[rows, there.sum(axis=1) // 2]]


def _nearest(
    data: Data,
    name: str,
    split: str,
    screen: Screen,
    parts: Sequence[Callable[[np.ndarray, np.ndarray], np.ndarray]],
    alike: _Alike | None = None,
) -> Iterator[tuple[int, ...]]:
    """Finds, for each example, the training example whose features are nearest (Euclidean), among as many as fit, by each part.

    Args:
        data: Scanned.
        name: Whose features.
        split: Which examples.
        screen: Where progress goes.
        parts: What is compared of the features of a batch and their mask.
        alike: Look among those with the same text, if there are any.
    """
    step = _step(data, name)
    if step > 1:
        screen.say(f"evaluate  the nearest example is looked for among {-(-data.sizes['train'] // step):,} of 'train'")

    def read(examples: tf.data.Dataset) -> Iterator[list[np.ndarray]]:
        for batch in examples.map(lambda example: (example[name], example[mask_of(name)])).batch(256).as_numpy_iterator():
            yield [_flat(part(*batch)) for part in parts]

    # Those with the same text stand side by side, so that an example is compared with no others.
    texts = np.zeros(-(-data.sizes["train"] // step), int) if alike is None else alike.train[::step]
    own = np.zeros(data.sizes[split], int) if alike is None else alike.own
    order = np.argsort(texts, kind="stable")
    train = _gather(read(examples_of(data, "train").shard(step, 0)), np.argsort(order))
    squares, start = [np.einsum("nd,nd->n", one, one) for one in train], 0
    for queries in read(examples_of(data, split)):
        asked, near = own[start : start + len(queries[0])], np.empty((len(queries[0]), len(parts)), int)
        start += len(asked)
        for text in np.unique(asked):
            first, end = np.searchsorted(texts, [text, text + 1], sorter=order)
            among, rows = slice(first, end) if first < end else slice(None), asked == text
            for part, (square, query, one) in enumerate(zip(squares, queries, train, strict=True)):
                distances = square[among] - 2 * query[rows] @ one[among].T
                near[rows, part] = step * order[among][np.argmin(distances, axis=1)]
        yield from map(tuple, near.tolist())


def _gather(batches: Iterable[Sequence[np.ndarray]], places: np.ndarray) -> list[np.ndarray]:
    """Puts the rows of batches at their places; each batch holds several tables."""
    tables: list[np.ndarray] = []
    start = 0
    for batch in batches:
        tables = tables or [np.empty((len(places), one.shape[1]), one.dtype) for one in batch]
        for table, one in zip(tables, batch, strict=True):
            table[places[start : start + len(one)]] = one
        start += len(batch[0])
    return tables


def _step(data: Data, name: str) -> int:
    """Chooses every how manieth training example is a neighbour, so that they are spread evenly and fit into memory."""
    each = 4 * math.prod(data.processors[name].features["shape"])
    return -(-data.sizes["train"] // max(1, min(NEIGHBOURS, NEIGHBOURHOOD // each)))


def _flat(batch: Any) -> Any:
    return batch.reshape(len(batch), -1).astype("float32") / 255
