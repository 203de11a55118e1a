"""The properties of data sets."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Dataset, fault_of
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
        told, found = dataset.card.sizes.get(name), int(data.cardinality())
        require(told is None or found < 0 or told == found, f"the card tells {told} examples in '{name}', there are {found}.")


def check_fields(subject: Subject) -> None:
    """Every example has the card's fields. They are scalars or lists of scalars."""
    dataset = subject.bound.make()
    dataset.prepare()
    splits = dataset.splits()
    require(
        "train" in splits and set(splits) <= set(SPLITS), f"the splits are {list(splits)}; expected train, of {list(SPLITS)}."
    )
    for name, data in splits.items():
        spec = data.element_spec
        told = set(dataset.card.fields)
        fields = set(spec) - {ROW, FAULT, *map(fault_of, told)}
        require(fields == told, f"the fields of '{name}' are {sorted(fields)}, the card tells {sorted(told)}.")
        deep = [field for field in fields if spec[field].shape.rank not in (0, 1)]
        require(not deep, f"the fields {deep} of '{name}' are neither scalars nor lists. Give encoded bytes.")


def check_rows(subject: Subject) -> None:
    """`ROW`, `FAULT` and faults of fields, where present, are strings, and every row has a unique name."""
    for name, data in _splits(subject).items():
        for key in {ROW, FAULT, *map(fault_of, data.element_spec)} & set(data.element_spec):
            spec = data.element_spec[key]
            require(spec.dtype == tf.string and spec.shape.rank == 0, f"'{key}' of '{name}' must be one string, is {spec}.")
        rows = [example[ROW] for example in _read(data) if ROW in example]
        require(len(rows) == len(set(rows)), f"rows of '{name}' share a name: {rows}.")


def check_deterministic(subject: Subject) -> None:
    """Made twice or read twice, it returns the same examples in the same order."""
    first, second = _splits(subject), _splits(subject)
    require(list(first) == list(second), f"made twice, it has the splits {list(first)} and {list(second)}.")
    for name, data in first.items():
        again, other = _read(data), _read(second[name])
        once = _read(data)
        require(once == again, f"read twice, '{name}' gives other examples. Seed the shuffle, or leave it to mmzoo.")
        require(once == other, f"made twice, '{name}' has other examples. Draw with a seed; sort what a folder lists.")


def _splits(subject: Subject) -> Mapping[str, Any]:
    dataset = subject.bound.make()
    dataset.prepare()
    return dataset.splits()


def _read(data: Any) -> list[dict[str, Any]]:
    return [{key: _plain(value) for key, value in example.items()} for example in data.take(READ).as_numpy_iterator()]


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
