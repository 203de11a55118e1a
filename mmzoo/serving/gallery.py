"""Fills the gallery that a served model searches: embeds the examples of a split, or of a data set of its own."""

from collections.abc import Container, Iterator
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS
from mmzoo.contracts.head import Gallery
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import as_text, first_values
from mmzoo.data.splits import Batch, Data
from mmzoo.errors import RecipeError, suggest
from mmzoo.recipe.plan import Plan
from mmzoo.serving.entries import Entries
from mmzoo.serving.served import Served

BATCH = 64
"""Entries that are embedded at a time."""


def collect(plan: Plan, served: Served, wanted: Gallery, data: Data, screen: Screen, most: int | None = None) -> Entries:
    """Embeds the examples that a head searches; those that cannot be read are left out and counted.

    Args:
        plan: The recipe's.
        served: Asked for the embeddings.
        wanted: What the head says of its gallery.
        data: The recipe's.
        screen: Where progress goes.
        most: Only the first so many of those that can be read.

    Raises:
        RecipeError: The source has no such split or field, or no example that can be read.
        DataError: The source cannot be had.
    """
    examples = _examples(plan, served, wanted, data, screen)
    total = int(examples.cardinality().numpy())
    embedded = _embedded(served, wanted, examples.ragged_batch(min(BATCH, most or BATCH)))
    entries, left_out = [], 0
    for entry in screen.track(embedded, "gallery", total if total >= 0 else None):
        left_out += entry is None
        entries += [] if entry is None else [entry]
        if len(entries) == most:
            break
    if left_out:
        screen.say(f"gallery   left out {left_out} of {left_out + len(entries)} entries that cannot be read")
    if not entries:
        raise RecipeError([plan.head.node.fault("its gallery has no entry that can be read.", "Name another `gallery`.")])
    embeddings, texts = zip(*entries, strict=True)
    return Entries(np.stack(embeddings), {name: [text[name] for text in texts] for name in texts[0]})


def find(plan: Plan, served: Served, wanted: Gallery, data: Data, ids: Container[str]) -> dict[str, Batch]:
    """Reads the entries of some ids again: their raw values by input."""
    entries = ((entry["id"].numpy().decode(), entry) for entry in _examples(plan, served, wanted, data, Screen(quiet=True)))
    return {name: entry for name, entry in entries if name in ids}


def _examples(plan: Plan, served: Served, wanted: Gallery, data: Data, screen: Screen) -> tf.data.Dataset:
    """Gives each entry's raw values by input, its name as `id`, and why it cannot be read."""
    split = _source(plan, wanted, data, screen)
    named = (*served.answers[wanted.signature].inputs, *wanted.shows)
    fields = {name: plan.inputs[name].field for name in named} | ({"id": wanted.key} if wanted.key else {})
    for field in fields.values():
        if field not in split.element_spec:
            what = f"its gallery has no field '{field}'."
            raise RecipeError([plan.head.node.fault(what, suggest(field, split.element_spec))])

    def named_values(index: tf.Tensor, example: Batch) -> Batch:
        values = {name: example[field] for name, field in fields.items()}
        key = values.get("id", example.get(ROW, tf.strings.join(["example ", tf.strings.as_string(index)])))
        key = key if key.dtype == tf.string else tf.strings.as_string(key)
        return values | {"id": key, FAULT: example.get(FAULT, tf.constant(""))}

    return split.enumerate().map(named_values, num_parallel_calls=tf.data.AUTOTUNE)


def _source(plan: Plan, wanted: Gallery, data: Data, screen: Screen) -> tf.data.Dataset:
    if plan.gallery is None:
        splits = data.plan.dataset.splits()
        if wanted.source not in splits:
            what = f"its gallery is the split '{wanted.source}', which the data has not; it has {', '.join(splits)}."
            raise RecipeError([plan.head.node.fault(what)])
        return splits[wanted.source]
    dataset = plan.gallery.make()
    if dataset.card.needs:
        screen.say(f"gallery   {dataset.card.needs}")
    dataset.prepare()
    splits = dataset.splits()
    return reduce(tf.data.Dataset.concatenate, [splits[name] for name in SPLITS if name in splits])


def _embedded(served: Served, wanted: Gallery, batches: tf.data.Dataset) -> Iterator[tuple[Any, dict[str, str]] | None]:
    """Gives each entry's embedding and texts, or None for one that cannot be read."""
    inputs = served.answers[wanted.signature].inputs
    for batch in batches:
        raw = [first_values(batch[name], len(served.spec(name).shape)) for name in inputs]
        outputs = served.predict(wanted.signature, *raw)
        texts = {name: first_values(batch[name], 1).numpy() for name in ("id", *wanted.shows)}
        for row, fault in enumerate(batch[FAULT].numpy()):
            good = outputs["ok"][row] and not fault
            yield (outputs[wanted.output][row], {n: str(as_text(v[row])) for n, v in texts.items()}) if good else None
