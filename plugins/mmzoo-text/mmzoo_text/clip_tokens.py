"""CLIP's byte pair encoding in the graph. KerasHub cuts texts there as GPT-2 does, and as CLIP does in eager mode alone."""

from typing import Any

import tensorflow as tf

from mmzoo_text.words import lower

SPACES = r"[\s\v\x{85}\pZ]+"
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|\pL+|\pN|[^\s\pL\pN]+"
"""Letters, a single digit, or other marks."""
CAPITALS = r"(^|[ \pL\pN])<\|(start|end)oftext\|>"
"""What is left of a start or an end token that was in capitals: plain text, which ends there."""
SPECIAL = ("\ufdd0", "\ufdd1")
"""What the start and the end token in a text are until it is cut: characters that Unicode keeps for such a use."""


def clip_ids(tokenizer: Any, text: tf.Tensor) -> tf.RaggedTensor:
    """Turns texts into the ids of a KerasHub `CLIPTokenizer`, `(batch, tokens)`, with its tables.

    Source: OpenAI's CLIP, `simple_tokenizer.py`, as in Hugging Face's `tokenizers`: NFC, lower case, `WORD`, byte pairs. The
    start and the end token in a text are special if they are in lower case.
    """
    words = _words((tokenizer.start_token, tokenizer.end_token), text)
    known = tokenizer.cache.lookup(words.flat_values)
    new = tf.boolean_mask(words.flat_values, known == "")

    def merged() -> tf.Tensor:
        tokenizer._bpe_merge_and_update_cache_tf(new)
        return tokenizer.cache.lookup(words.flat_values)

    pieces = tf.strings.split(tf.cond(tf.size(new) > 0, merged, lambda: known), " ")
    ids = tokenizer.token_to_id_map.lookup(pieces.flat_values)
    return tf.RaggedTensor.from_row_splits(ids, tf.gather(pieces.row_splits, words.row_splits))


def _words(tokens: tuple[str, str], text: tf.Tensor) -> tf.RaggedTensor:
    for token, character in zip(tokens, SPECIAL, strict=True):
        text = tf.strings.regex_replace(text, token.replace("|", r"\|"), character)
    text = lower(tf.strings.regex_replace(text, "Σ", "σ"))  # as letter by letter, without the form at the end of a word
    text = tf.strings.regex_replace(text, SPACES, " ")
    text = tf.strings.regex_replace(text, CAPITALS, r"\1<| \2oftext |> ")
    words = tf.strings.split(tf.strings.regex_replace(text, f"({'|'.join(SPECIAL)}|{WORD})", r" \1 "))
    return tf.ragged.map_flat_values(_with_tokens, words, tokens)


def _with_tokens(words: tf.Tensor, tokens: tuple[str, str]) -> tf.Tensor:
    for token, character in zip(tokens, SPECIAL, strict=True):
        words = tf.where(words == character, token, words)
    return words
