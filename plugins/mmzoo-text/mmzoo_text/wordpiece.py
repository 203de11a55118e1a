"""Text -> ids of word pieces as in BERT, with TensorFlow Text ops that every stock TensorFlow Serving has."""

import json
from pathlib import Path
from typing import Annotated

import tensorflow as tf
import tensorflow_text as tf_text
from annotated_types import Ge

from mmzoo import END, PAD, START, UNKNOWN, DataError, FeatureSpec, FilePath, Processed, Processor, StreamError
from mmzoo_text.words import cut_note, is_text, lower, nfc, unknown_note

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""BERT's names of PAD, UNKNOWN, START and END, in the order of their ids in a learned vocabulary."""
BLANK = r"[\pZ\t\n\r]"
INVISIBLE = r"[\pC\x{FFFD}]"
NEVER = "\x01"
"""A token that no text contains, because invisible characters are dropped."""
TIGHT = r"[\p{Han}\x{3000}-\x{303F}\x{FF00}-\x{FF65}]"
"""Characters after which decoding puts no space: Chinese characters and their punctuation."""
INNER = (
    r"(\p{Nd}) (\.) (\p{Nd})",
    r"(\p{Nd}) (,) (\p{Nd}{3}\b)",
    r"(\p{Nd}) (:) (\p{Nd}{2}\b)",
    r"([\pL\pM\p{Nd}]) ([-‐‑/_]) ([\pL\p{Nd}])",
    r"([\pL\pM\p{Nd}]) (['’]) (s|t|d|m|re|ve|ll)\b",
)
"""Marks around which decoding puts no space, since they are more often inside a word: `3.5`, `well-known`, `man's`."""


class WordPiece(Processor):
    """Turns text into ids of word pieces, with a learned vocabulary or BERT's.

    Returns `(batch, sequence_length)`, int32: [CLS], the word pieces, [SEP], then [PAD]. As in BERT, text is cleaned,
    lower-cased, stripped of accents and split at white space, punctuation and Chinese characters. Then each word is split
    greedily into the longest word pieces of the vocabulary; a word that cannot be split is one [UNK]. Special tokens in a text,
    such as `[SEP]`, are read as plain text. Longer text is cut. The build's output says how many texts were cut and how many
    tokens are unknown; that all are is an error. Text that is not UTF-8 is a fault of its row.

    A vocabulary learned from the training split starts with the special tokens, so a head can generate in its ids, and ids can
    be decoded: case, accents and some spaces are lost, so prefer `words` for a text that a head generates. A given vocabulary
    keeps the ids of its own model, and its ids cannot be decoded. The vocabulary is saved in the run, so it is fetched once.

    Source: Devlin et al. 2019, arXiv 1810.04805; Song et al. 2021, arXiv 2012.15524. TensorFlow Text has the ops and learns the
    vocabulary.

    Args:
        sequence_length: Ids per text, [CLS] and [SEP] included.
        vocabulary: Source of the vocabulary: a file with one word piece per line (`vocab.txt`), a folder in Hugging Face's or
            KerasHub's format, `hf://...`, or a KerasHub preset such as `bert_base_en_uncased`. None learns one from the
            training split.
        vocabulary_size: Maximum number of tokens in a learned vocabulary, special tokens included.
        lowercase: Whether to drop case and accents. None: as the given vocabulary was made; true for a learned one.
        start: Whether to add [CLS] at the start. Set to false for a target, the text that a head generates.
    """

    modality = "text"

    def __init__(
        self,
        *,
        sequence_length: Annotated[int, Ge(2)] = 32,
        vocabulary: FilePath | None = None,
        vocabulary_size: Annotated[int, Ge(8)] = 8000,
        lowercase: bool | None = None,
        start: bool = True,
    ):
        super().__init__(name="wordpiece")
        self.sequence_length, self.vocabulary_size = sequence_length, vocabulary_size
        self.source, self.start = vocabulary, start
        self.lowercase, self.lowercase_option = lowercase is not False, lowercase
        self._set_vocabulary(list(SPECIAL))

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.sequence_length], dtype="int32", vocabulary=len(self.vocabulary))

    def adapt(self, values: tf.data.Dataset) -> None:
        if self.source is not None:
            vocabulary, lowercase = read_vocabulary(self.source)
            self.lowercase = lowercase if self.lowercase_option is None else self.lowercase_option
            self._set_vocabulary(vocabulary)
        else:
            self._set_vocabulary(_learn(values.batch(1024).map(self._normal), self.vocabulary_size))
        room, unknown_id = self.sequence_length - 1 - self.start, self.vocabulary.index(SPECIAL[UNKNOWN])
        texts = cut = total = unknown = 0
        for batch in values.batch(1024).map(self._split):
            lengths = batch.row_lengths().numpy()
            texts, cut = texts + len(lengths), cut + int((lengths > room).sum())
            total, unknown = total + int(lengths.sum()), unknown + int((batch.flat_values.numpy() == unknown_id).sum())
        if unknown == total:
            what = f"the vocabulary has none of the {total:,} words of the {texts:,} training texts"
            raise DataError(f"{what}.\nExpected texts in UTF-8{' in the language of the vocabulary' if self.source else ''}.")
        self.note = unknown_note(unknown, total, "tokens", len(self.vocabulary)) + cut_note(cut, texts, room, "tokens")

    def __call__(self, raw: tf.Tensor) -> Processed:
        tokens = self._split(raw)[:, : self.sequence_length - 1 - self.start]
        rows = tokens.nrows(tf.int32)
        starts = tf.fill([rows, int(self.start)], self.start_id)
        ids = tf.concat([starts, tokens, tf.fill([rows, 1], self.end_id)], axis=1)
        return Processed(
            ids.to_tensor(PAD, shape=[None, self.sequence_length]), tf.where(is_text(raw), "", "this is not UTF-8 text")
        )

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        text = tf.strings.reduce_join(self.tokens(values), axis=1, separator=" ")
        text = tf.strings.regex_replace(tf.strings.strip(text), " +", " ")
        text = tf.strings.regex_replace(tf.strings.regex_replace(text, " ##", ""), "^##", "")
        for pattern in 2 * INNER:  # what ends one match may begin another
            text = tf.strings.regex_replace(text, pattern, r"\1\2\3")
        return tf.strings.regex_replace(text, f"({TIGHT}) ", r"\1")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        if self.source is not None:
            raise NotImplementedError(
                "a head cannot generate in a given vocabulary: its start and end ids differ from mmzoo's."
            )
        ended = tf.cumsum(tf.cast(ids == END, tf.int32), axis=1) > 0
        return tf.where(ended | (ids == START) | (ids == PAD), "", tf.gather(self.strings, ids))

    def save(self, folder: Path) -> None:
        (folder / "vocabulary.txt").write_text("".join(f"{token}\n" for token in self.vocabulary), "utf-8", newline="\n")
        (folder / "settings.json").write_text(json.dumps({"lowercase": self.lowercase}), "utf-8")

    def load(self, folder: Path) -> None:
        self.lowercase = bool(json.loads((folder / "settings.json").read_text("utf-8"))["lowercase"])
        self._set_vocabulary(_lines(folder / "vocabulary.txt"))

    def _set_vocabulary(self, vocabulary: list[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self.start_id, self.end_id = vocabulary.index(SPECIAL[START]), vocabulary.index(SPECIAL[END])
        self.strings = tf.constant(self.vocabulary)
        # The op splits at white space, punctuation and Chinese characters too. It needs a token that is not special.
        self.tokenizer = tf_text.FastWordpieceTokenizer(
            [*vocabulary, NEVER], token_out_type=tf.int32, unknown_token=SPECIAL[UNKNOWN], no_pretokenization=False
        )

    def _normal(self, raw: tf.Tensor) -> tf.Tensor:
        text = tf.strings.regex_replace(tf.where(is_text(raw), raw, ""), BLANK, " ")
        text = tf.strings.regex_replace(text, INVISIBLE, "")
        if not self.lowercase:
            return nfc(text)
        text = tf.strings.regex_replace(tf_text.normalize_utf8(text, "NFD"), r"\p{Mn}", "")
        return lower(text)

    def _split(self, raw: tf.Tensor) -> tf.RaggedTensor:
        return self.tokenizer.tokenize(self._normal(raw))


def read_vocabulary(source: str) -> tuple[list[str], bool]:
    """Reads a vocabulary; returns its tokens and whether they are lower-cased.

    Args:
        source: A file, a folder, a preset's name, or `hf://...`.

    Raises:
        DataError: The vocabulary cannot be read, or is not one of a BERT model.
    """
    if Path(source).is_file():
        vocabulary, lowercase = _lines(Path(source)), True
    else:
        import keras_hub  # imported here because it takes seconds, and a reopened or served run does not need it

        from mmzoo_text.presets import load_preset

        try:
            tokenizer = load_preset(keras_hub.tokenizers.WordPieceTokenizer, source)
        except StreamError as error:
            raise DataError(f"the processor 'wordpiece' cannot read its vocabulary: {error}") from error
        vocabulary, lowercase = list(tokenizer.vocabulary), bool(tokenizer.lowercase)
    missing = [token for token in SPECIAL if token not in vocabulary]
    if missing:
        raise DataError(f"the vocabulary '{source}' has no {', '.join(missing)}. Give one of a BERT model.")
    if vocabulary.index(SPECIAL[PAD]) != PAD:
        raise DataError(f"the id of [PAD] in the vocabulary '{source}' is {vocabulary.index(SPECIAL[PAD])}, expected {PAD}.")
    return vocabulary, lowercase


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"the vocabulary '{path}' is not UTF-8 text.") from error
    return text.removesuffix("\n").split("\n")


def _learn(texts: tf.data.Dataset, size: int) -> list[str]:
    """Learns a vocabulary of at most `size` tokens from batches of cleaned texts."""
    from tensorflow_text.tools.wordpiece_vocab.bert_vocab_from_dataset import bert_vocab_from_dataset

    if not any(tf.reduce_any(tf.strings.strip(batch) != "").numpy() for batch in texts):
        return list(SPECIAL)
    # Each character takes two tokens, `x` and `##x`. That leaves a third of the vocabulary for longer ones.
    limits = {"lower_thresh": 1, "max_unique_chars": max(1, size // 3)}
    return bert_vocab_from_dataset(texts, size, list(SPECIAL), learn_params=limits)[:size]
