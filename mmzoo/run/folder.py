"""The run folder: its layout, and the files that are read and written in it. Light."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import RunError
from mmzoo.recipe.plan import Plan
from mmzoo.run.aside import KEPT, MOVING, set_aside
from mmzoo.run.atomic import TEMPORARY, remove, write_json, write_text, writing

if TYPE_CHECKING:
    from mmzoo.contracts.processor import Processor

FORMAT = 3
"""Version of the format of `plan.json`. It is raised when older plans can no longer be read."""
LIBRARIES = ("mmzoo", "keras", "tensorflow", "keras-hub", "tensorflow-datasets", "jax")
"""Libraries whose versions a run records."""
NOTE_FILE = "note.txt"
"""File in a processor's folder with its `note`; missing if the note is empty."""


@dataclass(frozen=True)
class Run:
    """The folder that a build writes. Its properties are the paths of the files and folders in it.

    Args:
        folder: Its path: `runs/<name>`, or the value of `--out`.
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe as it was written."""
        return self.folder / "recipe.yaml"

    @property
    def plan(self) -> Path:
        """The plan: the recipe with every default, and the versions of plugins and libraries."""
        return self.folder / "plan.json"

    @property
    def processors(self) -> Path:
        """What the processors learned from the data, in one folder per input."""
        return self.folder / "processors"

    @property
    def backbone_configs(self) -> Path:
        """The `backbone_config` of each encoder that has one, by name. Missing if no encoder has one."""
        return self.folder / "encoders.json"

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint of the training."""
        return self.folder / "checkpoint"

    @property
    def weights(self) -> Path:
        """The trained weights."""
        return self.folder / "task.weights.h5"

    @property
    def gallery(self) -> Path:
        """The gallery of a retrieval model: embeddings and texts."""
        return self.folder / "gallery"

    @property
    def history(self) -> Path:
        """The losses of each epoch."""
        return self.folder / "history.json"

    @property
    def samples(self) -> Path:
        """Pictures that the model drew after each epoch: `epoch-001.png`. Missing if its head draws none."""
        return self.folder / "samples"

    def sample(self, epoch: int) -> Path:
        """Returns the file of an epoch's pictures; the first epoch is 1."""
        return self.samples / f"epoch-{epoch:03}.png"

    @property
    def scores(self) -> Path:
        """The scores of the model and the baselines: metric -> number."""
        return self.folder / "scores.json"

    @property
    def stages(self) -> Path:
        """The finished stages of the build, and what each depended on."""
        return self.folder / "stages.json"

    @property
    def missing(self) -> Path:
        """The scores with inputs left out, if they were computed."""
        return self.folder / "missing.json"

    @property
    def answers(self) -> Path:
        """The references and answers of each held-out example, one JSON object per line."""
        return self.folder / "answers.jsonl"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.folder / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.folder / "README.md"

    @property
    def export(self) -> Path:
        """The exported model, in a numbered folder per version. TF Serving reads this folder."""
        return self.folder / "export"

    @property
    def tensorboard(self) -> Path:
        """Events for TensorBoard, if the recipe asks for them."""
        return self.folder / "tensorboard"

    @property
    def log(self) -> Path:
        """What libraries have warned of, and which devices have trained."""
        return self.folder / "log.txt"

    @property
    def lock(self) -> Path:
        """Says which process writes to the folder at the moment."""
        return self.folder / ".lock"

    @property
    def replaced(self) -> Path:
        """The run that this one replaces, until this one is complete. Its `export` stays where a server reads it."""
        return self.folder / KEPT

    def names(self) -> list[str]:
        """Returns the names of a run's files and folders, the plan first, without `export`."""
        places = [self.plan, *(getattr(self, name) for name, value in vars(Run).items() if isinstance(value, property))]
        return list(dict.fromkeys(place.name for place in places if place not in (self.lock, self.replaced, self.export)))

    def exporter(self) -> "Run":
        """Returns the run whose model is in `export`: the replaced one, until this one is exported."""
        return Run(self.replaced) if self.replaced.exists() and "export" not in self.load_stages() else self

    def exists(self) -> bool:
        """Returns whether the folder holds a run: a plan that mmzoo has written."""
        try:
            found = json.loads(self.plan.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and {"format", "recipe", "versions"} <= found.keys()

    def entries(self) -> list[str]:
        """Lists what is in the folder, without what passes: a lock, a run that is replaced, files that are being written."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(name for name in names if name not in (self.lock.name, KEPT, MOVING) and not TEMPORARY.fullmatch(name))

    def contents(self) -> list[str]:
        """Lists in words what the run contains so far."""
        checkpoint = self.load_json(self.checkpoint / "state.json") if (self.checkpoint / "state.json").exists() else None
        more = f" and {checkpoint['steps']} steps" if checkpoint and checkpoint.get("steps") else ""
        progress = [f"a checkpoint after epoch {checkpoint['epoch']}{more}"] if checkpoint else []
        results = {"trained weights": self.weights.exists(), "scores": self.scores.exists()}
        results["an exported model"] = any(self.export.glob("[0-9]*")) and self.exporter() == self  # a failed one leaves none
        return progress + [name for name, exists in results.items() if exists]

    def begin(self, plan: Plan, fingerprint: str, resume: bool = False, needs: Mapping[str, str] | None = None) -> None:
        """Writes the recipe and the plan into the folder.

        Args:
            plan: The plan of the build.
            fingerprint: Names what the run learns; recipes that need this run find it by it.
            resume: Whether to keep the files of the run in the folder. Otherwise they are set aside until `complete`.
            needs: Name -> fingerprint of each needed run.

        Raises:
            RunError: The folder cannot be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.exists() and not resume:
                set_aside(self.folder, self.names())
        # The plan first: --resume and --force recognise a run by it.
        found = {"format": FORMAT, "fingerprint": fingerprint, "recipe": plan.plain(), "versions": _versions(plan)}
        write_json(self.plan, found | {"needs": dict(needs or {}), "folder": str(plan.recipe.folder.absolute())})
        write_text(self.recipe, plan.recipe.text)

    def complete(self, version: int) -> None:
        """Deletes the run that this one has replaced, and what that has exported.

        Args:
            version: The exported version of this run.
        """
        if self.replaced.exists():
            others = [path for path in self.export.glob("[0-9]*") if path.name.isdigit() and path.name != str(version)]
            for path in (*others, self.replaced):
                remove(path)

    def save_processors(self, processors: dict[str, "Processor"]) -> None:
        """Writes what the processors learned, and their notes."""
        for name, processor in processors.items():
            with writing(self.processors):
                (self.processors / name).mkdir(parents=True, exist_ok=True)
                processor.save(self.processors / name)
                if processor.note:
                    (self.processors / name / NOTE_FILE).write_text(processor.note, "utf-8")

    def load_processors(
        self, processors: dict[str, "Processor"], inputs: Mapping[str, str] | None = None
    ) -> dict[str, "Processor"]:
        """Loads into processors what they learned, with their notes, and returns them.

        Args:
            processors: By input.
            inputs: Input -> its name in this run, where that is another one.

        Raises:
            RunError: A file of a processor is missing or damaged.
        """
        for name, processor in processors.items():
            folder = self.processors / (inputs or {}).get(name, name)
            try:
                processor.load(folder)
                note = folder / NOTE_FILE
                processor.note = note.read_text("utf-8") if note.exists() else ""
            except (OSError, ValueError) as error:
                raise RunError(f"{folder}: the run is incomplete or damaged: {error}.") from error
        return processors

    def save_backbone_configs(self, encoders: Mapping[str, Any]) -> None:
        """Writes the `backbone_config` of each encoder that has one, for when the run is reopened."""
        found = {name: getattr(encoder, "backbone_config", None) for name, encoder in encoders.items()}
        configs = {name: config for name, config in found.items() if config is not None}
        if configs:
            write_json(self.backbone_configs, configs)

    def load_backbone_configs(self) -> dict[str, Any]:
        """Reads the `backbone_config` of encoders, by name; empty if no encoder has one.

        Raises:
            RunError: The file is damaged.
        """
        return self.load_json(self.backbone_configs) if self.backbone_configs.exists() else {}

    def load_needs(self) -> dict[str, str]:
        """Reads the fingerprint of each needed run, by its name in the recipe."""
        return dict(self.load_json(self.plan).get("needs", {}))

    def load_origin(self) -> Path:
        """Reads where the run was built: the recipe's relative files are named from there."""
        return Path(self.load_json(self.plan).get("folder", Path.cwd()))

    def load_plan(self) -> dict[str, Any]:
        """Reads the plan: a recipe with every default, as plain data.

        Raises:
            RunError: The plan is missing, damaged or of another format.
        """
        saved = self.load_json(self.plan)
        if saved.get("format") != FORMAT:
            what = "the run was made by another version of mmzoo, whose recipes have other keys"
            raise RunError(f"{self.folder}: {what}; build it again: `mmzoo build RECIPE --force`.")
        return dict(saved["recipe"])

    def load_stages(self) -> dict[str, dict[str, Any]]:
        """Reads the finished stages: stage -> what it depended on.

        Raises:
            RunError: The file is damaged.
        """
        return dict(self.load_json(self.stages)) if self.stages.exists() else {}

    def finish_stage(self, stage: str, dependencies: Mapping[str, Any]) -> None:
        """Records that a stage is done, and what it depended on."""
        write_json(self.stages, self.load_stages() | {stage: dict(dependencies)})

    def load_json(self, path: Path) -> Any:
        """Reads a JSON file of the run.

        Raises:
            RunError: The file is missing or damaged.
        """
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: the run is incomplete or damaged: {error}.") from error


def _versions(plan: Plan) -> dict[str, str]:
    """Returns the versions of plugins and libraries, which the run records."""
    versions = {}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):  # an optional library that is not installed
            versions[library] = version(library)
    return plan.versions() | versions
