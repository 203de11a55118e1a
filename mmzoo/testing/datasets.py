"""The properties of data sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Dataset, Indexed, fault_of
from mmzoo.data.raw_split import RawSplit
from mmzoo.testing.subject import Subject, require

READ = 16
"""Number of examples that are read of each split."""


def check_card(subject: Subject) -> None:
    """The card has the same fields before and after `prepare`, the right sizes, and no more needs after it."""
    dataset = subject.bound.make()
    require(isinstance(dataset, Dataset), "it must have `card`, `prepare` and `splits`; see mmzoo.Dataset.")
    before = dataset.card.fields
    dataset.prepare()
    require(not dataset.card.needs, f"the card still needs '{dataset.card.needs}' after `prepare`.")
    require(
        dict(before) == dict(dataset.card.fields), "the card's fields change with `prepare`; a recipe is checked before it."
    )
    for name, data in dataset.splits().items():
        told, found = dataset.card.sizes.get(name), RawSplit.of(data).size
        require(
            told is None or found is None or told == found, f"the card tells {told} examples in '{name}', there are {found}."
        )


def check_fields(subject: Subject) -> None:
    """Every example has the card's fields. They are scalars or lists of scalars."""
    dataset = subject.bound.make()
    dataset.prepare()
    splits = dataset.splits()
    require(
        "train" in splits and set(splits) <= set(SPLITS), f"the splits are {list(splits)}; expected train, of {list(SPLITS)}."
    )
    for name, data in splits.items():
        specs, told = RawSplit.of(data).specs, set(dataset.card.fields)
        require(set(specs) == told, f"the fields of '{name}' are {sorted(specs)}, the card tells {sorted(told)}.")
        deep = [field for field in specs if specs[field].shape.rank not in (0, 1)]
        require(not deep, f"the fields {deep} of '{name}' are neither scalars nor lists. Give encoded bytes.")


def check_rows(subject: Subject) -> None:
    """`ROW`, `FAULT` and faults of fields, where present, are strings, and every row has a unique name."""
    for name, data in _splits(subject).items():
        examples = read_split(data, READ)
        for key in (ROW, FAULT, *map(fault_of, RawSplit.of(data).fields)):
            strange = [example[key] for example in examples if not isinstance(example.get(key, b""), bytes)]
            require(not strange, f"'{key}' of '{name}' must be one string, is {strange[:1]}.")
        rows = [example[ROW] for example in examples if ROW in example]
        require(len(rows) == len(examples) or not isinstance(data, Indexed), f"'{name}' is an index and does not give '{ROW}'.")
        require(len(rows) == len(set(rows)), f"rows of '{name}' share a name: {rows}.")


def check_deterministic(subject: Subject) -> None:
    """Made twice or read twice, it returns the same examples in the same order."""
    first, second = _splits(subject), _splits(subject)
    require(list(first) == list(second), f"made twice, it has the splits {list(first)} and {list(second)}.")
    for name, data in first.items():
        again, other = read_split(data, READ), read_split(second[name], READ)
        once = read_split(data, READ)
        require(once == again, f"read twice, '{name}' gives other examples. Seed the shuffle, or leave it to mmzoo.")
        require(once == other, f"made twice, '{name}' has other examples. Draw with a seed; sort what a folder lists.")


def _splits(subject: Subject) -> Mapping[str, Any]:
    dataset = subject.bound.make()
    dataset.prepare()
    return dataset.splits()


def read_split(split: Any, most: int | None = None) -> list[dict[str, Any]]:
    """Reads the examples of a split, streamed or indexed, with all that it gives: bytes, numbers, or lists of them.

    Args:
        split: Of a data set.
        most: Only the first so many; all if not given.
    """
    if not isinstance(split, Indexed):
        taken = split.take(-1 if most is None else most).as_numpy_iterator()
        return [{key: _plain(value) for key, value in example.items()} for example in taken]
    columns = split.read(np.arange(len(split))[:most], split.specs)
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return list(map(_plain, value))
    return value.tolist() if hasattr(value, "tolist") else value
