"""Text -> ids by the tokenizer that a KerasHub preset comes with, whatever its kind, in graph ops that keep nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import keras
import keras_hub
import tensorflow as tf
from annotated_types import Ge

from mmzoo import PAD, DataError, FeatureSpec, Processed, Processor, StreamError, reason_of
from mmzoo_text.presets import load_preset
from mmzoo_text.words import is_text

KINDS = (keras_hub.models.TextClassifierPreprocessor, keras_hub.models.CausalLMPreprocessor)
"""Preprocessors of KerasHub that pack one text, in the order in which one is looked for."""
STATE = "tokenizer.json"


class PresetTokens(Processor):
    """Turns text into the ids that a KerasHub preset was trained on, by its own tokenizer.

    Byte pairs (GPT-2, RoBERTa, CLIP), SentencePiece (ALBERT, T5, XLM-RoBERTa, SigLIP) or word pieces (BERT): whatever the
    preset has. Text is prepared, and gets a start and an end, as the preset's own preprocessor does. Gives
    `(batch, sequence_length)`, int32.

    The ids are the vocabulary's plus one, so that PAD is none of them, for many a vocabulary has a piece at 0; the encoders
    `keras_hub` and `bert` take the one off again and pad as the preset does. A character that the vocabulary cannot spell is
    left out. Longer text is cut to its first pieces, counted in the build's output. Text that is not UTF-8 is a fault of its
    row. The tokenizer is kept in the run, so it is fetched once. A head cannot write in these ids.

    Args:
        preset: KerasHub preset such as `roberta_base_en`, `hf://...`, `kaggle://...`, a folder that KerasHub wrote, or a
            SentencePiece model in a file (`.model`, `.spm`), which ends a text with its `</s>` if it has one.
        sequence_length: Ids per text, start and end included.
    """

    modality = "text"

    def __init__(self, *, preset: str, sequence_length: Annotated[int, Ge(3)] = 32):
        super().__init__(name="preset_tokens")
        self.preset, self.sequence_length = preset, sequence_length
        self.size, self.pad = 0, 0
        self.start: list[int] = []
        self.end: list[int] = []

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.sequence_length], dtype="int32", vocabulary=self.size + 1, pad=self.pad)

    def adapt(self, values: tf.data.Dataset) -> None:
        self._take(_read(self.preset))
        room, texts, cut = self.sequence_length - len(self.start) - len(self.end), 0, 0
        for batch in values.batch(1024).map(self._split):
            lengths = batch.row_lengths().numpy()
            texts, cut = texts + len(lengths), cut + int((lengths > room).sum())
        self.note = f"{cut:,} of {texts:,} texts are longer than {room} pieces and are cut" if cut else ""

    def __call__(self, raw: tf.Tensor) -> Processed:
        pieces = self._split(raw)[:, : self.sequence_length - len(self.start) - len(self.end)]
        rows = pieces.nrows()
        first, last = (tf.tile(tf.constant([ids], tf.int32, [1, len(ids)]), [rows, 1]) for ids in (self.start, self.end))
        ids = tf.concat([first, pieces, last], axis=1) + 1
        return Processed(
            ids.to_tensor(PAD, shape=[None, self.sequence_length]), tf.where(is_text(raw), "", "this is no UTF-8 text")
        )

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError("a head cannot write in a given vocabulary: its ids of start and end are its own.")

    def save(self, folder: Path) -> None:
        (folder / STATE).write_text(json.dumps(keras.saving.serialize_keras_object(self.reader), indent=2), "utf-8")
        self.tokenizer.save_assets(str(folder))

    def load(self, folder: Path) -> None:
        reader = keras.saving.deserialize_keras_object(json.loads((folder / STATE).read_text("utf-8")))
        getattr(reader, "tokenizer", reader).load_assets(str(folder))
        self._take(reader)

    def _take(self, reader: Any) -> None:
        """Reads from now on as `reader` does, which is a preprocessor of KerasHub or a tokenizer without one."""
        self.reader, self.tokenizer = reader, getattr(reader, "tokenizer", reader)
        self.start, self.end, self.pad = _packing(reader, self.tokenizer)
        self.size = self.tokenizer.vocabulary_size()
        if hasattr(self.tokenizer, "cache"):
            self.tokenizer.cache = Forgetful(self.tokenizer.unsplittable_tokens or [])
        # KerasHub reads by other rules outside of a function.
        self.tokenize = tf.function(self.tokenizer.tokenize, [tf.TensorSpec([None], tf.string)], autograph=False)

    def _split(self, raw: tf.Tensor) -> tf.RaggedTensor:
        text = tf.where(is_text(raw), raw, "")
        if getattr(self.reader, "to_lower", False):  # of CLIP
            text = tf.strings.lower(text)
        if getattr(self.reader, "canonicalize_text", False):  # of SigLIP
            text = self.reader.canonicalize_inputs(text)
        pieces = self.tokenize(text)
        return tf.ragged.boolean_mask(pieces, pieces >= 0)


class Forgetful(tf.Module):
    """Stands where KerasHub keeps a table of all words that it has ever split, which in a server grows for ever.

    It hands what is inserted to the next look-up alone, which is how the tokenizer uses the table while a batch is read.

    Args:
        special: Tokens that are never split.
    """

    def __init__(self, special: list[str]):
        super().__init__()
        words = tf.constant(special, tf.string, [len(special)])
        self.special = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, words), "")
        self.split: Any = None

    def insert(self, words: tf.Tensor, split: tf.Tensor) -> None:
        """Takes how each word is split, `(words,)`."""
        self.split = split

    def lookup(self, words: tf.Tensor) -> tf.Tensor:
        """Gives how each word is split, `(words,)`; those that were inserted fill the places of all that are not special."""
        found, split = self.special.lookup(words), self.split
        self.split = None
        found.set_shape([None])
        return found if split is None else tf.tensor_scatter_nd_update(found, tf.where(found == ""), split)


def _read(source: str) -> Any:
    """Reads a preset's preprocessor, or its tokenizer if KerasHub has no preprocessor for it."""
    if Path(source).is_file():
        try:
            return keras_hub.tokenizers.SentencePieceTokenizer(Path(source).read_bytes())
        except Exception as error:
            raise DataError(f"'{source}' is no SentencePiece model: {reason_of(error)}") from error
    try:
        tokenizer = load_preset(keras_hub.tokenizers.Tokenizer, source)
        kind = next((one for base in KINDS for one in _children(base) if one.tokenizer_cls is type(tokenizer)), None)
        return tokenizer if kind is None else _preprocessor(kind, tokenizer, source)
    except StreamError as error:
        raise DataError(f"the processor 'preset_tokens' cannot read its tokenizer: {error}") from error


def _preprocessor(kind: Any, tokenizer: Any, source: str) -> Any:
    try:
        return kind.from_preset(source)
    except FileNotFoundError:  # a folder without what its preprocessor wants of pictures
        return kind(tokenizer=tokenizer)


def _children(kind: Any) -> Iterator[Any]:
    yield kind
    for child in kind.__subclasses__():
        yield from _children(child)


def _packing(reader: Any, tokenizer: Any) -> tuple[list[int], list[int], int]:
    """Finds the ids before a text, after it, and in what is left."""
    if reader is not tokenizer:
        reader.build(None)
        packer = reader.packer
        first, last = getattr(reader, "add_start_token", True), getattr(reader, "add_end_token", True)
        return (packer.start_value or []) if first else [], (packer.end_value or []) if last else [], packer.pad_value or 0
    start, end = (getattr(tokenizer, f"{name}_token_id", None) for name in ("start", "end"))
    if end is None and "</s>" in tokenizer.get_vocabulary():
        end = tokenizer.token_to_id("</s>")
    first, last = ([one] if one is not None else [] for one in (start if start != end else None, end))
    return first, last, getattr(tokenizer, "pad_token_id", None) or 0
