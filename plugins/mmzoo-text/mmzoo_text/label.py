"""Text -> the number of a label, out of those that the training split has."""

import json
from collections import Counter
from pathlib import Path

import tensorflow as tf

from mmzoo import Features, Positive, Processed, Processor
from mmzoo_text.words import is_text

UNSEEN = -1
"""The number of a label that is not known: no class has it."""


class Label(Processor):
    """Turns a label into its number among the labels of the training split.

    Gives `(batch,)`, int32, from 0, the most frequent label; labels as frequent are in alphabetical order. A label is the whole
    text, letter for letter. One that is not known is -1: it belongs to no class, and every answer to it is wrong. An
    empty label, and one that is not UTF-8, is a fault of its row.

    Args:
        largest: The most labels that are known, the most frequent ones; the examples of others are counted in the build's
            output. None keeps all.
    """

    def __init__(self, *, largest: Positive | None = None):
        super().__init__(name="label")
        self.largest = largest
        self._learn([])

    @property
    def features(self) -> Features:
        return Features(shape=[], dtype="int32", vocabulary=len(self.labels))

    def adapt(self, values: tf.data.Dataset) -> None:
        counts: Counter[bytes] = Counter()
        for batch in values.batch(1024):
            counts.update(tf.boolean_mask(batch, _fault(batch) == "").numpy().tolist())
        known = sorted(counts, key=lambda label: (-counts[label], label))[: self.largest]
        self._learn([label.decode() for label in known])
        left, total = counts.total() - sum(counts[label] for label in known), counts.total()
        self.note = (
            f"{left:,} of {total:,} labels are none of the {len(known):,} most frequent and belong to no class" if left else ""
        )

    def __call__(self, raw: tf.Tensor) -> Processed:
        return Processed(self.table.lookup(raw), _fault(raw))

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        return tf.where(values >= 0, tf.gather(self.names, tf.maximum(values, 0)), "")

    def pieces(self, ids: tf.Tensor) -> tf.Tensor:
        return self.decode(ids)

    def save(self, folder: Path) -> None:
        (folder / "labels.json").write_text(json.dumps(self.labels, ensure_ascii=False, indent=1), "utf-8")

    def load(self, folder: Path) -> None:
        self._learn(json.loads((folder / "labels.json").read_text("utf-8")))

    def _learn(self, labels: list[str]) -> None:
        self.labels = labels or [""]  # a table cannot be empty
        self.names = tf.constant(self.labels)
        initializer = tf.lookup.KeyValueTensorInitializer(self.names, tf.range(len(self.labels), dtype=tf.int32))
        self.table = tf.lookup.StaticHashTable(initializer, default_value=UNSEEN)


def _fault(raw: tf.Tensor) -> tf.Tensor:
    return tf.where(raw == "", "this label is empty", tf.where(is_text(raw), "", "this is no UTF-8 text"))
