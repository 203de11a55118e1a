"""A user's own files, named in a table, as an mmzoo data set."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import tensorflow as tf

from mmzoo import FAULT, ROW, SPLITS, Card, Count, DataError, Rate, suggest
from mmzoo_datasets.examples import Example, Layout, blank, read_examples, split_by_column, split_by_share
from mmzoo_datasets.table import read_columns

SHARE = 0.1
"""The part of the examples that each held-out split takes, unless the user says otherwise."""
TYPES: dict[type, tf.DType] = {str: tf.string, bool: tf.bool, int: tf.int64, float: tf.float32}


class Files:
    """Reads a table of your own, CSV or JSON lines, and the files that it names.

    A CSV table (`.csv`, `.tsv`, `.txt`) has a header; its cells are separated by commas, semicolons or tabs, whichever the
    header has most of. In JSON lines (`.jsonl`, `.ndjson`) each line is an object whose values are text, numbers or lists of
    them, such as the captions of a picture. Tables are UTF-8. Each row is an example and each column a field; a column
    without a name is not read.

    A row with an empty cell, or whose file is missing, empty or unreadable, is a faulty example: the recipe's `on_error`
    decides about it. A table that is no table stops the build, with its line.

    Args:
        table: Path of the table, from the current folder.
        files: Fields whose values are paths of files; such a field holds the contents of the file. A path may be absolute
            or lead out of `root`.
        root: Folder in which relative paths start; the table's own folder if not given.
        columns: Columns to read; all if not given. What is not read may be empty or hold anything.
        lists: Field -> columns that together are its list, such as `{caption: [caption_1, caption_2]}`; empty cells are left
            out of it.
        group_by: Column by which rows are grouped: rows with the same cell there are one example, in which `files` count
            once and every other column becomes a list. So a picture in five rows with a caption each has five captions.
        split_column: Column that says the split of each row: train (or training), validation (valid, val, dev), test
            (testing). A file is in one split only.
        validation: Share of the examples that is held out for validation, if there is no `split_column`; 0.1 if not given.
        test: Share of the examples that is held out for the test, if there is no `split_column`; 0.1 if not given.
        seed: What the choice of the held-out examples follows from, whatever the order of the rows. Rows that name the same
            file stay together.
    """

    def __init__(
        self,
        *,
        table: str,
        files: list[str] = ["image"],  # noqa: B006  # never changed; an option's default shows in the help
        root: str | None = None,
        columns: list[str] | None = None,
        lists: dict[str, list[str]] = {},  # noqa: B006
        group_by: str | None = None,
        split_column: str | None = None,
        validation: Rate | None = None,
        test: Rate | None = None,
        seed: Count = 0,
    ):
        path = Path(table).expanduser()
        start = Path.cwd() / (path.parent if root is None else Path(root).expanduser())
        names = read_columns(path)
        fields = _fields(names, columns, lists, split_column)
        self.layout = Layout(path, start, fields, files, lists, group_by, split_column)
        self.shares, self.seed = _shares(split_column, validation=validation, test=test), seed
        wanted = {"columns": columns or [], "lists": chain.from_iterable(lists.values())}
        wanted |= {"group_by": filter(None, [group_by]), "split_column": filter(None, [split_column]), "files": files}
        for option, used in wanted.items():
            self._check_known(option, used, [*names, *lists] if option == "files" else names)
        if unread := [name for name in files if name not in fields]:
            raise DataError(f"option files: the field '{unread[0]}' is not read; the fields are {', '.join(fields)}.")

    @property
    def card(self) -> Card:
        read = "_members" in self.__dict__
        return Card(
            fields={field: self._describe(field) for field in self.layout.fields},
            sizes={name: len(examples) for name, examples in self._members.items()} if read else {},
            about=f"The table {self.layout.table.name} and the files that it names.",
            source=str(self.layout.table),
        )

    def prepare(self) -> None:
        _ = self._members  # reading the table checks it

    def splits(self) -> Mapping[str, tf.data.Dataset]:
        return {name: self._dataset(examples) for name, examples in self._members.items()}

    @cached_property
    def _examples(self) -> Any:
        return read_examples(self.layout)

    @cached_property
    def _members(self) -> dict[str, list[Example]]:
        examples = self._examples.all
        if self.layout.split_column is not None:
            found = split_by_column(self.layout, examples)
        else:
            found = split_by_share(self.layout, examples, self.shares, self.seed)
        return {name: found[name] for name in SPLITS if name in found}

    def _check_known(self, option: str, used: Iterable[str], known: Iterable[str]) -> None:
        for name in used:
            if name not in known:
                what = f"option {option}: the table {self.layout.table} has no column '{name}'."
                raise DataError(f"{what}\n{suggest(name, known)}")

    def _describe(self, field: str) -> str:
        if field in self.layout.files:
            return "contents of the file, bytes"
        several = field in self.layout.lists or (self.layout.group_by is not None and field not in self.layout.single)
        return "several values" if several else "value of the column"

    def _dataset(self, examples: list[Example]) -> tf.data.Dataset:
        columns = {field: self._column(field, examples) for field in self.layout.fields}
        columns[ROW] = tf.constant([f"{self.layout.table.name}:{example.line}" for example in examples])
        columns[FAULT] = tf.constant([example.fault for example in examples])
        rows = tf.data.Dataset.from_tensor_slices(columns)
        return rows.map(self._read, num_parallel_calls=tf.data.AUTOTUNE)

    def _column(self, field: str, examples: list[Example]) -> tf.Tensor | tf.RaggedTensor:
        """Gives a field's values, `(examples,)` or, of lists, `(examples, values)`; what is empty is blank."""
        kind = self._examples.kinds[field]
        cells = [[kind() if blank(cell) else cell for cell in example.values[field]] for example in examples]
        flat = list(chain.from_iterable(cells))
        if field in self.layout.files:
            flat = [self.layout.path(cell) for cell in flat]
        values = tf.constant(flat, TYPES[kind])
        return tf.RaggedTensor.from_row_lengths(values, list(map(len, cells))) if field in self._examples.listed else values

    def _read(self, row: dict[str, Any]) -> dict[str, Any]:
        # Rows of a ragged tensor come as tensors, but are not declared so.
        example = {field: tf.convert_to_tensor(value) for field, value in row.items()}
        for field in self.layout.files:
            example[field], fault = _read_files(example[field])
            fault = tf.where(fault == "", "", tf.strings.join([field, ": ", fault]))
            example[FAULT] = tf.where(example[FAULT] == "", fault, example[FAULT])
        return example


def _fields(
    names: list[str], columns: list[str] | None, lists: Mapping[str, list[str]], split_column: str | None
) -> tuple[str, ...]:
    merged = set(chain.from_iterable(lists.values()))
    if taken := sorted((set(lists) & set(names)) - merged):
        raise DataError(f"option lists: the table has a column '{taken[0]}' already, which is not in the list.")
    read = [name for name in names if name != split_column] if columns is None else columns
    return (*dict.fromkeys([*(name for name in read if name not in merged), *lists]),)


def _shares(split_column: str | None, **shares: float | None) -> dict[str, float]:
    given = [name for name, share in shares.items() if share is not None]
    if split_column is not None and given:
        raise DataError(f"options split_column and {given[0]}: give either the one or the other.")
    found = {name: SHARE if share is None else share for name, share in shares.items()}
    if sum(found.values()) >= 1:
        raise DataError(f"options validation and test: expected less than 1 together, received {sum(found.values())}.")
    return found


def _read_files(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads one file, or a list of them: contents, and why one cannot be read."""
    if not path.shape.rank:
        return _read_file(path)
    kinds = (tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.string))
    contents, faults = tf.map_fn(_read_file, path, fn_output_signature=kinds)
    return contents, tf.strings.strip(tf.strings.reduce_join(faults, separator=" "))


def _read_file(path: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # An op's error cannot be caught in a graph, but a pipeline in the graph can leave its element out.
    found = tf.data.Dataset.from_tensors(path).map(tf.io.read_file).ignore_errors()
    data = found.concatenate(tf.data.Dataset.from_tensors("")).take(1).get_single_element()
    why = tf.cond(data != "", lambda: tf.constant(""), lambda: tf.numpy_function(_why, [path], tf.string))
    return data, tf.ensure_shape(why, ())


def _why(path: bytes) -> str:
    """Says why a file has no contents."""
    name = path.decode()
    try:
        with Path(name).open("rb") as file:
            return f"the file {name} cannot be read" if file.read(1) else f"the file {name} is empty"
    except FileNotFoundError:
        return f"there is no file {name}"
    except (OSError, ValueError) as error:  # of a path that no file can have, ValueError
        return f"the file {name} cannot be read: {getattr(error, 'strerror', None) or error}"
