"""Judged rows -> the examples that the report shows: inputs, answers, references and attention."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import ROW
from mmzoo.contracts.head import Signature
from mmzoo.contracts.processor import Processor, inputs_of
from mmzoo.contracts.raw import plain, plain_values
from mmzoo.data.raw_split import Batch
from mmzoo.data.splits import Data
from mmzoo.evaluation.error_analysis import Judged, closest, matcher
from mmzoo.evaluation.rows import Row
from mmzoo.reporting.drawer import drawn_outputs
from mmzoo.reporting.nearest import nearest_pictures
from mmzoo.reporting.pictures import attention_uri, data_uri, image_format
from mmzoo.serving.gallery import find
from mmzoo.serving.served import Served

MAX_SAMPLES = 24
"""The most examples that are shown."""
MIN_SAMPLES = 4
"""At least so many correct and so many wrong examples are shown, if there are as many."""
MAX_IMAGES = 4
"""The most images of one value that are shown: frames of a clip, or results of a search."""
MAX_EXPLAINED = 6
"""The most examples whose attention is drawn."""


@dataclass(frozen=True)
class Shown:
    """A value as the page shows it: images, or else text.

    Args:
        name: Of the input or output.
        text: Empty if there are images.
        images: Data URIs.
        titles: The caption of each image.
        words: The words of the text, and whether each is in the reference too.
    """

    name: str
    text: str = ""
    images: Sequence[str] = ()
    titles: Sequence[str] = ()
    words: Sequence[tuple[str, bool]] = ()


class TokenAttention(NamedTuple):
    """The attention of one token of the answer.

    Args:
        token: Its text.
        overlay: A data URI: the weights as opacity.
        largest: The largest weight.
    """

    token: str
    overlay: str
    largest: float


@dataclass
class Sample:
    """A held-out example with its answer.

    Args:
        row: Where it comes from.
        inputs: The inputs of the default signature.
        answers: The answers of the model.
        references: The right answers.
        correct: None where right or wrong cannot be told.
        image: The image that attention is drawn over, a data URI: preprocessed, or drawn by the model.
        attention: Of each token.
        pictures: Of a model that draws: its picture, the true one and the nearest training picture, each with what it is.
    """

    row: str
    inputs: Sequence[Shown]
    answers: Sequence[Shown]
    references: Sequence[Shown]
    correct: bool | None
    image: str = ""
    attention: Sequence[TokenAttention] = field(default_factory=tuple)
    pictures: Sequence[tuple[str, str]] = ()


def choose(verdicts: Sequence[bool | None], most: int = MAX_SAMPLES) -> list[int]:
    """Chooses indices spread evenly: correct and wrong ones in proportion, but at least a few of each."""
    wrong = [index for index, correct in enumerate(verdicts) if correct is False]
    other = [index for index, correct in enumerate(verdicts) if correct is not False]
    count = min(most, len(verdicts))
    share = round(count * len(wrong) / max(1, len(verdicts)))
    share = min(max(share, min(MIN_SAMPLES, len(wrong), count // 2)), count - min(MIN_SAMPLES, len(other), count // 2))
    return sorted(_spread(wrong, share) + _spread(other, count - share))


def show(served: Served, data: Data, split: str, judged: Sequence[Judged]) -> tuple[list[Sample], str]:
    """Reads the examples of judged rows again and shows them; draws the attention of some.

    Returns:
        The samples; and why no attention is drawn, empty if it is drawn or if no signature returns attention.
    """
    examples = _read_examples(data, split, [one.row["row"] for one in judged])
    results = _result_images(served, data, judged)
    samples = [_sample(served, one, examples[one.row["row"]], results) for one in judged]
    _compare_pictures(served, data, judged, samples, examples)
    return samples, _draw_attention(served, samples, [examples[sample.row] for sample in samples])


def _spread(indices: Sequence[int], count: int) -> list[int]:
    return [indices[(2 * i + 1) * len(indices) // (2 * count)] for i in range(count)]


def _read_examples(data: Data, split: str, rows: Sequence[str]) -> dict[str, Batch]:
    examples: dict[str, Batch] = {}
    missing = set(rows)
    for example in data.raw[split].examples():
        if not missing:
            break
        if (row := example[ROW].numpy().decode()) in missing:
            missing.remove(row)
            examples[row] = example
    return examples


def _sample(served: Served, judged: Judged, example: Batch, results: Mapping[str, str]) -> Sample:
    signature = served.answers[served.default]
    row = judged.row
    answer = row["answers"]["model"]
    inputs = [_shown_input(served.processors[name], name, example[name]) for name in signature.read]
    if signature.gallery and served.gallery:
        return Sample(row["row"], inputs, [_shown_results(answer, results, served.gallery.shows)], (), judged.correct)
    outputs = list(signature.answers) or [name for name in answer if name not in ("ok", "reason")]
    answers = [_shown(name, answer[name], judged.texts.get(signature.answers.get(name, ""))) for name in outputs]
    targets = list(signature.answers.values()) or list(row["references"])
    references = [_shown(name, value) for name in targets for value in row["references"].get(name, [])]
    return Sample(row["row"], inputs, answers, references, judged.correct)


def _compare_pictures(
    served: Served, data: Data, judged: Sequence[Judged], samples: Sequence[Sample], examples: Mapping[str, Batch]
) -> None:
    """Puts the picture that the model drew beside the true one and the nearest training picture."""
    signature = served.answers[served.default]
    if signature.answers or not (drawn := drawn_outputs(served, signature)):
        return
    ((output, name), *_) = drawn.items()
    pictures = [one.row["answers"]["model"][output] for one in judged]
    nearest = nearest_pictures(data, name, pictures)
    for index, sample in enumerate(samples):
        true = _shown_input(served.processors[name], name, examples[sample.row][name]).images[:1]
        sample.answers, sample.references = (), ()
        sample.pictures = [("drawn", data_uri(pictures[index])), *(("true", image) for image in true)]
        if nearest:
            found, distance = nearest[index]
            sample.pictures = [*sample.pictures, (f"nearest in training, {distance:.2f}", data_uri(found))]


# Results of a search


def _result_images(served: Served, data: Data, judged: Sequence[Judged]) -> dict[str, str]:
    """Returns the image of each gallery entry that is shown, by its id; empty if the entries are not images."""
    signature, gallery = served.answers[served.default], served.gallery
    if not signature.gallery or gallery is None:
        return {}
    ids = {entry for one in judged for entry in one.row["answers"]["model"]["id"][:MAX_IMAGES]}
    entries = find(data.plan, served, gallery, data, ids)
    (name,) = served.answers[gallery.signature].read
    images = {entry: _shown_input(served.processors[name], name, raw[name]).images for entry, raw in entries.items()}
    return {entry: found[0] for entry, found in images.items() if found}


def _shown_results(answer: Row, images: Mapping[str, str], shows: Sequence[str]) -> Shown:
    rows = list(zip(answer["id"], *(answer[name] for name in shows), strict=True))[:MAX_IMAGES]
    titles = [", ".join(row[1:]) or row[0] for row in rows]
    if all(row[0] in images for row in rows):
        return Shown("results", images=[images[row[0]] for row in rows], titles=titles)
    return Shown("results", "; ".join(titles))


# Values


def _shown_input(processor: Processor, name: str, values: tf.Tensor) -> Shown:
    """Shows the raw value; for an input of the modality `image` that is no encoded image, the preprocessed image."""
    value = plain_values(_first(processor, values))
    value = value[0] if len(value) == 1 else value
    if processor.modality != "image" or image_format(value):
        return _shown(name, value)
    return Shown(name, images=[data_uri(_preprocessed(processor, [values])[0])])


def _first(processor: Processor, values: tf.Tensor) -> tf.Tensor:
    """Returns the first value of an example that has several."""
    return values[0] if len(values.shape) > len(processor.raw.shape) else values


def _preprocessed(processor: Processor, values: Sequence[tf.Tensor]) -> list[bytes]:
    """Returns images as the model receives them, PNG bytes."""
    features = processor(tf.stack([_first(processor, value) for value in values])).features
    return list(processor.decode(features).numpy())


def _shown(name: str, value: Any, compared: tuple[str, Sequence[str]] | None = None) -> Shown:
    values = value if isinstance(value, list) else [value]
    if values and all(map(image_format, values)):
        chosen = _spread(range(len(values)), min(MAX_IMAGES, len(values)))
        return Shown(name, images=[data_uri(values[index]) for index in chosen])
    words = _compared_words(*compared) if compared else ()
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


def _compared_words(answer: str, references: Sequence[str]) -> list[tuple[str, bool]]:
    """Returns the words of an answer, and whether each is in the closest reference."""
    words = answer.split()
    if not references:
        return [(word, True) for word in words]
    matching = matcher(closest(answer, references), answer).get_matching_blocks()
    same = {block.b + i for block in matching for i in range(block.size)}
    return [(word, index in same) for index, word in enumerate(words)]


# Attention


def attention_of(served: Served) -> str:
    """Says what the attention that is drawn weighs."""
    signature = next((signature for signature in served.answers.values() if signature.attention), Signature(dict))
    own = [name for name in signature.tokens.values() if name in signature.read]
    whose = f"the {own[0]}" if own else "the answer"
    seen = inputs_of(served.processors, signature.read, "image")
    return f"each token of {whose} over the {'regions of the preprocessed image' if seen else 'places of the drawn picture'}"


def _draw_attention(served: Served, samples: Sequence[Sample], examples: Sequence[Batch]) -> str:
    """Adds attention to some samples; returns why not, if it cannot be drawn."""
    name = next((name for name, signature in served.answers.items() if signature.attention), "")
    if not name or not samples:
        return ""
    signature = served.answers[name]
    images = inputs_of(served.processors, signature.read, "image")
    drawn = next(iter(drawn_outputs(served, signature)), "") if not images else ""
    if len(images) != 1 and not drawn:
        taken = ", ".join(f"{one} ({served.processors[one].modality})" for one in signature.read)
        return f"The attention of '{name}' is not drawn: expected exactly one input of the modality 'image', received {taken}."
    chosen = choose([sample.correct for sample in samples], MAX_EXPLAINED)
    raw = {name: [_first(served.processors[name], examples[i][name]) for i in chosen] for name in signature.read}
    seeds = [tf.range(len(chosen), dtype=tf.int64)] if signature.seed else []
    outputs = served.functions[name](*[_stacked(raw[name]) for name in signature.read], *seeds)
    values = {name: output.numpy() for name, output in outputs.items()}
    regions = values[signature.attention].shape[-1]
    side = round(regions**0.5)
    if side**2 != regions:
        return f"The attention of '{name}' is not drawn: its {regions} regions do not form a square grid over the image."
    under = values[drawn] if drawn else _preprocessed(served.processors[images[0]], raw[images[0]])
    for place, index in enumerate(chosen):
        weights = values[signature.attention][place].reshape(-1, side, side)
        samples[index].image = data_uri(under[place])
        samples[index].attention = _token_attention(weights, _tokens(signature.tokens, values, place, len(weights)))
    return ""


def _stacked(values: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.ragged.stack(values).to_tensor() if values[0].shape.rank else tf.stack(values)


def _tokens(outputs: Mapping[str, str], values: Mapping[str, Any], place: int, count: int) -> list[str]:
    """Returns the tokens of an answer or an input; their numbers if the signature has no output of as many tokens."""
    tokens: list[str] = next((plain(values[output][place]) for output in outputs if output in values), [])
    return tokens if len(tokens) == count else [str(number) for number in range(1, count + 1)]


def _token_attention(weights: Any, tokens: Sequence[str]) -> list[TokenAttention]:
    """Draws each token's weights as opacity, relative to the example's largest weight; leaves out padding."""
    drawn = [(token, grid) for token, grid in zip(tokens, weights, strict=True) if token]
    largest = max((float(grid.max()) for _, grid in drawn), default=0.0) or 1.0
    return [TokenAttention(token, attention_uri(grid / largest), float(grid.max())) for token, grid in drawn]
