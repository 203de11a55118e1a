"""Names that a recipe gives: to its run, to the recipes that it needs and to its inputs. Light."""

import re
from keyword import iskeyword
from unicodedata import normalize

NAME = r"[^\x00-/:-@\[-`{-\x7f\s][^\x00-,/:-@\[-^`{-\x7f\s]*"
"""Pattern of a name that becomes a folder: of the run, of a needed recipe. It leaves out ASCII's signs one by one, since
`\\w` is ASCII alone in a JSON schema."""
LONGEST = 80
"""The most bytes of a name. A folder's has 255, and mmzoo adds to it."""

TAKEN = {
    "ok": "every signature says which rows it could read",
    "reason": "every signature says why a row cannot be read",
    "references": "metrics find the expected values",
    "step": "losses find the number of the step",
    **dict.fromkeys(("self", "signature"), "`Model.predict` has a parameter"),
    **dict.fromkeys(("help", "json"), "`mmzoo predict` has an option"),
}
"""Names that an input cannot have -> what is found under the name."""


def fault_of_name(name: object) -> tuple[str, str] | None:
    """Returns what is wrong with the name of a run or of a needed recipe, and what to do; None for a good name."""
    if isinstance(name, str) and re.fullmatch(NAME, name) and _is_short(name):
        return None
    return (
        f"expected a name of letters, digits, '.', '_' and '-', received {_shortened(name)}.",
        "It becomes the name of the run's folder.",
    )


def fault_of_input_name(name: str) -> tuple[str, str] | None:
    """Returns what is wrong with the name of an input, and what to do; None for a good name.

    The name becomes a folder of the run, an option of `mmzoo predict`, a parameter of `Model.predict` and an input of the
    served signatures. Letters of any script are letters.
    """
    if name in TAKEN:
        return f"an input cannot have this name: {TAKEN[name]} under it.", "Give the input another name."
    if not name.isidentifier() or name.startswith("_") or iskeyword(name) or not _is_short(name):
        what = f"expected a name of letters, digits and '_' that begins with a letter, received {_shortened(name)}."
        return what, "It cannot be a keyword of Python." if iskeyword(name) else ""
    if normalize("NFC", name) != name:
        return f"expected a name in Unicode's normal form C, received {name!a}.", f"Write {normalize('NFC', name)!a}."
    return None


def _is_short(name: str) -> bool:
    return len(name.encode()) <= LONGEST


def _shortened(name: object) -> str:
    return repr(name) if len(repr(name)) <= LONGEST else f"{repr(name)[:LONGEST]}... (at most {LONGEST} bytes)"
