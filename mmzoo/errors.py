"""Errors that the user can fix, and the layout of their messages.

The command line prints an `MmzooError` without a traceback and ends with exit code 2. Every other exception is a bug in
mmzoo and keeps its traceback.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class MmzooError(Exception):
    """An error that the user can fix. Its text says where it is, what was found, what was expected and what to do."""


@dataclass(frozen=True)
class Fault:
    """One mistake in a recipe.

    Args:
        where: Its place, `file:line:column`.
        key: The dotted key of the value in the recipe, `encoders.image.type`; empty for the whole file.
        what: One sentence: what was found and what was expected.
        advice: What to do; empty if `what` says it already.
    """

    where: str
    key: str
    what: str
    advice: str = ""

    def __str__(self) -> str:
        if self.key and self.where.endswith(f" {self.key}"):  # `--set train.epochs` names the key already
            place = f"{self.where}: "
        else:
            place = f"{self.where}  {self.key}: " if self.key else f"{self.where}  "
        return f"{place}{self.what}" + (f"\n  {self.advice}" if self.advice else "")


class RecipeError(MmzooError):
    """A recipe that cannot be built, with every fault found, in the order of the file.

    Args:
        faults: At least one `Fault`.
    """

    def __init__(self, faults: Iterable[Fault]):
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class PluginError(MmzooError):
    """A plugin that cannot be loaded or breaks its contract, or a name that several plugins or none offer."""


class StreamError(MmzooError):
    """Features or streams that an encoder, fusion or head cannot work with."""


class DataError(MmzooError):
    """A data set, or rows of it, that cannot be read."""


class RunError(MmzooError):
    """A run folder that exists already, is incomplete or cannot be written."""


class TrainingError(MmzooError):
    """Training that cannot continue: a loss that is NaN or infinite, too few devices, a backend that is set too late."""


class ExportError(MmzooError):
    """A model that a stock TF Serving cannot serve, or whose exported answers differ from the task's."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Returns up to three known names that are most similar to `name`, best first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


RENAMED = {
    "accumulate": ("gradient_accumulation_steps",),
    "accumulate_contrastive": ("grad_cache_chunks",),
    "batch": ("batch_size",),
    "bias": ("logit_bias", "use_bias"),
    "clip": ("global_clipnorm",),
    "ema": ("ema_momentum",),
    "gives": ("output_mode",),
    "image": ("candidate",),
    "image_embedding": ("candidate_embedding",),
    "jit": ("jit_compile",),
    "largest": ("max_tokens",),
    "largest_scale": ("max_logit_scale",),
    "length": ("sequence_length",),
    "results": ("top_k",),
    "scale": ("logit_scale",),
    "size": ("vocabulary_size",),
    "stream_dropout": ("modality_dropout",),
    "text": ("query",),
    "text_embedding": ("query_embedding",),
    "top": ("top_k",),
}
"""Old names of recipe keys -> their new names, for `suggest`."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns advice for an unknown name: its new name if it was renamed; else the nearest names, and all if at most 13."""
    known = list(known)
    if new := [candidate for candidate in RENAMED.get(name, ()) if candidate in known]:
        return f"It is called {new[0]} now."
    near = nearest(name, known)
    parts = [f"Nearest: {', '.join(near)}."] if near else []
    if 0 < len(known) <= 13:  # as many as a recipe has keys
        parts.append(f"Known: {', '.join(known)}.")
    return " ".join(parts)


def reason_of(error: Exception) -> str:
    """Returns a library's error as one sentence: its first line, or for Keras weights of a wrong shape, which weight it is."""
    text = str(error)
    if shapes := re.search(r"variable\.shape=(\(.*?\)), Received: value\.shape=(\(.*?\))\..*?path=(\S+),", text, re.DOTALL):
        model, saved, path = shapes.groups()
        return f"its weights do not fit the shape asked for: '{path}' is {saved} among the weights and {model} in the model."
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    first = f"it has no {first}" if isinstance(error, KeyError) else first
    return first if first.endswith(".") else f"{first}."


LATE = "@late@"
"""Stands before and after the row and the reason in the error of a TensorFlow graph that met an unreadable example."""


def late_fault(what: str) -> DataError:
    """Returns the error for an example that the scan found readable, or did not try, and that cannot be read."""
    what = f"{what}\nIt could be read, or was not tried, when the data was opened."
    advice = "Repair it, or leave such examples out with `on_error: skip` under `data`, and give the same command again"
    return DataError(f"{what}\n{advice}; what is done is not done again.")


@contextmanager
def late_faults() -> Iterator[None]:
    """Puts the error of such a graph in words.

    Raises:
        DataError: As `late_fault`.
    """
    try:
        yield
    except MmzooError:
        raise
    except Exception as error:
        if found := re.search(f"{LATE}(.*?){LATE}", str(error), re.DOTALL):
            raise late_fault(found[1]) from error
        raise
