"""Words: where a text is cut, in one definition for TensorFlow graphs and for Python. Light: imports no TensorFlow.

A processor cuts by it in the graph, a metric in Python, so that a right answer scores as right. The patterns are in the syntax
that RE2, TensorFlow's engine of regular expressions, shares with the package `regex`.
"""

import unicodedata

import regex

UNSPACED_LETTERS = (
    "\\p{Han}\\p{Hiragana}\\p{Katakana}ー"
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf\u1780-\u17b3\u17d7\u17dc"
    "\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081\u108e"
    "\ua9e0-\ua9e4\ua9e6-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa76\uaa7a\uaa7e\uaa7f"
)
"""Character classes of the letters of scripts without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese."""
_MARKS = "\\pM\u200c\u200d\uff9e\uff9f\u0e33\u0eb3"
"""Character classes of what belongs to the character before it: accents, vowel signs, joiners, half-width voicing marks."""
_PICTURE = "[^\\PS+]|[\U0001f000-\U0001fbff]"  # by numbers, too, because an emoji may be newer than an engine's tables
_EMOJI = (
    f"[\U0001f1e6-\U0001f1ff]{{2}}[{_MARKS}]*"  # a flag
    f"|(?:{_PICTURE})(?:\u200d(?:{_PICTURE})|[{_MARKS}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f])*"  # skin tones and tags
)
_URL = r"https?://[^ <>\"()]*[^ <>\"().,;:!?']"
_INNER = "\\-‐‑'’/_&@.,:٫٬#?!*+"  # marks that may be inside a word, or make one with others
_LETTERS = f"[^ {_INNER}]+"  # and digits
_PART = rf"(?:\p{{Nd}}+(?:[.,:٫٬]\p{{Nd}}+)+(?:{_LETTERS})?|{_LETTERS}(?:\.{_LETTERS})*)"

WORD_SPACING = (
    ("[\u00ad\u061c\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]+", ""),  # soft hyphens, marks of direction
    ("[\\pZ\\p{Cc}\u200b\ufeff]+", " "),
    (f" ([{_MARKS}])", r"\1"),  # a mark belongs to a character
)
"""What is replaced, and by what, before a text is lower-cased, normalised (NFC) and cut."""
_NUMBER = rf"(?:[-+]\.?|\.)\p{{Nd}}+(?:[.,:٫٬]\p{{Nd}}+)*(?:{_LETTERS})?"
_TAG = rf"[#@][^ {_INNER}\pM\pN](?:[^ {_INNER}]|_)*"
_JOINED = rf"{_PART}(?:[-‐‑'’/_&@]{_PART})*"
_RUN = rf"(?:-{{2,}}|\.{{2,}}|[?!]{{2,}}|\*+|_+)[{_MARKS}]*"
WORD_CUTS = (
    (rf"({_URL}|{_EMOJI}|[{UNSPACED_LETTERS}][{_MARKS}]*|[^\PP{_INNER}][{_MARKS}]*)", r" \1 "),
    (rf"({_URL}|{_NUMBER}|{_TAG}|{_JOINED}|{_RUN}|[^ ][{_MARKS}]*)", r" \1 "),
)
"""What is replaced, and by what, to put spaces between words: first around emoji, `UNSPACED_LETTERS` and marks that are never
inside a word. In two steps, because RE2 has too little memory for one."""
GRAPHEME = f"{_EMOJI}|.[{_MARKS}]*"
"""What a reader sees as one character, or a space."""
UNSPACED = f"[{UNSPACED_LETTERS}、。〃〈-】〔-〟！＂％-＊，．／：；？＠［-］｛｝-･][{_MARKS}]*"
"""What is followed by no space where words are joined: one of `UNSPACED_LETTERS`, or Chinese and Japanese punctuation."""


def split_words(text: str) -> list[str]:
    """Cuts a text into words, in lower case and NFC. Joined by spaces, they are cut in the same places again.

    A word is letters and digits, also joined as in `medium-dark`, `don't`, `3.5`, `10:30`, `p.m`, `and/or`, `AT&T`; an emoji
    with its joiners and skin tones; a Chinese, Japanese, Thai, Lao, Khmer or Burmese character with its marks; an address; a
    run such as `?!` or `...`; any other mark or symbol.

    The processor `words` cuts the same in its graph. So a metric that counts these words, or cuts them further one by one,
    finds in a decoded answer what it finds in the original text.

    Args:
        text: Any text. Spaces, line ends and control characters separate words; soft hyphens and marks of direction are left
            out.
    """
    for pattern, replacement in WORD_SPACING:
        text = regex.sub(pattern, replacement, text)
    text = unicodedata.normalize("NFC", text.lower())
    for pattern, replacement in WORD_CUTS:
        text = regex.sub(pattern, replacement, text)
    return text.split()
