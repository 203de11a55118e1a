"""What the user can mend: one kind of error, and how its message is laid out.

An `MmzooError` is printed without a traceback and ends the command with exit code 2. Every other exception is a
bug of ours and keeps its traceback.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass


class MmzooError(Exception):
    """Something the user can mend; the text says where, what was found, what was expected and what to do."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a recipe.

    Args:
        where: The place, `file:line:column`.
        key: The dotted path of the value in the recipe, `encoders.image.type`; empty for the whole file.
        what: One sentence: what was found and what was expected.
        advice: What to do; empty when the sentence says it already.
    """

    where: str
    key: str
    what: str
    advice: str = ""

    def __str__(self) -> str:
        if self.key and self.where.endswith(f" {self.key}"):  # `--set train.epochs` says the key already
            place = f"{self.where}: "
        else:
            place = f"{self.where}  {self.key}: " if self.key else f"{self.where}  "
        return f"{place}{self.what}" + (f"\n  {self.advice}" if self.advice else "")


class RecipeError(MmzooError):
    """A recipe that cannot be built; holds every fault that was found, in the order of the file.

    Args:
        faults: At least one `Fault`.
    """

    def __init__(self, faults: Iterable[Fault]):
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class PluginError(MmzooError):
    """A plugin that breaks its contract, or two that offer one name."""


class StreamError(MmzooError):
    """Streams that do not fit the encoder, fusion or head they are given to."""


class DataError(MmzooError):
    """A data set that cannot be read, or rows in it that are unreadable."""


class RunError(MmzooError):
    """A run folder that is in the way, incomplete or cannot be written."""


class TrainingError(MmzooError):
    """Training that cannot go on: a loss that is no number, a backend that was chosen too late."""


class ExportError(MmzooError):
    """A model that a stock TF Serving could not serve, or that answers otherwise than the task."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Gives up to three of the known names which look most like `name`, best first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


RENAMED = {
    "accumulate": ("gradient_accumulation_steps",),
    "accumulate_contrastive": ("grad_cache_chunks",),
    "batch": ("batch_size",),
    "bias": ("logit_bias", "use_bias"),
    "clip": ("global_clipnorm",),
    "ema": ("ema_momentum",),
    "gives": ("output_mode",),
    "jit": ("jit_compile",),
    "largest": ("max_tokens",),
    "largest_scale": ("max_logit_scale",),
    "length": ("sequence_length",),
    "results": ("top_k",),
    "scale": ("logit_scale",),
    "size": ("vocabulary_size",),
    "stream_dropout": ("modality_dropout",),
}
"""Names that recipes had before -> what they are called now."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns the advice for an unknown name: its new name if it was renamed, or the nearest names; and all, up to twelve."""
    known = list(known)
    if new := [one for one in RENAMED.get(name, ()) if one in known]:
        return f"It is called {new[0]} now."
    near = nearest(name, known)
    parts = [f"Nearest: {', '.join(near)}."] if near else []
    if 0 < len(known) <= 12:
        parts.append(f"Known: {', '.join(known)}.")
    return " ".join(parts)


def reason_of(error: Exception) -> str:
    """Words in one sentence what a library raised: its first line, or which weight does not fit a model of Keras."""
    text = str(error)
    if shapes := re.search(r"variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))\..*?path=(\S+),", text, re.DOTALL):
        here, there, path = shapes.groups()
        return f"its weights do not fit the shape asked for: '{path}' is {there} among the weights and {here} in the model."
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    first = f"it lacks {first}" if isinstance(error, KeyError) else first
    return first if first.endswith(".") else f"{first}."
