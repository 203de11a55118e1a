"""Text -> ids of word pieces, as BERT reads it, with TensorFlow Text ops that every stock server has."""

import json
from pathlib import Path
from typing import Annotated

import tensorflow as tf
import tensorflow_text as tf_text
from annotated_types import Ge

from mmzoo import END, PAD, START, UNKNOWN, DataError, FeatureSpec, Processed, Processor, StreamError
from mmzoo_text.words import is_text

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The pieces PAD, UNKNOWN, START and END of a vocabulary that is learned, in the order of their ids; BERT's names of them."""
BLANK = r"[\pZ\t\n\r]"
INVISIBLE = r"[\pC\x{FFFD}]"
NEVER = "\x01"
"""A piece that no text has: invisible characters are dropped."""
TIGHT = r"[\p{Han}\x{3000}-\x{303F}\x{FF00}-\x{FF65}]"
"""What no blank follows in an answer: Chinese characters and their punctuation."""


class WordPiece(Processor):
    """Turns text into ids of word pieces, by a vocabulary learned from the training split or by BERT's.

    Gives `(batch, sequence_length)`, int32: [CLS], the pieces, [SEP], then [PAD]. Text is cleaned, lower-cased, freed of
    accents and split at blanks, marks and Chinese characters as BERT does, then each word greedily into the longest pieces
    there are; a word that cannot be is one [UNK]. What is a special piece, such as `[SEP]`, is plain text when somebody writes
    it. Longer text is cut to its first pieces, counted in the build's output. Text that is not UTF-8 is a fault of its row.

    A learned vocabulary's first ids are those that heads write in, and its ids can be read back as text; a given one keeps the
    ids that its model knows. The vocabulary is kept in the run, so it is fetched once.

    Source: Devlin et al. 2019, arXiv 1810.04805; Song et al. 2021, arXiv 2012.15524; the ops and the learning of a vocabulary
    are TensorFlow Text's.

    Args:
        sequence_length: Ids per text, [CLS] and [SEP] included.
        vocabulary: Where the pieces come from: a file with one on each line (`vocab.txt`), a folder as Hugging Face or KerasHub
            write it, `hf://...`, or a KerasHub preset such as `bert_base_en_uncased`. None learns them from the training split.
        vocabulary_size: The most pieces in a learned vocabulary.
        lowercase: Whether case and accents are dropped; None is as the given vocabulary says, and otherwise yes.
        start: Whether [CLS] comes first. A text that a head is to write has none.
    """

    modality = "text"

    def __init__(
        self,
        *,
        sequence_length: Annotated[int, Ge(2)] = 32,
        vocabulary: str | None = None,
        vocabulary_size: Annotated[int, Ge(8)] = 8000,
        lowercase: bool | None = None,
        start: bool = True,
    ):
        super().__init__(name="wordpiece")
        self.sequence_length, self.source, self.vocabulary_size, self.start = (
            sequence_length,
            vocabulary,
            vocabulary_size,
            start,
        )
        self.lowercase, self.asked = lowercase is not False, lowercase
        self._learn(list(SPECIAL))

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.sequence_length], dtype="int32", vocabulary=len(self.vocabulary))

    def adapt(self, values: tf.data.Dataset) -> None:
        if self.source is not None:
            vocabulary, lowercase = read_vocabulary(self.source)
            self.lowercase = lowercase if self.asked is None else self.asked
            self._learn(vocabulary)
        else:
            self._learn(_learned(values.batch(1024).map(self._normal), self.vocabulary_size))
        room, texts, cut = self.sequence_length - 1 - self.start, 0, 0
        for batch in values.batch(1024).map(self._split):
            lengths = batch.row_lengths().numpy()
            texts, cut = texts + len(lengths), cut + int((lengths > room).sum())
        self.note = f"{cut:,} of {texts:,} texts are longer than {room} pieces and are cut" if cut else ""

    def __call__(self, raw: tf.Tensor) -> Processed:
        pieces = self._split(raw)[:, : self.sequence_length - 1 - self.start]
        rows = pieces.nrows(tf.int32)
        starts = tf.fill([rows, int(self.start)], self.first)
        ids = tf.concat([starts, pieces, tf.fill([rows, 1], self.last)], axis=1)
        return Processed(
            ids.to_tensor(PAD, shape=[None, self.sequence_length]), tf.where(is_text(raw), "", "this is no UTF-8 text")
        )

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        text = tf.strings.reduce_join(self.tokens(values), axis=1, separator=" ")
        text = tf.strings.regex_replace(tf.strings.strip(text), " +", " ")
        text = tf.strings.regex_replace(tf.strings.regex_replace(text, " ##", ""), "^##", "")
        return tf.strings.regex_replace(text, f"({TIGHT}) ", r"\1")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        if self.source is not None:
            raise NotImplementedError("a head cannot write in a given vocabulary: its ids of start and end are its own.")
        ended = tf.cumsum(tf.cast(ids == END, tf.int32), axis=1) > 0
        return tf.where(ended | (ids == START) | (ids == PAD), "", tf.gather(self.strings, ids))

    def save(self, folder: Path) -> None:
        (folder / "vocabulary.txt").write_text("".join(f"{piece}\n" for piece in self.vocabulary), "utf-8", newline="\n")
        (folder / "settings.json").write_text(json.dumps({"lowercase": self.lowercase}), "utf-8")

    def load(self, folder: Path) -> None:
        self.lowercase = bool(json.loads((folder / "settings.json").read_text("utf-8"))["lowercase"])
        self._learn(_lines(folder / "vocabulary.txt"))

    def _learn(self, vocabulary: list[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.first, self.last = vocabulary.index(SPECIAL[START]), vocabulary.index(SPECIAL[END])
        self.strings = tf.constant(self.vocabulary)
        # The op, which splits at blanks, marks and Chinese characters too, takes no vocabulary of special pieces alone.
        self.tokenizer = tf_text.FastWordpieceTokenizer(
            [*vocabulary, NEVER], token_out_type=tf.int32, unknown_token=SPECIAL[UNKNOWN], no_pretokenization=False
        )

    def _normal(self, raw: tf.Tensor) -> tf.Tensor:
        text = tf.strings.regex_replace(tf.where(is_text(raw), raw, ""), BLANK, " ")
        text = tf.strings.regex_replace(text, INVISIBLE, "")
        if not self.lowercase:
            return text
        text = tf.strings.regex_replace(tf_text.normalize_utf8(text, "NFD"), r"\p{Mn}", "")
        return tf.strings.lower(text, encoding="utf-8")

    def _split(self, raw: tf.Tensor) -> tf.RaggedTensor:
        return self.tokenizer.tokenize(self._normal(raw))


def read_vocabulary(source: str) -> tuple[list[str], bool]:
    """Reads a vocabulary, and whether it is one of lower-cased text.

    Args:
        source: A file, a folder, a preset's name, or `hf://...`.

    Raises:
        DataError: It cannot be had, or is none of BERT's kind.
    """
    if Path(source).is_file():
        vocabulary, lowercase = _lines(Path(source)), True
    else:
        import keras_hub  # here: it takes seconds, and a run that is reopened or served needs none

        from mmzoo_text.presets import load_preset

        try:
            tokenizer = load_preset(keras_hub.tokenizers.WordPieceTokenizer, source)
        except StreamError as error:
            raise DataError(f"the processor 'wordpiece' cannot read its vocabulary: {error}") from error
        vocabulary, lowercase = list(tokenizer.vocabulary), bool(tokenizer.lowercase)
    missing = [piece for piece in SPECIAL if piece not in vocabulary]
    if missing:
        raise DataError(f"the vocabulary '{source}' lacks {', '.join(missing)}. Give one of a BERT model.")
    if vocabulary.index(SPECIAL[PAD]) != PAD:
        raise DataError(f"the id of [PAD] in the vocabulary '{source}' is {vocabulary.index(SPECIAL[PAD])}, expected {PAD}.")
    return vocabulary, lowercase


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"the vocabulary '{path}' is no UTF-8 text.") from error
    return text.removesuffix("\n").split("\n")


def _learned(texts: tf.data.Dataset, size: int) -> list[str]:
    """Learns a vocabulary of at most `size` pieces from batches of cleaned texts."""
    from tensorflow_text.tools.wordpiece_vocab.bert_vocab_from_dataset import bert_vocab_from_dataset

    if not any(tf.reduce_any(tf.strings.strip(batch) != "").numpy() for batch in texts):
        return list(SPECIAL)
    # Each character takes two pieces, `x` and `##x`; a third is left for longer ones.
    limits = {"lower_thresh": 1, "max_unique_chars": max(1, size // 3)}
    return bert_vocab_from_dataset(texts, size, list(SPECIAL), learn_params=limits)[:size]
