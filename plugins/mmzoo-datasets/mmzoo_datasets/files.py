"""The data set `files`: a table of your own, and the files that it names."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from mmzoo import SPLITS, Card, DataError, FilePath, NonNegativeInt, PositiveInt, Rate, suggest
from mmzoo_datasets.cells import Quoting
from mmzoo_datasets.clip_store import Clips, ClipStore, data_folder
from mmzoo_datasets.contents import Copies, Sizes, digest_of, find_copies, find_sizes
from mmzoo_datasets.division import count_shared, split_by_column, split_by_share
from mmzoo_datasets.examples import Example, Layout, nfc, on_disk, read_examples
from mmzoo_datasets.table import read_columns
from mmzoo_datasets.table_split import TableSplit

SHARE = 0.1
"""Default share of the examples in each held-out split."""


class Files:
    """Reads a table of your own and the pictures and videos that it names.

    A CSV table (`.csv`, `.tsv`, `.txt`, `.token`) has a header. Its separator is the comma, semicolon, tab or `|` that is most
    frequent in it, or what Excel's first line `sep=;` names. The captions of Flickr8k and Flickr30k (`1.jpg#0<TAB>A dog.`) are
    read without a header, as columns `image`, `number` and `caption`. In JSON lines (`.jsonl`, `.ndjson`) each line is an
    object; its values are text, numbers or lists of them, such as the captions of a picture. JSON (`.json`) is a list of such
    objects; COCO's `images` and `annotations`, a row for each annotation with its file in the column `image`; or Karpathy's
    `images`, with columns `image`, `caption` (a list) and `split`. Tables are UTF-8. Each row is an example and each column a
    field; a column without a name is not read.

    A row is faulty if a cell that the recipe reads is empty or of another type than the first one of its column, or if it names
    a file that is missing, empty or unreadable; the option `on_error` decides what happens then. Columns that the recipe does
    not read may hold anything. A table that is not valid stops the build; the message has the line number.

    A run knows these data again by the bytes of the table and those of its files; if the files are over 64 MiB together, by
    their sizes, so that a changed file of the same size goes unnoticed. Where the files lie does not matter.

    Args:
        table: Path of the table, relative to the current folder.
        files: Fields with paths of files; the value of such a field is the contents of the file. A path may be absolute,
            lead out of `root`, or be in another Unicode form than the name on the disk. `[image]` if there are no `videos`.
        videos: Fields with paths of clips. A clip is a video (MP4, AVI, MOV, WebM, MKV and others; `mmzoo-datasets[video]`), an
            animated GIF, a folder with the frames as pictures in the natural order of their names, or, in JSON lines, a list of
            pictures. The value of such a field is the list of frames, encoded pictures. Clips are decoded once, when the data
            is prepared, and their frames are kept. A clip is decoded again if the paths, sizes or modification times of its
            files change.
        frames: Largest number of frames to keep of a clip, evenly spread over it.
        side: Largest length of a frame's shorter side in pixels; larger frames are resized.
        frames_dir: Folder for the frames of clips; `mmzoo_clips` in the data folder of TFDS if not given.
        optional: Fields of text or files that may have empty cells; set `optional` at their inputs too. An empty cell of
            `videos` is always a clip without frames.
        root: Folder that relative paths start from; the folder of the table if not given.
        quoting: What double quotes in a CSV table are. `csv`: they wrap a cell that holds separators, line ends or quotes,
            which are written twice. `none`: they are text, and each line is a row. `auto` is `csv`, but refuses a cell that
            takes in a line which looks like a row; if the separator is a tab or `|`, quotes that wrap no cell are text.
        columns: Columns that are fields; all if not given. Other columns are ignored.
        lists: Field -> columns that together are its list of values, such as `{caption: [caption_1, caption_2]}`; empty cells
            are left out.
        group_by: Column to group rows by. Rows with the same value are one example: `files` must be the same in all of them,
            and every other column becomes a list. So a picture in five rows with one caption each has five captions.
        split_column: Column with the split of each row: train (training, restval), validation (valid, val, dev) or test
            (testing). A row whose file is in a later split too, itself or as a copy, is faulty.
        validation: Share of the examples for validation if there is no `split_column`; 0.1 if not given.
        test: Share of the examples for the test if there is no `split_column`; 0.1 if not given.
        seed: Seed of the random split. The order of the rows does not matter, and rows with the same file, or with files of the
            same bytes, stay together.
    """

    def __init__(
        self,
        *,
        table: FilePath,
        files: list[str] | None = None,
        videos: list[str] = [],  # noqa: B006  # never modified; the default is shown in the help
        frames: PositiveInt = 32,
        side: PositiveInt = 256,
        frames_dir: FilePath | None = None,
        optional: list[str] = [],  # noqa: B006
        root: FilePath | None = None,
        quoting: Quoting = "auto",
        columns: list[str] | None = None,
        lists: dict[str, list[str]] = {},  # noqa: B006
        group_by: str | None = None,
        split_column: str | None = None,
        validation: Rate | None = None,
        test: Rate | None = None,
        seed: NonNegativeInt = 0,
    ):
        path = _path("table", table)
        start, names = Path.cwd() / (path.parent if root is None else _path("root", root)), read_columns(path, quoting)
        given = files, videos, optional, columns, lists, group_by, split_column
        files, videos, optional, columns, lists, group_by, split_column = map(nfc, given)  # as the table's names are
        fields = _fields(names, columns, lists, split_column)
        files = ([] if videos else ["image"]) if files is None else files
        self.layout = Layout(path, start, fields, files, videos, optional, lists, group_by, split_column, quoting)
        kept = (
            data_folder() / "mmzoo_clips"
            if videos and frames_dir is None
            else Path.cwd() / _path("frames_dir", frames_dir or "")
        )
        self.store = ClipStore(kept, frames, side)
        self.shares, self.seed = _shares(split_column, validation=validation, test=test), seed
        wanted = {"columns": columns or [], "lists": chain.from_iterable(lists.values())}
        wanted |= {"group_by": filter(None, [group_by]), "split_column": filter(None, [split_column])}
        for option, used in wanted.items():
            self._check_known(option, used, names)
        for option, named in {"files": files, "videos": videos, "optional": optional}.items():
            self._check_known(option, named, [*names, *lists])
            if unread := [name for name in named if name not in fields]:
                raise DataError(f"option {option}: the field '{unread[0]}' is not read; the fields are {', '.join(fields)}.")
        if both := sorted(set(files) & set(videos)):
            raise DataError(f"options files and videos: both name '{both[0]}'.")

    @property
    def card(self) -> Card:
        read = "_members" in self.__dict__
        return Card(
            fields={field: self._describe(field) for field in self.layout.fields},
            sizes={name: len(examples) for name, examples in self._members.items()} if read else {},
            about=f"The table {self.layout.table.name} and the files that it names.",
            source=str(self.layout.table),
            needs=self._needs,
            note=self._note if read else "",
            fingerprint=self._fingerprint,
        )

    def prepare(self) -> None:
        _ = self._members  # reading the table checks it
        if missing := self.store.missing(self._clips):
            self._clips.update(self.store.keep(missing))
        self.__dict__["_needs"] = ""

    def splits(self) -> Mapping[str, TableSplit]:
        kinds, listed = self._examples.kinds, self._examples.listed
        return {name: TableSplit(self.layout, one, kinds, listed, self._clips) for name, one in self._members.items()}

    @cached_property
    def _fingerprint(self) -> str:
        """The digests of the table and of its files; the card is asked for often."""
        table = sha256(self.layout.table.read_bytes()).hexdigest()
        try:
            return f"{table} {digest_of(self._sizes)}"
        except DataError:  # `prepare` raises it again
            return table

    @cached_property
    def _examples(self) -> Any:
        return read_examples(self.layout)

    @cached_property
    def _clips(self) -> Clips:
        """All clips of the table."""
        paths = (self._clip_paths(example, field) for example in self._examples.all for field in self.layout.videos)
        return {clip_paths: self.store.find(clip_paths) for clip_paths in dict.fromkeys(paths) if clip_paths}

    @cached_property
    def _needs(self) -> str:
        try:
            missing = self.store.missing(self._clips)
        except DataError:  # `prepare` raises it again
            return ""
        return f"decodes {len(missing):,} clips and keeps their frames in {self.store.folder}" if missing else ""

    def _clip_paths(self, example: Example, field: str) -> tuple[str, ...]:
        return tuple(self.layout.paths_in(example, field))

    @cached_property
    def _copies(self) -> Copies:
        return find_copies(self._sizes)

    @cached_property
    def _sizes(self) -> Sizes:
        return find_sizes(self.layout, self._examples.all)

    @cached_property
    def _note(self) -> str:
        shared = count_shared(self.layout, self._examples.all, self._copies)
        copies = len(self._copies) - len({*self._copies.values()})
        total = f"{shared:,} of the {len(self._examples.all):,} examples name a file that another example names"
        if not shared or self.layout.split_column is not None:
            return ""
        return f"{total}, or a copy of it ({copies:,} files are copies); these examples are in one split"

    @cached_property
    def _members(self) -> dict[str, list[Example]]:
        examples = self._examples.all
        if self.layout.split_column is not None:
            splits = split_by_column(self.layout, examples, self._copies)
        else:
            splits = split_by_share(self.layout, examples, self._copies, self.shares, self.seed)
        return {name: splits[name] for name in SPLITS if name in splits}

    def _check_known(self, option: str, used: Iterable[str], known: Iterable[str]) -> None:
        for name in used:
            if name not in known:
                what = f"option {option}: the table {self.layout.table} has no column '{name}'."
                raise DataError(f"{what}\n{suggest(name, known)}")

    def _describe(self, field: str) -> str:
        if field in self.layout.files:
            return "contents of the file, bytes"
        if field in self.layout.videos:
            return "frames of the clip, encoded pictures; several"
        several = field in self.layout.lists or (self.layout.group_by is not None and field not in self.layout.single)
        return "several values" if several else "value of the column"


def _fields(
    names: list[str], columns: list[str] | None, lists: Mapping[str, list[str]], split_column: str | None
) -> tuple[str, ...]:
    merged = set(chain.from_iterable(lists.values()))
    if taken := sorted((set(lists) & set(names)) - merged):
        raise DataError(f"option lists: the table has a column '{taken[0]}' already, which is not in the list.")
    read = [name for name in names if name != split_column] if columns is None else columns
    return (*dict.fromkeys([*(name for name in read if name not in merged), *lists]),)


def _path(option: str, given: str) -> Path:
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise DataError(f"option {option}: the home folder in {given} is not known. Write the path without ~.") from error
    return path if given.isascii() else on_disk(path, {})


def _shares(split_column: str | None, **shares: float | None) -> dict[str, float]:
    given = [name for name, share in shares.items() if share is not None]
    if split_column is not None and given:
        raise DataError(f"options split_column and {given[0]}: give either the one or the other.")
    found = {name: SHARE if share is None else share for name, share in shares.items()}
    if sum(found.values()) >= 1:
        raise DataError(f"options validation and test: expected less than 1 together, received {sum(found.values())}.")
    return found
