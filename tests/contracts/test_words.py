"""Where texts are cut: by hand, and the properties that processors and metrics rely on."""

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from mmzoo import split_words
from mmzoo.testing import HARD_TEXTS

ALPHABET = (
    "aZéß9 '’-._/&@#,:!?*+$\t\u00a0\u200b\u200c\u200d\u00ad红色スーｶﾞか\u3099。，ไน้ำ๓５🍕👩🏽🍳🇳🇴❤\ufe0f\u20e3م٫٣\u0301\u030cJ"
    "Σİक्षि\u17d2ក½²_(<〽＋\u200f"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A well-known   man's hat, please!", "a well-known man's hat , please !"),
        ("3.5 kg, 1,000.50 or -5 at 10:30 p.m.", "3.5 kg , 1,000.50 or -5 at 10:30 p.m ."),
        ("AT&T and/or a_b 50% C++ -x- #tag #1", "at&t and/or a_b 50 % c + + - x - #tag # 1"),
        ("me@x.com, http://a.b/c?d=1. Wait... what?!", "me@x.com , http://a.b/c?d=1 . wait ... what ?!"),
        ("👩🏽‍🍳🍕🇳🇴🇩🇪5️⃣*️⃣❤️‍🔥", "👩🏽‍🍳 🍕 🇳🇴 🇩🇪 5️⃣ *️⃣ ❤️‍🔥"),
        ("红色 ok。เด็กน้ำ ๓.๕", "红 色 ok 。 เ ด็ ก น้ำ ๓.๕"),
        ("E\u0301te\u0301 J\u030c ΟΔΟΣ", "été ǰ οδος"),
        ("soft\u00adware zero\u200bwidth nul\x00end می\u200cخواهم", "software zero width nul end می\u200cخواهم"),
        (" \t\n", ""),
    ],
)
def test_words_by_hand(text, words):
    assert split_words(text) == words.split()


@settings(max_examples=300, deadline=None)
@given(st.text(ALPHABET, max_size=14))
def test_words_are_stable_and_blind_to_unicode_forms(text):
    words = split_words(text)
    assert split_words(" ".join(words)) == words
    assert split_words(unicodedata.normalize("NFD", text)) == words


@pytest.mark.parametrize("name", HARD_TEXTS)
def test_no_word_begins_within_a_character(name):
    words = split_words(HARD_TEXTS[name])
    starts = {sum(map(len, words[:place])) + place for place in range(len(words))}
    assert starts <= {cluster.start() for cluster in regex.finditer(r"\X", " ".join(words))}
