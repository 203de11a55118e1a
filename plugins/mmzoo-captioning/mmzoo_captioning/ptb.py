"""Penn Treebank tokenizer: text -> lower-case words, in any script. All caption metrics use it.

Follows the tokenizer of the COCO caption evaluation: Stanford CoreNLP 3.4.1, `PTBTokenizer -lowerCase`, then pycocoevalcap
removes a list of punctuation. "The man's dog can't bark!" -> the man 's dog ca n't bark. Brackets stay, as -lrb- and so on,
and so do sequences of marks such as ?!, because they are not in that list.

Intended differences:

- Chinese, Japanese, Thai, Lao, Khmer and Burmese characters are single words, because these scripts have no spaces between
  words. CoreNLP keeps a sequence of them as one word.
- Punctuation outside ASCII is removed like its ASCII equivalent, and a curly apostrophe becomes a straight one. CoreNLP leaves
  much of both unchanged.
- Emoji and other characters that CoreNLP drops as untokenisable are words.

Known limits: addresses, emoticons, mark-up and chains such as 10:30-11 or U.S.-based may be split in other places than by
CoreNLP's lexer. They are rare in captions.
"""

import regex

ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
"""Character classes of which each character is a word."""

_ABBREVIATIONS = r"""jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif colo conn ct
dak fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? wyo inc cos? corp ltd plc rt bancorp dept bhd
assn univ intl sys tel est ext sq ft [js]r bros blvd rd esq m[rs] mrs drs? profs? sens? reps? attys? lt col gen messrs govs?
adm rev maj sgt cpl pvt capt ste? ave pres lieut hon brig co?mdr pfc spc supts? det mt adj adv asst assoc ens insp mlle mme
msgr sfc etc vs al cf p bldg ph(?:\.d)? ed\.d [a-z](?:\.[a-z])*"""
_CAPITAL = "Az Ark Del Ill La Mass Miss Ore Pa Tex Wash"
"""Abbreviations that are ordinary words in lower case."""
_NUMBERED = "figs? nos? pp op ca art"
"""Words that are abbreviations only before a number."""


def _any(choices: str) -> str:
    return f"(?:{'|'.join(choices.split())})"


_L = rf"[[\p{{L}}\p{{M}}]--[{ALONE}]]"
"""A letter or a combining mark."""
_W = rf"[[\p{{L}}\p{{M}}\p{{Nd}}]--[{ALONE}]]"
"""A letter, a combining mark or a digit."""
_PATTERNS = (
    rf"[{ALONE}]\p{{M}}*",
    r"https?://[^\s<>\"()]*[^\s<>\"().,;:!?']",
    rf"\w[\w.]*@{_W}+(?:\.{_W}+)*",
    r"</?\p{L}\w*\s?/?>",
    # A full stop is part of an abbreviation; elsewhere it is punctuation.
    rf"(?i:{_any(_ABBREVIATIONS)})\.(?!{_L})",
    rf"(?:{_any(_CAPITAL)}|{_any(_CAPITAL.upper())})\.(?!{_L})",
    rf"(?i:{_any(_NUMBERED)})\.(?=\s*\d)",
    # Contractions: the first part matches up to the second, which is a separate word.
    r"(?i:can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b)|'t(?=is\b|was\b))",
    rf"(?:{_W}+-)*{_L}+?(?=(?i:n't)(?!{_W}))",
    rf"(?i:n't|'(?:s|d|m|ll|re|ve))(?!{_W})",
    # Words with an apostrophe.
    rf"(?i:'em|'till?|'cause|ol'|somethin'|ne'er|e'er|ma'am|c'mon|d'ye|d'you)(?!{_W})",
    rf"(?i:'n'|[yj]'(?={_L}))|(?<!\d)'\d\d[sS]?(?![\w:])",
    rf"(?:[dlno]|[A-HJ-XZ]|[Qq]u)'{_L}{{2,}}(?:-{_W}+)*",
    # Numbers, then words: joined by hyphens, slashes and underscores, and by a full stop between letters.
    rf"\d+(?:[.,:]\d+)*(?:[-‐‑]{_L}{_W}*)+",
    r"[-+]?\d+(?:[.,:]\d+)+",
    r"[A-Z]+(?:&[A-Z]+)+",
    rf"{_L}+(?:\.{_L}+)+(?:-{_W}+)*",
    rf"{_W}+(?:[-‐‑/_]{_W}+)*",
    # Punctuation.
    r"-{2,}|\.{2,}|[?!]{2,}|\*+|_+",
    r"[-+]?[.,:]?\d+",
    r"#\p{L}+|@[a-zA-Z_]\w*",
    r"(?=\S)\X",  # any other character; a joined emoji counts as one
)
_WORD = regex.compile("(?V1)" + "|".join(_PATTERNS))
_DROPPED = regex.compile(r"(?V1)[\p{Cc}\p{Cf}]+|\.+|-+|[\"'`,:;?!]|[\p{P}--\p{ASCII}]")
_REPLACED = {"\N{SOFT HYPHEN}": "", "’": "'", "½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 "}
_REPLACE = str.maketrans(_REPLACED)
_NAMES = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "£": "#", "€": "$", "¢": "cents"}


def words(text: str) -> list[str]:
    """Splits a text into lower-case words, without punctuation."""
    found = (match.group() for match in _WORD.finditer(text.replace("&amp;", "&").translate(_REPLACE)))
    return [_NAMES.get(word, word.lower()) for word in found if not _DROPPED.fullmatch(word)]
