"""The entries of a gallery, embeddings and texts, and their files in a run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmzoo.errors import RunError
from mmzoo.run.atomic import replacing
from mmzoo.run.folder import Run


@dataclass(frozen=True)
class Entries:
    """The entries of a gallery.

    Args:
        embeddings: `(entries, dim)`, float32.
        texts: `id`, and each input in `Gallery.shows` -> one text for each entry.
    """

    embeddings: np.ndarray
    texts: Mapping[str, Sequence[str]]

    def save(self, run: Run) -> None:
        """Writes the entries to a run."""
        with replacing(run.gallery) as temporary:
            temporary.mkdir()
            np.save(temporary / "embeddings.npy", self.embeddings)
            (temporary / "texts.json").write_text(json.dumps(self.texts, ensure_ascii=False), "utf-8")


def load_entries(run: Run) -> Entries | None:
    """Reads the entries from a run; returns None if it has no gallery.

    Raises:
        RunError: A file is broken or missing.
    """
    if not run.gallery.exists():
        return None
    try:
        return Entries(np.load(run.gallery / "embeddings.npy"), json.loads((run.gallery / "texts.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{run.gallery}: the gallery cannot be read: {error}.") from error
