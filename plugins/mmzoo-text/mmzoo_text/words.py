"""Text -> word ids, with core TensorFlow string ops, which every stock TensorFlow Serving has."""

from collections import Counter
from pathlib import Path
from typing import Literal

import tensorflow as tf

from mmzoo import END, PAD, START, UNKNOWN, FeatureSpec, PositiveInt, Processed, Processor

SPECIAL = ("", "[unknown]", "[start]", "[end]")
"""The special tokens PAD, UNKNOWN, START and END in the vocabulary, in the order of their ids."""
BLANK = r"[\pZ\p{Cc}\x{200B}\x{FEFF}]+"
"""A run of white space, which becomes one space."""
SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\x{30FC}"
"""Scripts that are written without spaces. Each of their characters is a word."""
TIGHT = rf"[{SCRIPTS}\x{{3000}}-\x{{303F}}\x{{FF00}}-\x{{FF65}}]"
"""Characters after which decoding puts no space: those scripts, and Chinese and Japanese punctuation."""
LETTER = rf"[^\pP\pS\pZ\pC{SCRIPTS}]"
"""A letter, digit or accent of any other script."""
WORD = rf"[{SCRIPTS}]|{LETTER}+(?:[-'’\x{{200C}}\x{{200D}}]{LETTER}+)*|\S"
"""A word, in the syntax of RE2."""


class Words(Processor):
    """Turns text into word ids, with a vocabulary learned from the training split.

    Returns `(batch, sequence_length)`, int32: the words, END, then PAD (`mmzoo.END`, `mmzoo.PAD`). Text is lower-cased. Each
    punctuation mark or symbol is a word, except a hyphen or apostrophe inside a word (`medium-dark`, `don't`). Each Chinese,
    Japanese or Thai character is a word. Longer text is cut to `sequence_length - 1` words; the build's output says how many
    texts were cut. A word that is not in the vocabulary becomes UNKNOWN. Text that is not UTF-8 is a fault of its row.

    Decoding joins words with spaces, except after a Chinese, Japanese or Thai character.

    Args:
        sequence_length: Ids per text, END included.
        min_count: Minimum number of occurrences in the training split for a word to be in the vocabulary.
        max_tokens: Maximum number of words in the vocabulary, special tokens not counted; the most frequent ones are kept.
            None keeps all.
        unit: `words`, or `characters` to make every character a word, spaces between words included.
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
        known = sorted((word for word, count in counts.items() if count >= self.min_count), key=lambda w: (-counts[w], w))
        self._set_vocabulary([word.decode() for word in known[: self.max_tokens]])
        self.note = (
            f"{cut:,} of {texts:,} texts are longer than {self.sequence_length - 1} {self.unit} and are cut" if cut else ""
        )

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
        return tf.strings.regex_replace(text, f"({TIGHT}) ", r"\1")

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
        text = tf.strings.regex_replace(tf.where(is_text(raw), raw, ""), BLANK, " ")
        text = tf.strings.lower(tf.strings.strip(text), encoding="utf-8")
        if self.unit == "characters":
            return tf.strings.unicode_split(text, "UTF-8")
        return tf.strings.split(tf.strings.regex_replace(text, f"({WORD})", r" \1 "))


def is_text(raw: tf.Tensor) -> tf.Tensor:
    """Returns which strings are valid UTF-8, `(batch,)` booleans."""
    return tf.strings.unicode_transcode(raw, "UTF-8", "UTF-8", errors="replace") == raw
