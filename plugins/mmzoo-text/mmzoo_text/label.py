"""Text -> the number of a label, out of those that the training split has."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from mmzoo import FeatureSpec, PositiveInt, Processed, Processor
from mmzoo_text.words import is_text

UNSEEN = -1
"""The number of a label that is not known: no class has it."""


class Label(Processor):
    """Turns a label into its number among the labels of the training split.

    Gives `(batch,)`, int32, from 0, the most frequent label; labels as frequent are in alphabetical order. A label is the whole
    text, letter for letter. One that is not known is -1: it belongs to no class, and every answer to it is wrong. An
    empty label, and one that is not UTF-8, is a fault of its row.

    Of `shares` all values of a field that holds several count at once, the answers of ten people, say: `(batch, classes)`,
    float32, the share of the example's values that is each label. Those that are not known have no class, so what the others
    have adds up to less than 1.

    Args:
        max_tokens: The most labels that are known, the most frequent ones; the examples of others are counted in the build's
            output. None keeps all.
        output_mode: `id`, the number of one label, drawn anew in each epoch where an example has several; or `shares`.
    """

    modality = "label"

    def __init__(self, *, max_tokens: PositiveInt | None = None, output_mode: Literal["id", "shares"] = "id"):
        super().__init__(name="label")
        self.max_tokens, self.output_mode = max_tokens, output_mode
        self.raw = tf.TensorSpec((None,) if output_mode == "shares" else (), tf.string)
        self._learn({})

    @property
    def features(self) -> FeatureSpec:
        classes, labels = len(self.labels), [label for label in self.labels if label]
        found = FeatureSpec(shape=[], dtype="int32", vocabulary=classes, labels=labels)
        if self.output_mode == "shares":
            found |= {"shape": [classes], "dtype": "float32"}
        if len(self.counts) == len(labels):
            found["counts"] = [self.counts[label] for label in labels]
        return found

    def adapt(self, values: tf.data.Dataset) -> None:
        counts: Counter[bytes] = Counter()
        for batch in values.ragged_batch(1024) if self.output_mode == "shares" else values.batch(1024):
            flat = tf.reshape(batch.flat_values if isinstance(batch, tf.RaggedTensor) else batch, [-1])
            counts.update(tf.boolean_mask(flat, _fault(flat) == "").numpy().tolist())
        known = sorted(counts, key=lambda label: (-counts[label], label))[: self.max_tokens]
        self._learn({label.decode(): counts[label] for label in known})
        left, total = counts.total() - sum(counts[label] for label in known), counts.total()
        self.note = (
            f"{left:,} of {total:,} labels are none of the {len(known):,} most frequent and belong to no class" if left else ""
        )

    def __call__(self, raw: tf.Tensor) -> Processed:
        ids = self.table.lookup(raw)
        if self.output_mode == "id":
            return Processed(ids, _fault(raw))
        given = tf.reduce_sum(tf.cast(raw != "", tf.float32), axis=1, keepdims=True)
        shares = tf.reduce_sum(tf.one_hot(ids, len(self.labels)), axis=1) / tf.maximum(given, 1)  # -1 is no class
        wrong = tf.reduce_any(~is_text(raw), axis=1)
        fault = tf.where(given[:, 0] == 0, "there is no label", tf.where(wrong, "this is no UTF-8 text", ""))
        return Processed(tf.where((fault == "")[:, None], shares, 0.0), fault)

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        if values.dtype.is_floating:  # shares: the largest
            values = tf.where(tf.reduce_max(values, axis=1) > 0, tf.argmax(values, axis=1, output_type=tf.int32), UNSEEN)
        return tf.where(values >= 0, tf.gather(self.names, tf.maximum(values, 0)), "")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        return self.decode(ids)

    def save(self, folder: Path) -> None:
        (folder / "labels.json").write_text(json.dumps(self.counts or self.labels, ensure_ascii=False, indent=1), "utf-8")

    def load(self, folder: Path) -> None:
        self._learn(json.loads((folder / "labels.json").read_text("utf-8")))

    def _learn(self, labels: Mapping[str, int] | Sequence[str]) -> None:
        """Takes labels in their order, with how often each is there; older runs do not say that."""
        self.labels = list(labels) or [""]  # a table cannot be empty
        self.counts = dict(labels) if isinstance(labels, Mapping) else {}
        self.names = tf.constant(self.labels)
        initializer = tf.lookup.KeyValueTensorInitializer(self.names, tf.range(len(self.labels), dtype=tf.int32))
        self.table = tf.lookup.StaticHashTable(initializer, default_value=UNSEEN)


def _fault(raw: tf.Tensor) -> tf.Tensor:
    return tf.where(raw == "", "this label is empty", tf.where(is_text(raw), "", "this is no UTF-8 text"))
