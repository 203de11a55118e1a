"""What every processor and encoder of text must hold."""

import pytest

from mmzoo.testing import EncoderCase, ProcessorCase, conformance, features

pytestmark = pytest.mark.slow

TEXTS = ["a red square", "A well-known   man's hat, please!", "", "blue " * 9, "Fußgänger überquert", "红色的方块", "مربع أحمر"]
LABELS = ["dog", "cat", "dog", "a red square", "مربع"]
IDS = features(5, dtype="int32", vocabulary=20)
BLOCKS = {"dim": 8, "depth": 1, "heads": 2, "dropout": 0.1}
CELLS = {"dim": 5, "units": 6}

test_conformance = conformance(
    ProcessorCase("words", TEXTS, options={"sequence_length": 9}),
    ProcessorCase("words", TEXTS, options={"sequence_length": 9, "min_count": 2}, exact=False, label="rare"),
    ProcessorCase("words", TEXTS, options={"sequence_length": 24, "unit": "characters"}, exact=False, label="characters"),
    ProcessorCase("label", LABELS, bad=["", b"\xff"]),
    ProcessorCase(
        "label",
        LABELS,
        exact=False,
        options={"max_tokens": 1},
        skip={"features": "rare labels have no number"},
        label="largest",
    ),
    ProcessorCase(
        "label",
        [["cat", "dog"], ["dog"]],
        bad=[[""], [b"\xff"]],
        exact=False,
        options={"output_mode": "shares"},
        label="shares",
    ),
    ProcessorCase("wordpiece", TEXTS, options={"sequence_length": 20, "vocabulary_size": 200}),
    ProcessorCase(
        "wordpiece", TEXTS, options={"sequence_length": 20, "vocabulary_size": 60, "start": False}, exact=False, label="rare"
    ),
    EncoderCase("bert", IDS, options=BLOCKS),
    EncoderCase("bert", IDS, options=BLOCKS | {"pool": "none", "depth": 2}, label="states"),
    EncoderCase("text_transformer", IDS, options=BLOCKS),
    EncoderCase(
        "text_transformer", IDS, options=BLOCKS | {"pool": "none", "depth": 2, "activation": "gelu", "mlp": 12}, label="states"
    ),
    EncoderCase("gru", IDS, options=CELLS),
    EncoderCase(
        "gru", IDS, options=CELLS | {"pool": "none", "depth": 2, "bidirectional": True, "dropout": 0.1}, label="states"
    ),
    EncoderCase("lstm", IDS, options=CELLS),
    EncoderCase(
        "lstm",
        IDS,
        options=CELLS | {"pool": "none", "depth": 2, "bidirectional": True, "merge": "concatenate"},
        label="concatenated",
    ),
)
