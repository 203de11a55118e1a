"""What every processor and encoder of text must hold."""

from mmzoo.testing import ProcessorCase, conformance

TEXTS = ["a red square", "A well-known   man's hat, please!", "", "blue " * 9, "Fußgänger überquert", "红色的方块", "مربع أحمر"]

test_conformance = conformance(
    ProcessorCase("words", TEXTS, options={"length": 9}),
    ProcessorCase("words", TEXTS, options={"length": 9, "min_count": 2}, exact=False, label="rare"),
    ProcessorCase("words", TEXTS, options={"length": 24, "unit": "characters"}, exact=False, label="characters"),
)
