"""Penn Treebank tokenizer: text -> lower-case words, in any script. All caption metrics use it.

A text is first cut where the processor `words` cuts it (`mmzoo.split_words`), and then further. So a text and what is decoded
from it have the same words.

Follows the tokenizer of the COCO caption evaluation: Stanford CoreNLP 3.4.1, `PTBTokenizer -lowerCase`, then pycocoevalcap
removes a list of punctuation. "The man's dog can't bark!" -> the man 's dog ca n't bark. Brackets stay, as -lrb- and so on,
and so do sequences of marks such as ?!, because they are not in that list.

Intended differences:

- Case does not matter, as in AT&T and in the abbreviations of states, since answers are in lower case. Nor do spaces before the
  full stop of an abbreviation and after the apostrophe of a contraction (dr . and ' s).
- Chinese, Japanese, Thai, Lao, Khmer and Burmese characters are single words, because these scripts have no spaces between
  words. CoreNLP keeps a sequence of them as one word.
- Soft hyphens and marks of direction are left out, and texts are in Unicode's normal form C.
- Punctuation outside ASCII is removed like its ASCII equivalent, and a curly apostrophe becomes a straight one. CoreNLP leaves
  much of both unchanged.
- Emoji and other characters that CoreNLP drops as untokenisable are words.

Known limits: addresses, emoticons, mark-up and chains such as 10:30-11 or U.S.-based may be split in other places than by
CoreNLP's lexer. They are rare in captions.
"""

import regex

from mmzoo import UNSPACED_LETTERS, split_words

_ABBREVIATIONS = r"""jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif colo conn ct
dak fla ga ind kans? ky md mich minn mo mont neb nev okla penn tenn va vt wisc? wyo inc cos? corp ltd plc rt bancorp dept bhd
assn univ intl sys tel est ext sq ft [js]r bros blvd rd esq m[rs] mrs drs? profs? sens? reps? attys? lt col gen messrs govs?
adm rev maj sgt cpl pvt capt ste? ave pres lieut hon brig co?mdr pfc spc supts? det mt adj adv asst assoc ens insp mlle mme
msgr sfc etc vs al cf p bldg ph(?:\.d)? ed\.d [a-z](?:\.[a-z])*"""
_NUMBERED = "figs? nos? pp op ca art"
"""Words that are abbreviations only before a number."""


def _any(choices: str) -> str:
    return f"(?:{'|'.join(choices.split())})"


_L = rf"[[\p{{L}}\p{{M}}]--[{UNSPACED_LETTERS}]]"
"""A letter or a combining mark."""
_W = rf"[[\p{{L}}\p{{M}}\p{{Nd}}]--[{UNSPACED_LETTERS}]]"
"""A letter, a combining mark or a digit."""
_PATTERNS = (
    rf"[{UNSPACED_LETTERS}][\p{{M}}\u0e33\u0eb3]*",
    r"https?://[^\s<>\"()]*[^\s<>\"().,;:!?']",
    rf"\w[\w.]*@{_W}+(?:\.{_W}+)*",
    # A full stop is part of an abbreviation; elsewhere it is punctuation.
    rf"{_any(_ABBREVIATIONS)} ?\.(?!{_L})",
    rf"{_any(_NUMBERED)} ?\.(?= ?\d)",
    # Contractions: the first part matches up to the second, which is a separate word.
    r"can(?=not\b)|gon(?=na\b)|got(?=ta\b)|wan(?=na\b)|gim(?=me\b)|lem(?=me\b)|' ?t(?=is\b|was\b)",
    rf"(?:{_W}+-)*{_L}+?(?=n't(?!{_W}))",
    rf"(?:n't|' ?(?:s|d|m|ll|re|ve))(?!{_W})",
    # Words with an apostrophe.
    rf"(?:' ?em|' ?till?|' ?cause|ol ?'|somethin ?'|ne'er|e'er|ma'am|c'mon|d'ye|d'you)(?!{_W})",
    rf"' ?n ?'|[yj]'(?={_L})|(?<!\d ?)' ?\d\ds?(?![\w:])",
    rf"(?:[dlno]|qu)'{_L}{{2,}}(?:-{_W}+)*",
    # Numbers, then words: joined by hyphens, slashes and underscores, and by a full stop between letters.
    rf"\d+(?:[.,:]\d+)*(?:[-‐‑]{_L}{_W}*)+",
    r"[-+]?\d+(?:[.,:٫٬]\d+)+",
    rf"{_L}+(?:&{_L}+)+",
    rf"{_L}+(?:\.{_L}+)+(?:-{_W}+)*",
    rf"{_W}+(?:[-‐‑/_]{_W}+)*",
    # Punctuation.
    r"-{2,}|\.{2,}|[?!]{2,}|\*+|_+",
    r"[-+]?[.,:]?\d+",
    r"#\p{L}+|@[a-z_]\w*",
    r"(?=\S)\X",  # any other character; a joined emoji counts as one
)
_WORD = regex.compile("(?V1)" + "|".join(_PATTERNS))
_DROPPED = regex.compile(r"(?V1)[\p{Cc}\p{Cf}]+|\.+|-+|[\"'`,:;?!]|[\p{P}--\p{ASCII}]")
_REPLACE = str.maketrans({"’": "'", "½": " 1/2 ", "¼": " 1/4 ", "¾": " 3/4 ", "⅓": " 1/3 ", "⅔": " 2/3 "})
_NAMES = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", "£": "#", "€": "$", "¢": "cents"}


def words(text: str) -> list[str]:
    """Splits a text into lower-case words, without punctuation."""
    text = " ".join(split_words(text)).replace("& amp ;", "&").translate(_REPLACE)
    found = (match.group().replace(" ", "") for match in _WORD.finditer(text))
    return [_NAMES.get(word, word) for word in found if not _DROPPED.fullmatch(word)]
