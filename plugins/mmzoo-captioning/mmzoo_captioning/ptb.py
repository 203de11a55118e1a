"""Text -> lower-case words as the Penn Treebank splits them: what the caption metrics count, in any script.

Follows the tokeniser of the COCO caption evaluation (Stanford CoreNLP 3.4.1, `PTBTokenizer -lowerCase`, then pycocoevalcap's
list of punctuation taken out): "The man's dog can't bark!" -> the man 's dog ca n't bark. Brackets stay as -lrb- and so on,
and so do marks in a row such as ?!, because that list does not hold them.

Where it differs on purpose:

- Chinese, Japanese, Thai, Lao, Khmer and Burmese characters are words of their own, as nothing parts words there; CoreNLP
  keeps a run of them whole.
- Punctuation outside ASCII is taken out as its ASCII kin is, and a curly apostrophe is a straight one; CoreNLP leaves much of
  both as it is.
- Emoji and other characters that CoreNLP drops as untokenisable are words.

And where it is shorter than CoreNLP's lexer: addresses, emoticons, mark-up and chains such as 10:30-11 or U.S.-based may be
parted in other places. Captions hardly hold any.
"""

import regex

ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
"""Characters which are words by themselves."""

_ABBREVIATIONS = r"""jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif colo conn ct
dak fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? wyo inc cos? corp ltd plc rt bancorp dept bhd
assn univ intl sys tel est ext sq ft [js]r bros blvd rd esq m[rs] mrs drs? profs? sens? reps? attys? lt col gen messrs govs?
adm rev maj sgt cpl pvt capt ste? ave pres lieut hon brig co?mdr pfc spc supts? det mt adj adv asst assoc ens insp mlle mme
msgr sfc etc vs al cf p bldg ph(?:\.d)? ed\.d [a-z](?:\.[a-z])*"""
_CAPITAL = "Az Ark Del Ill La Mass Miss Ore Pa Tex Wash"
"""Abbreviations that are other words in small letters."""
_NUMBERED = "figs? nos? pp op ca art"
"""Abbreviations only before a number."""


def _any(choices: str) -> str:
    return f"(?:{'|'.join(choices.split())})"


_L = rf"[[\p{{L}}\p{{M}}]--[{ALONE}]]"
"""A letter, or a mark on one."""
_W = rf"[[\p{{L}}\p{{M}}\p{{Nd}}]--[{ALONE}]]"
"""A letter or a digit."""
_PATTERNS = (
    rf"[{ALONE}]\p{{M}}*",
    r"https?://[^\s<>\"()]*[^\s<>\"().,;:!?']",
    rf"\w[\w.]*@{_W}+(?:\.{_W}+)*",
    r"</?\p{L}\w*\s?/?>",
    # A full stop belongs to an abbreviation, elsewhere it is a mark.
    rf"(?i:{_any(_ABBREVIATIONS)})\.(?!{_L})",
    rf"(?:{_any(_CAPITAL)}|{_any(_CAPITAL.upper())})\.(?!{_L})",
    rf"(?i:{_any(_NUMBERED)})\.(?=\s*\d)",
    # Contractions: the first half leaves the second to be a word of its own.
    r"(?i:can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b)|'t(?=is\b|was\b))",
    rf"(?:{_W}+-)*{_L}+?(?=(?i:n't)(?!{_W}))",
    rf"(?i:n't|'(?:s|d|m|ll|re|ve))(?!{_W})",
    # Words with an apostrophe in them.
    rf"(?i:'em|'till?|'cause|ol'|somethin'|ne'er|e'er|ma'am|c'mon|d'ye|d'you)(?!{_W})",
    rf"(?i:'n'|[yj]'(?={_L}))|(?<!\d)'\d\d[sS]?(?![\w:])",
    rf"(?:[dlno]|[A-HJ-XZ]|[Qq]u)'{_L}{{2,}}(?:-{_W}+)*",
    # Numbers, then words: hyphens, slashes and lines below join, and so does a full stop between letters.
    rf"\d+(?:[.,:]\d+)*(?:[-‐‑]{_L}{_W}*)+",
    r"[-+]?\d+(?:[.,:]\d+)+",
    r"[A-Z]+(?:&[A-Z]+)+",
    rf"{_L}+(?:\.{_L}+)+(?:-{_W}+)*",
    rf"{_W}+(?:[-‐‑/_]{_W}+)*",
    # Marks.
    r"-{2,}|\.{2,}|[?!]{2,}|\*+|_+",
    r"[-+]?[.,:]?\d+",
    r"#\p{L}+|@[a-zA-Z_]\w*",
    r"(?=\S)\X",  # any other character; a joined emoji is one
)
_WORD = regex.compile("(?V1)" + "|".join(_PATTERNS))
_DROPPED = regex.compile(r"(?V1)[\p{Cc}\p{Cf}]+|\.+|-+|[\"'`,:;?!]|[\p{P}--\p{ASCII}]")
_SPELT = {"\N{SOFT HYPHEN}": "", "’": "'", "½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 "}
_BEFORE = str.maketrans(_SPELT)
_NAMES = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "£": "#", "€": "$", "¢": "cents"}


def words(text: str) -> list[str]:
    """Splits a text into lower-case words; marks of punctuation are left out."""
    found = (match.group() for match in _WORD.finditer(text.replace("&amp;", "&").translate(_BEFORE)))
    return [_NAMES.get(word, word.lower()) for word in found if not _DROPPED.fullmatch(word)]
