"""The entries of a gallery: embeddings and texts, and the files that hold them in a run. A second format is read here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmzoo.errors import RunError
from mmzoo.run.atomic import replacing
from mmzoo.run.folder import Run


@dataclass(frozen=True)
class Entries:
    """A gallery.

    Args:
        embeddings: `(entries, dim)`, float32.
        texts: `id` and each input that is shown -> a text for each entry.
    """

    embeddings: np.ndarray
    texts: Mapping[str, Sequence[str]]

    def save(self, run: Run) -> None:
        """Writes it to a run."""
        with replacing(run.gallery) as beside:
            beside.mkdir()
            np.save(beside / "embeddings.npy", self.embeddings)
            (beside / "texts.json").write_text(json.dumps(self.texts, ensure_ascii=False), "utf-8")


def load_entries(run: Run) -> Entries | None:
    """Reads the gallery of a run; None if it has none.

    Raises:
        RunError: It is broken.
    """
    if not run.gallery.exists():
        return None
    try:
        return Entries(np.load(run.gallery / "embeddings.npy"), json.loads((run.gallery / "texts.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{run.gallery}: the gallery cannot be read: {error}.") from error
