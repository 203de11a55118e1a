"""The run folder: its layout, and what is read and written there. Light."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import RunError
from mmzoo.recipe.plan import Plan
from mmzoo.run.atomic import write_json, write_text, writing

if TYPE_CHECKING:
    from mmzoo.contracts.processor import Processor

FORMAT = 2
"""Of `plan.json`; it grows when recipes change so that a plan that was written before cannot be read."""
NOTE = "note.txt"
"""The file beside what a processor learned that keeps its `note`, if there is one."""


@dataclass(frozen=True)
class Run:
    """The folder that a build writes.

    Args:
        folder: `runs/<name>` unless `--out` says otherwise.
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe as given."""
        return self.folder / "recipe.yaml"

    @property
    def plan(self) -> Path:
        """The plan: a recipe with every default, and the versions of plugins and libraries."""
        return self.folder / "plan.json"

    @property
    def processors(self) -> Path:
        """What the processors learned, a folder per input."""
        return self.folder / "processors"

    @property
    def backbone_configs(self) -> Path:
        """What the encoders keep of the presets they started from, by name; there is none if no encoder keeps anything."""
        return self.folder / "encoders.json"

    @property
    def checkpoint(self) -> Path:
        """The last finished epoch of a training that is under way."""
        return self.folder / "checkpoint"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.folder / "task.weights.h5"

    @property
    def gallery(self) -> Path:
        """What the model searches, if it searches: embeddings and texts."""
        return self.folder / "gallery"

    @property
    def history(self) -> Path:
        """Losses by epoch."""
        return self.folder / "history.json"

    @property
    def scores(self) -> Path:
        """Flat: metric -> number, for the model and the baselines."""
        return self.folder / "scores.json"

    @property
    def missing(self) -> Path:
        """The scores with inputs missing, if somebody asked for them."""
        return self.folder / "missing.json"

    @property
    def answers(self) -> Path:
        """Each held-out example with its references and answers, a JSON object per line."""
        return self.folder / "answers.jsonl"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.folder / "README.md"

    @property
    def export(self) -> Path:
        """The exported model, a numbered folder per version: what TF Serving is pointed at."""
        return self.folder / "export"

    def contents(self) -> list[str]:
        """Lists what is there, in words."""
        checkpoint = self.load_json(self.checkpoint / "state.json") if (self.checkpoint / "state.json").exists() else None
        found = [f"a checkpoint after epoch {checkpoint['epoch']}"] if checkpoint else []
        named = {"trained weights": self.weights.exists(), "scores": self.scores.exists()}
        named["an exported model"] = any(self.export.glob("[0-9]*"))  # the folder alone is left by an export that failed
        return found + [name for name, there in named.items() if there]

    def check_free(self, force: bool = False) -> None:
        """Holds that a run can begin here, and writes nothing.

        Raises:
            RunError: There is a run and `force` is not given; something else is there; or the folder could not be made.
        """
        if self.plan.exists() and not force:
            there = ", ".join(self.contents()) or "nothing trained yet"
            raise RunError(
                f"{self.folder}: there is a run already, with {there}.\n"
                "Continue it with --resume, replace it with --force, or choose another folder with --out."
            )
        if self.folder.is_dir() and any(self.folder.iterdir()) and not self.plan.exists():
            raise RunError(
                f"{self.folder}: the folder holds files that are no run ({next(self.folder.iterdir()).name} ...); they are not "
                "replaced.\nChoose another folder with --out."
            )
        there_is = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if not there_is.is_dir() or not os.access(there_is, os.W_OK | os.X_OK):
            what = "is read-only" if there_is.is_dir() else "is a file, not a folder"
            raise RunError(
                f"{self.folder}: the run cannot be written there: {there_is} {what}.\nChoose another folder with --out."
            )

    def begin(self, plan: Plan, versions: dict[str, str], resume: bool = False) -> None:
        """Writes the recipe and the plan into a new folder.

        Args:
            plan: What is built.
            versions: Of plugins and libraries.
            resume: Keep the run that is there; without it, it is gone.

        Raises:
            RunError: The folder cannot be written.
        """
        with writing(self.folder):
            if self.plan.exists() and not resume:
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        # The plan first: it is what makes the folder a run, which --resume and --force know.
        write_json(self.plan, {"format": FORMAT, "recipe": plan.plain(), "versions": versions})
        write_text(self.recipe, plan.recipe.text)

    def save_processors(self, processors: dict[str, "Processor"]) -> None:
        """Writes what the processors learned, and what there is to note of it."""
        for name, processor in processors.items():
            with writing(self.processors):
                (self.processors / name).mkdir(parents=True, exist_ok=True)
                processor.save(self.processors / name)
                if processor.note:
                    (self.processors / name / NOTE).write_text(processor.note, "utf-8")

    def load_processors(self, processors: dict[str, "Processor"]) -> dict[str, "Processor"]:
        """Reads into processors what they learned, and gives them back.

        Raises:
            RunError: It is absent or broken.
        """
        for name, processor in processors.items():
            try:
                processor.load(self.processors / name)
                note = self.processors / name / NOTE
                processor.note = note.read_text("utf-8") if note.exists() else ""
            except (OSError, ValueError) as error:
                raise RunError(f"{self.processors / name}: this is no complete run: {error}.") from error
        return processors

    def save_backbone_configs(self, encoders: Mapping[str, Any]) -> None:
        """Writes what encoders want back when the run is reopened: the `backbone_config` of each that has one."""
        found = {
            name: encoder.backbone_config
            for name, encoder in encoders.items()
            if getattr(encoder, "backbone_config", None) is not None
        }
        if found:
            write_json(self.backbone_configs, found)

    def load_backbone_configs(self) -> dict[str, Any]:
        """Reads what the encoders kept.

        Raises:
            RunError: It is broken.
        """
        return self.load_json(self.backbone_configs) if self.backbone_configs.exists() else {}

    def load_plan(self) -> dict[str, Any]:
        """Reads the plan, as a recipe with every default.

        Raises:
            RunError: It is absent or broken, or of another format.
        """
        saved = self.load_json(self.plan)
        if saved.get("format") != FORMAT:
            what = "the run was made by another version of mmzoo, whose recipes have other keys"
            raise RunError(f"{self.folder}: {what}; build it again: `mmzoo build RECIPE --force`.")
        return dict(saved["recipe"])

    def load_json(self, path: Path) -> Any:
        """Reads one of the run's JSON files.

        Raises:
            RunError: It is absent or broken.
        """
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: this is no complete run: {error}.") from error
