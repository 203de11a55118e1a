"""Fills the gallery of a model: embeds the examples of a split, or of another data set."""

from collections.abc import Container, Iterator
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS
from mmzoo.contracts.head import Gallery
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import as_text, fault_in, first_values
from mmzoo.data.raw_split import Batch, RawSplit, as_stream
from mmzoo.data.scan import unreadable
from mmzoo.data.splits import Data
from mmzoo.errors import RecipeError, suggest
from mmzoo.recipe.plan import Plan
from mmzoo.serving.entries import Entries
from mmzoo.serving.served import Served

BATCH = 64
"""Entries that are embedded at a time."""


def collect(plan: Plan, served: Served, gallery: Gallery, data: Data, screen: Screen, most: int | None = None) -> Entries:
    """Embeds the examples of a gallery; those of another data set that cannot be read are left out and counted.

    Args:
        plan: The recipe's plan.
        served: The model that embeds.
        gallery: The head's gallery.
        data: The recipe's data.
        screen: Shows the progress.
        most: Only the first so many readable examples.

    Raises:
        RecipeError: The split or a field does not exist, or no example can be read.
        DataError: The other data set cannot be read; or an example of the recipe's own, and the recipe says to stop.
    """
    examples = _examples(plan, served, gallery, data, screen)
    total = int(examples.cardinality().numpy())
    embedded = _embed(served, gallery, examples.ragged_batch(min(BATCH, most or BATCH)))
    entries, faults = [], []
    for entry in screen.track(embedded, "gallery", total if total >= 0 else None):
        faults += [entry] if isinstance(entry, str) else []
        entries += [] if isinstance(entry, str) else [entry]
        if len(entries) == most:
            break
    if faults and plan.gallery is None and plan.on_error == "stop":
        raise unreadable(faults, f"{len(faults) + len(entries)} entries of the gallery")
    if faults:
        screen.say(f"gallery   left out {len(faults)} of {len(faults) + len(entries)} entries that cannot be read")
    if not entries:
        raise RecipeError([plan.head.node.fault("its gallery has no entry that can be read.", "Name another `gallery`.")])
    embeddings, texts = zip(*entries, strict=True)
    return Entries(np.stack(embeddings), {name: [text[name] for text in texts] for name in texts[0]})


def find(plan: Plan, served: Served, gallery: Gallery, data: Data, ids: Container[str]) -> dict[str, Batch]:
    """Reads the entries with these ids again; returns their raw values by input, by id."""
    examples = _examples(plan, served, gallery, data, Screen(quiet=True))
    entries = ((example["id"].numpy().decode(), example) for example in examples)
    return {name: entry for name, entry in entries if name in ids}


def _examples(plan: Plan, served: Served, gallery: Gallery, data: Data, screen: Screen) -> tf.data.Dataset:
    """Returns the raw values of each example by input, its `id`, and its `FAULT`, empty for a readable one."""
    names = (*served.answers[gallery.signature].inputs, *gallery.shows)
    fields = {name: plan.inputs[name].field for name in names} | ({"id": gallery.key} if gallery.key else {})
    splits = _source(plan, gallery, data, screen)
    for field in fields.values():
        if field not in (known := RawSplit.of(splits[0]).fields):
            raise RecipeError([plan.head.node.fault(f"its gallery has no field '{field}'.", suggest(field, known))])

    def select(index: tf.Tensor, example: Batch) -> Batch:
        values = {name: example[field] for name, field in fields.items()}
        key = values.get("id", example.get(ROW, tf.strings.join(["example ", tf.strings.as_string(index)])))
        key = key if key.dtype == tf.string else tf.strings.as_string(key)
        return values | {"id": key, FAULT: fault_in(example, fields.values())}

    examples = reduce(tf.data.Dataset.concatenate, [as_stream(split, fields.values()) for split in splits])
    return examples.enumerate().map(select, num_parallel_calls=tf.data.AUTOTUNE)


def _source(plan: Plan, gallery: Gallery, data: Data, screen: Screen) -> list[Any]:
    """Opens the split of the recipe's data, or all splits of the other data set."""
    if plan.gallery is None:
        splits = data.plan.dataset.splits()
        if gallery.source not in splits:
            what = f"its gallery is the split '{gallery.source}', which the data does not have; it has {', '.join(splits)}."
            raise RecipeError([plan.head.node.fault(what)])
        return [splits[gallery.source]]
    dataset = plan.gallery.make()
    if dataset.card.needs:
        screen.say(f"gallery   {dataset.card.needs}")
    dataset.prepare()
    splits = dataset.splits()
    return [splits[name] for name in SPLITS if name in splits]


def _embed(served: Served, gallery: Gallery, batches: tf.data.Dataset) -> Iterator[tuple[Any, dict[str, str]] | str]:
    """Yields the embedding and the texts of each example, or why it cannot be read."""
    inputs = served.answers[gallery.signature].inputs
    for batch in batches:
        raw = [first_values(batch[name], len(served.spec(name).shape)) for name in inputs]
        outputs = served.predict(gallery.signature, *raw)
        columns = {name: first_values(batch[name], 1).numpy() for name in ("id", *gallery.shows)}
        for row, fault in enumerate(batch[FAULT].numpy()):
            texts = {name: str(as_text(column[row])) for name, column in columns.items()}
            if outputs["ok"][row] and not fault:
                yield outputs[gallery.output][row], texts
            else:
                yield f"{texts['id']}: {(fault or outputs['reason'][row]).decode()}"
