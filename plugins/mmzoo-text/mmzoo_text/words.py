"""Text -> word ids, with ops of TensorFlow and TensorFlow Text that every stock TensorFlow Serving has."""

from collections import Counter
from pathlib import Path
from typing import Literal

import tensorflow as tf
import tensorflow_text as tf_text

from mmzoo import (
    END,
    GRAPHEME,
    PAD,
    START,
    UNKNOWN,
    UNSPACED,
    WORD_CUTS,
    WORD_SPACING,
    DataError,
    FeatureSpec,
    PositiveInt,
    Processed,
    Processor,
)

SPECIAL = ("", "[unknown]", "[start]", "[end]")
"""The special tokens PAD, UNKNOWN, START and END in the vocabulary, in the order of their ids."""


class Words(Processor):
    """Turns text into word ids, with a vocabulary learned from the training split.

    Returns `(batch, sequence_length)`, int32: the words, END, then PAD (`mmzoo.END`, `mmzoo.PAD`). Text is lower-cased and
    brought to Unicode's normal form C, then cut where caption metrics cut it (`mmzoo.split_words`). Each punctuation mark or
    symbol is a word, but an emoji with its joiners and skin tones is one, and so is a run such as `?!` or `...`. A mark that
    joins letters or digits does not cut: `medium-dark`, `don't`, `3.5`, `10:30`, `and/or`. Each Chinese, Japanese, Thai, Lao,
    Khmer or Burmese character is a word, with its marks. Longer text is cut to `sequence_length - 1` words. A word that is not
    in the vocabulary becomes UNKNOWN. The build's output says how many texts were cut and how many words are unknown; an empty
    vocabulary is an error. Text that is not UTF-8 is a fault of its row.

    Decoding joins words with spaces, except after a character of those scripts.

    Args:
        sequence_length: Ids per text, END included.
        min_count: Minimum number of occurrences in the training split for a word to be in the vocabulary.
        max_tokens: Maximum number of words in the vocabulary, special tokens not counted; the most frequent ones are kept.
            None keeps all.
        unit: `words`, or `characters` to make every character a word, spaces between words included. An emoji, or a letter with
            its marks, is one character.
    """

    modality = "text"

    def __init__(
        self,
        *,
        sequence_length: PositiveInt = 20,
        min_count: PositiveInt = 1,
        max_tokens: PositiveInt | None = None,
        unit: Literal["words", "characters"] = "words",
    ):
        super().__init__(name="words")
        self.sequence_length, self.min_count, self.max_tokens, self.unit = sequence_length, min_count, max_tokens, unit
        self._set_vocabulary([])

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.sequence_length], dtype="int32", vocabulary=len(self.vocabulary))

    def adapt(self, values: tf.data.Dataset) -> None:
        counts: Counter[bytes] = Counter()
        texts = cut = 0
        for batch in values.batch(1024).map(self._split):
            counts.update(batch.flat_values.numpy().tolist())
            lengths = batch.row_lengths().numpy()
            texts, cut = texts + len(lengths), cut + int((lengths > self.sequence_length - 1).sum())
        # Ties are broken alphabetically, so that the ids do not depend on the order of the data.
        often = sorted((word for word, count in counts.items() if count >= self.min_count), key=lambda w: (-counts[w], w))
        if not often:
            found = f"none of the {len(counts):,} {self.unit} of the {texts:,} training texts occurs {self.min_count} times"
            advice = "Set a smaller `min_count`." if counts else "Expected texts in UTF-8."
            raise DataError(f"the vocabulary would be empty: {found}.\n{advice}")
        known = often[: self.max_tokens]
        self._set_vocabulary([word.decode() for word in known])
        total = counts.total()
        self.note = unknown_note(total - sum(counts[word] for word in known), total, self.unit, len(known))
        self.note += cut_note(cut, texts, self.sequence_length - 1, self.unit)

    def __call__(self, raw: tf.Tensor) -> Processed:
        words = self._split(raw)[:, : self.sequence_length - 1]
        ends = tf.fill([words.nrows(), 1], tf.constant(END, tf.int32))
        ids = tf.concat([tf.ragged.map_flat_values(self.table.lookup, words), ends], axis=1)
        return Processed(
            ids.to_tensor(PAD, shape=[None, self.sequence_length]), tf.where(is_text(raw), "", "this is not UTF-8 text")
        )

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        if self.unit == "characters":
            return tf.strings.strip(tf.strings.reduce_join(self.tokens(values), axis=1))
        text = tf.strings.reduce_join(self.tokens(values), axis=1, separator=" ")
        text = tf.strings.regex_replace(tf.strings.strip(text), " +", " ")
        return tf.strings.regex_replace(text, f"({UNSPACED}) ", r"\1")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        ended = tf.cumsum(tf.cast(ids == END, tf.int32), axis=1) > 0
        return tf.where(ended | (ids == START), "", tf.gather(self.words, ids))

    def save(self, folder: Path) -> None:
        (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in self.vocabulary[len(SPECIAL) :]), "utf-8")

    def load(self, folder: Path) -> None:
        self._set_vocabulary((folder / "vocabulary.txt").read_text("utf-8").split("\n")[:-1])

    def _set_vocabulary(self, words: list[str]) -> None:
        self.vocabulary = (*SPECIAL, *words)
        self.words = tf.constant(self.vocabulary)
        ids = tf.range(len(self.vocabulary), dtype=tf.int32)
        # A text never contains a special token: brackets are split off, and a word is never empty.
        initializer = tf.lookup.KeyValueTensorInitializer(self.words, ids)
        self.table = tf.lookup.StaticHashTable(initializer, default_value=UNKNOWN)

    def _split(self, raw: tf.Tensor) -> tf.RaggedTensor:
        text = tf.where(is_text(raw), raw, "")
        for pattern, replacement in WORD_SPACING:
            text = tf.strings.regex_replace(text, pattern, replacement)
        text = tf.strings.strip(nfc(lower(text)))
        if self.unit == "characters":
            return tf.strings.split(tf.strings.regex_replace(text, f"({GRAPHEME})", "\\1\n"), "\n")[:, :-1]
        for pattern, replacement in WORD_CUTS:
            text = tf.strings.regex_replace(text, pattern, replacement)
        return tf.strings.split(text)


def is_text(raw: tf.Tensor) -> tf.Tensor:
    """Returns which strings are valid UTF-8, `(batch,)` booleans."""
    return tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="replace") == raw


def unknown_note(unknown: int, total: int, unit: str, known: int) -> str:
    """Returns the note on how many words of the training texts are not in the vocabulary."""
    return f"{unknown:,} of {total:,} {unit} are unknown, the vocabulary has {known:,}"


def cut_note(cut: int, texts: int, length: int, unit: str) -> str:
    """Returns what a note adds if texts are cut."""
    return f"; {cut:,} of {texts:,} texts are longer than {length} {unit} and are cut" if cut else ""


def lower(text: tf.Tensor) -> tf.Tensor:
    """Lower-cases texts in any script, whatever the language of the process's locale.

    The op of TensorFlow alone turns I into a dotless letter under a Turkish locale, and cuts a text at a NUL.
    """
    for pattern, replacement in (("\x00", "\uffff"), ("\u0130", "i\u0307")):
        text = tf.strings.regex_replace(text, pattern, replacement)
    text = tf.strings.lower(tf.strings.lower(text), encoding="utf-8")  # first A to Z, in the same way under any locale
    return tf.strings.regex_replace(text, "\uffff", "\x00")


def nfc(text: tf.Tensor) -> tf.Tensor:
    """Brings texts to Unicode's normal form C, in which letters that look the same have the same bytes."""
    return tf_text.normalize_utf8(text, "NFC")
