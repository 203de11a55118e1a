"""The words that caption metrics count: equal to CoreNLP's, and the differences that are on purpose."""

import json
from pathlib import Path

import pytest
from mmzoo_captioning.ptb import words

TEXTS = json.loads(Path(__file__).with_name("pycocoevalcap.json").read_text("utf-8"))["texts"]


@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case["text"][:20])
def test_words_are_those_of_the_coco_evaluation(case):
    assert words(case["text"]) == case["words"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("woman ' s medium - dark hair", "woman 's medium dark hair"),  # CoreNLP: woman s medium dark hair
        ("at&t, Mass. and dr . C'est", "at&t mass and dr. c est"),  # CoreNLP: at & t mass. and dr c'est
        ("soft\u00adware e\u0301", "software é"),
        ("猫が、犬と遊ぶ！", "猫 が 犬 と 遊 ぶ"),  # CoreNLP: 猫が 、 犬と遊ぶ ！
        ("一只黑色的cat (大)", "一 只 黑 色 的 cat -lrb- 大 -rrb-"),
        ("ラーメン", "ラ ー メ ン"),
        ("เด็กเล่น", "เ ด็ ก เ ล่ น"),  # a vowel or tone stays on its letter
        ("¿Qué es? „Ja“ (مرحبا، كيف؟)", "qué es ja -lrb- مرحبا كيف -rrb-"),  # CoreNLP: ¿ qué es „ ja -lrb- مرحبا ، كيف ؟ -rrb-
        ("monstre de l’espace", "monstre de l'espace"),  # CoreNLP: l’espace
        ("a 👩🏽‍🍳 and a 🇳🇴", "a 👩🏽‍🍳 and a 🇳🇴"),  # CoreNLP: a and a
    ],
)
def test_words_differ_on_purpose(text, expected):
    assert words(text) == expected.split()


@pytest.mark.parametrize("text", ["", " \t\n", "...", "- -- ' \" , ; : ? !", "。、！", "\u200b\ufeff"])
def test_no_words(text):
    assert words(text) == []
