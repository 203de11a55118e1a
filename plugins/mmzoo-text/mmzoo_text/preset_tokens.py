"""Text -> ids by the tokenizer of a KerasHub preset, of any kind, with graph ops that hold no growing state."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import keras
import keras_hub
import tensorflow as tf
from annotated_types import Ge

from mmzoo import PAD, DataError, FeatureSpec, Preset, Processed, Processor, StreamError, reason_of
from mmzoo_text.clip_tokens import clip_ids
from mmzoo_text.presets import load_preset
from mmzoo_text.sentence_piece import SentencePieceModel
from mmzoo_text.words import is_text, lower, nfc

KINDS = (keras_hub.models.TextClassifierPreprocessor, keras_hub.models.CausalLMPreprocessor)
"""KerasHub preprocessors that read a single text, in the order in which they are tried."""
STATE = "tokenizer.json"


class PresetTokens(Processor):
    """Turns text into ids by the tokenizer of a KerasHub preset.

    Supports byte pair encoding (GPT-2, RoBERTa, CLIP), SentencePiece (ALBERT, T5, XLM-RoBERTa, SigLIP) and WordPiece (BERT).
    Text is normalised and gets start and end tokens as in the preset's own preprocessor. Returns `(batch, sequence_length)`,
    int32.

    The ids are those of the vocabulary plus one, so that none of them equals PAD: many vocabularies have a token with id 0. The
    encoders `keras_hub` and `bert` subtract the one again and pad as the preset does. A character that the vocabulary cannot
    represent is dropped. Longer text is cut; the build's output says how many texts were cut. Texts are read in
    Unicode's normal form C. Text that is not UTF-8 is a fault of its row, and so is a NUL character where TensorFlow Text would
    end the text at it (GPT-2, RoBERTa). The tokenizer is saved in the run, so it is fetched only once. A head cannot generate
    text in these ids.

    Args:
        preset: KerasHub preset such as `roberta_base_en`, `hf://...`, `kaggle://...`, a folder that KerasHub wrote, or a
            SentencePiece model file (`.model`, `.spm`). With a model file, texts end with `</s>` if the model has it.
        sequence_length: Ids per text, start and end tokens included.
    """

    modality = "text"

    def __init__(self, *, preset: Preset, sequence_length: Annotated[int, Ge(3)] = 32):
        super().__init__(name="preset_tokens")
        self.preset, self.sequence_length = preset, sequence_length
        self.vocabulary_size, self.pad = 0, 0
        self.start: list[int] = []
        self.end: list[int] = []

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.sequence_length], dtype="int32", vocabulary=self.vocabulary_size + 1, pad=self.pad)

    def adapt(self, values: tf.data.Dataset) -> None:
        self._use(_read(self.preset))
        room, texts, cut = self.sequence_length - len(self.start) - len(self.end), 0, 0
        for batch in values.batch(1024).map(self._split):
            lengths = batch.row_lengths().numpy()
            texts, cut = texts + len(lengths), cut + int((lengths > room).sum())
        self.note = f"{cut:,} of {texts:,} texts are longer than {room} tokens and are cut" if cut else ""

    def __call__(self, raw: tf.Tensor) -> Processed:
        tokens = self._split(raw)[:, : self.sequence_length - len(self.start) - len(self.end)]
        rows = tokens.nrows()
        first, last = (tf.tile(tf.constant([ids], tf.int32, [1, len(ids)]), [rows, 1]) for ids in (self.start, self.end))
        ids = tf.concat([first, tokens, last], axis=1) + 1
        return Processed(ids.to_tensor(PAD, shape=[None, self.sequence_length]), self._fault(raw))

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError("a head cannot generate in a given vocabulary: its start and end ids differ from mmzoo's.")

    def save(self, folder: Path) -> None:
        (folder / STATE).write_text(json.dumps(keras.saving.serialize_keras_object(self.reader), indent=2), "utf-8")
        self.tokenizer.save_assets(str(folder))

    def load(self, folder: Path) -> None:
        reader = keras.saving.deserialize_keras_object(json.loads((folder / STATE).read_text("utf-8")))
        getattr(reader, "tokenizer", reader).load_assets(str(folder))
        self._use(reader)

    def _use(self, reader: Any) -> None:
        """Sets the tokenizer. `reader` is a KerasHub preprocessor, or a tokenizer that has no preprocessor."""
        self.reader, self.tokenizer = reader, getattr(reader, "tokenizer", reader)
        self.start, self.end, self.pad = _packing(reader, self.tokenizer)
        self.vocabulary_size = self.tokenizer.vocabulary_size()
        if hasattr(self.tokenizer, "cache"):
            self.tokenizer.cache = OneBatchCache(self.tokenizer.unsplittable_tokens or [])
        if isinstance(self.tokenizer, keras_hub.tokenizers.SentencePieceTokenizer):
            self.tokenizer._sentence_piece._model_resource = SentencePieceModel(self.tokenizer.proto)
        is_clip = isinstance(self.tokenizer, keras_hub.tokenizers.CLIPTokenizer)
        self.cuts_at_nul = isinstance(self.tokenizer, keras_hub.tokenizers.BytePairTokenizer) and not is_clip
        tokenize = partial(clip_ids, self.tokenizer) if is_clip else self.tokenizer.tokenize
        # In a tf.function, because KerasHub tokenizes differently in eager mode.
        self.tokenize = tf.function(tokenize, [tf.TensorSpec([None], tf.string)], autograph=False)

    def _fault(self, raw: tf.Tensor) -> tf.Tensor:
        fault = tf.where(is_text(raw), "", "this is not UTF-8 text")
        if not self.cuts_at_nul:
            return fault
        return tf.where(tf.strings.regex_full_match(raw, "(?s).*\x00.*"), "this text holds a NUL character", fault)

    def _split(self, raw: tf.Tensor) -> tf.RaggedTensor:
        text = nfc(tf.where(self._fault(raw) == "", raw, ""))
        if getattr(self.reader, "canonicalize_text", False):  # SigLIP; KerasHub lower-cases A to Z alone
            text = self.reader.canonicalize_inputs(lower(text))
        tokens = self.tokenize(text)
        return tf.ragged.boolean_mask(tokens, tokens >= 0)


class OneBatchCache(tf.Module):
    """Replaces KerasHub's cache of all words ever split, which would grow without bound in a server.

    It returns inserted words in the next lookup only. That is how the tokenizer uses its cache while it reads a batch.

    Args:
        special: Tokens that are never split.
    """

    def __init__(self, special: list[str]):
        super().__init__()
        words = tf.constant(special, tf.string, [len(special)])
        self.special = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, words), "")
        self.split: Any = None

    def insert(self, words: tf.Tensor, split: tf.Tensor) -> None:
        """Stores how each word is split, `(words,)`."""
        self.split = split

    def lookup(self, words: tf.Tensor) -> tf.Tensor:
        """Returns how each word is split, `(words,)`: special tokens as they are, the others as inserted before."""
        found, split = self.special.lookup(words), self.split
        self.split = None
        found.set_shape([None])
        return found if split is None else tf.tensor_scatter_nd_update(found, tf.where(found == ""), split)


def _read(source: str) -> Any:
    """Loads a preset's preprocessor, or its tokenizer if KerasHub has no preprocessor for it."""
    if Path(source).is_file():
        try:
            return keras_hub.tokenizers.SentencePieceTokenizer(Path(source).read_bytes())
        except Exception as error:
            raise DataError(f"'{source}' is not a SentencePiece model: {reason_of(error)}") from error
    try:
        tokenizer = load_preset(keras_hub.tokenizers.Tokenizer, source)
        kind = next((cls for base in KINDS for cls in _subclasses(base) if cls.tokenizer_cls is type(tokenizer)), None)
        return tokenizer if kind is None else _preprocessor(kind, tokenizer, source)
    except StreamError as error:
        raise DataError(f"the processor 'preset_tokens' cannot read its tokenizer: {error}") from error


def _preprocessor(kind: Any, tokenizer: Any, source: str) -> Any:
    try:
        return kind.from_preset(source)
    except FileNotFoundError:  # the folder has no image converter, which the preprocessor needs
        return kind(tokenizer=tokenizer)


def _subclasses(kind: Any) -> Iterator[Any]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def _packing(reader: Any, tokenizer: Any) -> tuple[list[int], list[int], int]:
    """Returns the ids of the start tokens, of the end tokens and of padding."""
    if reader is not tokenizer:
        reader.build(None)
        packer = reader.packer
        first, last = getattr(reader, "add_start_token", True), getattr(reader, "add_end_token", True)
        return (packer.start_value or []) if first else [], (packer.end_value or []) if last else [], packer.pad_value or 0
    start, end = (getattr(tokenizer, f"{name}_token_id", None) for name in ("start", "end"))
    if end is None and "</s>" in tokenizer.get_vocabulary():
        end = tokenizer.token_to_id("</s>")
    first, last = ([token] if token is not None else [] for token in (start if start != end else None, end))
    return first, last, getattr(tokenizer, "pad_token_id", None) or 0
