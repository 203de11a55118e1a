"""Judged answers -> what a person sees of them: chosen examples with their pictures, and attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import ROW
from mmzoo.contracts.processor import Processor, inputs_of
from mmzoo.contracts.raw import plain, plain_values
from mmzoo.data.splits import Batch, Data
from mmzoo.evaluation.error_analysis import Judged, closest, matcher
from mmzoo.evaluation.scores import Row
from mmzoo.reporting.pictures import attention_uri, data_uri, kind_of
from mmzoo.serving.gallery import find
from mmzoo.serving.served import Served

MOST = 24
"""The most examples that are shown."""
LEAST = 4
"""How many right and how many wrong ones are shown at least, if there are so many."""
FRAMES = 4
"""The most pictures that are shown of a value which is several, such as the frames of a clip, or of what a search found."""
EXPLAINED = 6
"""The most examples whose attention is drawn."""


@dataclass(frozen=True)
class Shown:
    """A value for the eye: a picture or several, or else a text.

    Args:
        name: Of the input or output.
        text: Empty for a picture.
        pictures: Data URIs.
        titles: What stands below each picture.
        words: The text word by word, and whether the word stands in what it is compared with too.
    """

    name: str
    text: str = ""
    pictures: Sequence[str] = ()
    titles: Sequence[str] = ()
    words: Sequence[tuple[str, bool]] = ()


@dataclass
class Sample:
    """A held-out example with its answer.

    Args:
        row: Where it comes from.
        inputs: What was asked.
        answers: What the model said.
        references: What is right, several if there are.
        right: None where right and wrong have no meaning.
        seen: The picture as the model saw it, if the attention is drawn.
        looks: Each piece of the answer with where the model looked, a data URI, and the largest weight.
    """

    row: str
    inputs: Sequence[Shown]
    answers: Sequence[Shown]
    references: Sequence[Shown]
    right: bool | None
    seen: str = ""
    looks: Sequence[tuple[str, str, float]] = field(default_factory=tuple)


def choose(verdicts: Sequence[bool | None], most: int = MOST) -> list[int]:
    """Chooses places spread evenly: right and wrong ones in their proportion, but a few of each if there are."""
    wrong = [index for index, right in enumerate(verdicts) if right is False]
    other = [index for index, right in enumerate(verdicts) if right is not False]
    count = min(most, len(verdicts))
    share = round(count * len(wrong) / max(1, len(verdicts)))
    share = min(max(share, min(LEAST, len(wrong), count // 2)), count - min(LEAST, len(other), count // 2))
    return sorted(_spread(wrong, share) + _spread(other, count - share))


def show(served: Served, data: Data, split: str, judged: Sequence[Judged]) -> tuple[list[Sample], str]:
    """Reads the judged rows' examples again and shows them; draws the attention of some.

    Returns:
        The samples, and why no attention is drawn; empty if it is, or if no signature names any.
    """
    examples = _find(data, split, [one.row["row"] for one in judged])
    found = _found_pictures(served, data, judged)
    samples = [_sample(served, one, examples[one.row["row"]], found) for one in judged]
    return samples, _explain(served, samples, [examples[sample.row] for sample in samples])


def _spread(indices: Sequence[int], count: int) -> list[int]:
    return [indices[(2 * i + 1) * len(indices) // (2 * count)] for i in range(count)]


def _find(data: Data, split: str, rows: Sequence[str]) -> dict[str, Batch]:
    found: dict[str, Batch] = {}
    missing = set(rows)
    for example in data.raw[split]:
        if not missing:
            break
        if (row := example[ROW].numpy().decode()) in missing:
            missing.remove(row)
            found[row] = example
    return found


def _found_pictures(served: Served, data: Data, judged: Sequence[Judged]) -> dict[str, str]:
    """Gives a picture of each gallery entry that is shown, by its id; none if the gallery is none of pictures."""
    signature, wanted = served.answers[served.default], served.gallery
    if not signature.gallery or wanted is None:
        return {}
    ids = {entry for one in judged for entry in one.row["answers"]["model"]["id"][:FRAMES]}
    entries = find(data.plan, served, wanted, data, ids)
    (name,) = served.answers[wanted.signature].inputs
    shown = {entry: _shown_input(served.processors[name], name, raw[name]).pictures for entry, raw in entries.items()}
    return {entry: pictures[0] for entry, pictures in shown.items() if pictures}


def _shown_finds(answer: Row, pictures: Mapping[str, str], shows: Sequence[str]) -> Shown:
    rows = list(zip(answer["id"], *(answer[name] for name in shows), strict=True))[:FRAMES]
    titles = [", ".join(row[1:]) or row[0] for row in rows]
    if all(row[0] in pictures for row in rows):
        return Shown("found", pictures=[pictures[row[0]] for row in rows], titles=titles)
    return Shown("found", "; ".join(titles))


def _sample(served: Served, one: Judged, example: Batch, found: Mapping[str, str]) -> Sample:
    signature = served.answers[served.default]
    row = one.row
    answer = row["answers"]["model"]
    inputs = [_shown_input(served.processors[name], name, example[name]) for name in signature.inputs]
    if signature.gallery and served.gallery:
        return Sample(row["row"], inputs, [_shown_finds(answer, found, served.gallery.shows)], (), one.right)
    outputs = list(signature.answers) or [name for name in answer if name not in ("ok", "reason")]
    answers = [_shown(name, answer[name], one.texts.get(signature.answers.get(name, ""))) for name in outputs]
    targets = list(signature.answers.values()) or list(row["references"])
    references = [_shown(name, value) for name in targets for value in row["references"].get(name, [])]
    return Sample(row["row"], inputs, answers, references, one.right)


def _shown_input(processor: Processor, name: str, values: tf.Tensor) -> Shown:
    value = plain_values(_one(processor, values))
    value = value[0] if len(value) == 1 else value
    if processor.modality != "image" or kind_of(value):
        return _shown(name, value)
    return Shown(name, pictures=[data_uri(_seen(processor, [values])[0])])


def _one(processor: Processor, values: tf.Tensor) -> tf.Tensor:
    """Gives the first of several values."""
    return values[0] if len(values.shape) > len(processor.raw.shape) else values


def _seen(processor: Processor, values: Sequence[tf.Tensor]) -> list[bytes]:
    """Gives pictures as the model sees them, PNG bytes."""
    features = processor(tf.stack([_one(processor, value) for value in values])).features
    return list(processor.decode(features).numpy())


def _shown(name: str, value: Any, compared: tuple[str, Sequence[str]] | None = None) -> Shown:
    pictures = value if isinstance(value, list) else [value]
    if pictures and all(map(kind_of, pictures)):
        chosen = _spread(range(len(pictures)), min(FRAMES, len(pictures)))
        return Shown(name, pictures=[data_uri(pictures[index]) for index in chosen])
    words = _marked(*compared) if compared else ()
    return Shown(name, _text(value), words=words)


def _text(value: Any) -> str:
    if isinstance(value, str | bool | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    values = np.ravel(value).tolist()
    rest = f" … ({' × '.join(map(str, np.shape(value)))} values)" if len(values) > 6 else ""
    return ", ".join(map(_text, values[: 3 if rest else 6])) + rest


def _marked(said: str, references: Sequence[str]) -> list[tuple[str, bool]]:
    words = said.split()
    if not references:
        return [(word, True) for word in words]
    matching = matcher(closest(said, references), said).get_matching_blocks()
    kept = {block.b + i for block in matching for i in range(block.size)}
    return [(word, index in kept) for index, word in enumerate(words)]


# Attention


def _explain(served: Served, samples: Sequence[Sample], examples: Sequence[Batch]) -> str:
    """Draws the attention of the first samples into them; says why not, if it cannot."""
    named = next((name for name, signature in served.answers.items() if signature.attention), "")
    if not named or not samples:
        return ""
    signature = served.answers[named]
    pictures = inputs_of(served.processors, signature.inputs, "image")
    if len(pictures) != 1:
        return f"The attention of '{named}' is not drawn: it takes {len(pictures)} pictures, and the drawing needs one."
    chosen = choose([sample.right for sample in samples], EXPLAINED)
    raw = {name: [_one(served.processors[name], examples[i][name]) for i in chosen] for name in signature.inputs}
    outputs = served.functions[named](*[_stacked(raw[name]) for name in signature.inputs])
    values = {name: output.numpy() for name, output in outputs.items()}
    tokens = values[signature.attention].shape[-1]
    side = round(tokens**0.5)
    if side**2 != tokens:
        return f"The attention of '{named}' is not drawn: its {tokens} tokens are no square grid over the picture."
    seen = _seen(served.processors[pictures[0]], raw[pictures[0]])
    for place, index in enumerate(chosen):
        weights = values[signature.attention][place].reshape(-1, side, side)
        samples[index].seen = data_uri(seen[place])
        samples[index].looks = _looks(weights, _pieces(signature.tokens, values, place, len(weights)))
    return ""


def _stacked(values: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.ragged.stack(values).to_tensor() if values[0].shape.rank else tf.stack(values)


def _pieces(named: Mapping[str, str], values: Mapping[str, Any], place: int, count: int) -> list[str]:
    output = next(iter(named), "")
    return plain(values[output][place]) if output else [str(number) for number in range(1, count + 1)]


def _looks(weights: Any, pieces: Sequence[str]) -> list[tuple[str, str, float]]:
    """Draws each piece's weights as opacities, the example's largest weight opaque; padding has no piece."""
    spoken = [(piece, grid) for piece, grid in zip(pieces, weights, strict=True) if piece]
    largest = max((float(grid.max()) for _, grid in spoken), default=0.0) or 1.0
    return [(piece, attention_uri(grid / largest), float(grid.max())) for piece, grid in spoken]
