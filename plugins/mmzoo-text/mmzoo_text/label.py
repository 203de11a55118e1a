"""Text -> the number of a label among the labels of the training split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from mmzoo import FeatureSpec, PositiveInt, Processed, Processor
from mmzoo_text.words import is_text, nfc

UNSEEN = -1
"""The number of an unknown label, which belongs to no class."""


class Label(Processor):
    """Turns a label into its number among the labels of the training split.

    Returns `(batch,)`, int32. 0 is the most frequent label; ties are in alphabetical order. A label is the whole text, letter
    for letter, in Unicode's normal form C. An unknown label is -1: it belongs to no class, and every answer to it is wrong. A
    label that is empty or not UTF-8 is a fault of its row.

    With `output_mode: shares` the field holds several labels per example, such as the answers of ten people. Returns
    `(batch, classes)`, float32: the share of each label among the example's labels. Unknown labels have no class, so an
    example's shares may sum to less than 1.

    Args:
        max_tokens: Maximum number of labels; the most frequent ones are kept, and the build's output counts the others. None
            keeps all.
        output_mode: `id` returns the number of one label; if an example has several, one is drawn anew in each epoch. `shares`
            returns the share of each label.
    """

    modality = "label"

    def __init__(self, *, max_tokens: PositiveInt | None = None, output_mode: Literal["id", "shares"] = "id"):
        super().__init__(name="label")
        self.max_tokens, self.output_mode = max_tokens, output_mode
        self.raw = tf.TensorSpec((None,) if output_mode == "shares" else (), tf.string)
        self._set_labels({})

    @property
    def features(self) -> FeatureSpec:
        classes, labels = len(self.labels), [label for label in self.labels if label]
        spec = FeatureSpec(shape=[], dtype="int32", vocabulary=classes, labels=labels)
        if self.output_mode == "shares":
            spec |= {"shape": [classes], "dtype": "float32"}
        if len(self.counts) == len(labels):
            spec["counts"] = [self.counts[label] for label in labels]
        return spec

    def adapt(self, values: tf.data.Dataset) -> None:
        counts: Counter[bytes] = Counter()
        for batch in values.ragged_batch(1024) if self.output_mode == "shares" else values.batch(1024):
            flat = tf.reshape(batch.flat_values if isinstance(batch, tf.RaggedTensor) else batch, [-1])
            counts.update(nfc(tf.boolean_mask(flat, _fault(flat) == "")).numpy().tolist())
        known = sorted(counts, key=lambda label: (-counts[label], label))[: self.max_tokens]
        self._set_labels({label.decode(): counts[label] for label in known})
        left, total = counts.total() - sum(counts[label] for label in known), counts.total()
        note = f"{left:,} of {total:,} labels are not among the {len(known):,} most frequent and belong to no class"
        self.note = note if left else ""

    def __call__(self, raw: tf.Tensor) -> Processed:
        ids = self.table.lookup(nfc(raw))
        if self.output_mode == "id":
            return Processed(ids, _fault(raw))
        given = tf.reduce_sum(tf.cast(raw != "", tf.float32), axis=1, keepdims=True)
        shares = tf.reduce_sum(tf.one_hot(ids, len(self.labels)), axis=1) / tf.maximum(given, 1)  # -1 is no class
        not_text = tf.reduce_any(~is_text(raw), axis=1)
        fault = tf.where(given[:, 0] == 0, "there is no label", tf.where(not_text, "this is not UTF-8 text", ""))
        return Processed(tf.where((fault == "")[:, None], shares, 0.0), fault)

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        if values.dtype.is_floating:  # shares: the label with the largest one
            values = tf.where(tf.reduce_max(values, axis=1) > 0, tf.argmax(values, axis=1, output_type=tf.int32), UNSEEN)
        return tf.where(values >= 0, tf.gather(self.names, tf.maximum(values, 0)), "")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        return self.decode(ids)

    def save(self, folder: Path) -> None:
        (folder / "labels.json").write_text(json.dumps(self.counts or self.labels, ensure_ascii=False, indent=1), "utf-8")

    def load(self, folder: Path) -> None:
        self._set_labels(json.loads((folder / "labels.json").read_text("utf-8")))

    def _set_labels(self, labels: Mapping[str, int] | Sequence[str]) -> None:
        """Sets the labels in order, with their counts. Runs of older versions have no counts."""
        self.labels = list(labels) or [""]  # a table cannot be empty
        self.counts = dict(labels) if isinstance(labels, Mapping) else {}
        self.names = tf.constant(self.labels)
        initializer = tf.lookup.KeyValueTensorInitializer(self.names, tf.range(len(self.labels), dtype=tf.int32))
        self.table = tf.lookup.StaticHashTable(initializer, default_value=UNSEEN)


def _fault(raw: tf.Tensor) -> tf.Tensor:
    return tf.where(raw == "", "this label is empty", tf.where(is_text(raw), "", "this is not UTF-8 text"))
