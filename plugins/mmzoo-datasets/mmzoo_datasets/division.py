"""Examples -> splits: by a column or by shares, each file and its copies in one split. Imports no TensorFlow."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from os.path import normpath, sep

from mmzoo import SPLITS, DataError
from mmzoo_datasets.contents import Copies
from mmzoo_datasets.examples import Example, Layout, nfc

SYNONYMS = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Values of a split column, in upper or lower case -> split. Karpathy's `restval` is the rest of COCO's validation pictures."""


def count_shared(layout: Layout, examples: Iterable[Example], copies: Copies) -> int:
    """Counts the examples that name a file which another example names too, or a copy of it."""
    contents = [{content for field in layout.paths for content in _contents(layout, one, field, copies)} for one in examples]
    counts = Counter(content for found in contents for content in found)
    return sum(any(counts[content] > 1 for content in found) for found in contents)


def split_by_column(layout: Layout, examples: Iterable[Example], copies: Copies) -> dict[str, list[Example]]:
    """Divides examples by the split column.

    A file that is in several splits, itself or as a copy, stays in the last of train, validation and test. In the others it is
    a fault of its example.

    Raises:
        DataError: A value is not the name of a split.
    """
    splits: dict[str, list[Example]] = {}
    for example in examples:
        split = SYNONYMS.get(str(example.split).strip().lower())
        if split is None:
            what = f"the column '{layout.split_column}' holds {example.split!r}; expected one of {', '.join(SYNONYMS)}."
            raise DataError(f"{layout.table}:{example.line}: {what}")
        splits.setdefault(split, []).append(example)
    owners: dict[str, tuple[str, int]] = {}
    for split in filter(splits.__contains__, reversed(SPLITS)):
        for place, example in enumerate(splits[split]):
            faults: dict[str, str] = {}
            for field in layout.paths:
                for content in _contents(layout, example, field, copies):
                    owner, line = owners.setdefault(content, (split, example.line))
                    if owner != split:
                        names = ", ".join(layout.paths_in(example, field))
                        faults[field] = f"{field}: {names} is in the split '{owner}' too, itself or as a copy, in line {line}"
            splits[split][place] = replace(example, faults=faults | dict(example.faults))
    return splits


def split_by_share(
    layout: Layout, examples: Sequence[Example], copies: Copies, shares: Mapping[str, float], seed: int
) -> dict[str, list[Example]]:
    """Draws a share of the examples for each given split; the rest is `train`. Examples that share a file stay together.

    Raises:
        DataError: There are too few examples.
    """
    keyed = [*zip(_keys(layout, examples, copies), examples, strict=True)]
    # Sorting by a hash makes the splits independent of the order of the rows. When rows are added, few examples change their
    # split. Hashing the path relative to the root makes the splits independent of the location of the folder.
    root = normpath(layout.root) + sep
    order = sorted({key for key, _ in keyed}, key=lambda key: blake2b(f"{seed} {key.removeprefix(root)}".encode()).digest())
    counts = {split: max(1, round(share * len(order))) for split, share in shares.items() if share > 0}
    if sum(counts.values()) >= len(order):
        what = f"{len(order)} different examples are too few for the splits train, {', '.join(counts)}."
        raise DataError(f"{layout.table}: {what}\nAdd some, or set a split's share to 0.")
    names = iter([split for split, count in counts.items() for _ in range(count)])
    chosen = {key: next(names, "train") for key in order}
    splits: dict[str, list[Example]] = {}
    for key, example in keyed:
        splits.setdefault(chosen[key], []).append(example)
    return splits


def _contents(layout: Layout, example: Example, field: str, copies: Copies) -> list[str]:
    """Returns a key for the contents of each file of a field. Pictures of a clip may be black in many, so only all count."""
    paths = layout.paths_in(example, field)
    found = [copies.get(path, path) for path in paths]
    return [*paths, "\0".join(found)] if paths and field in layout.videos else found


def _keys(layout: Layout, examples: Iterable[Example], copies: Copies) -> list[str]:
    """Returns a key for each example; examples with the same key must be in the same split.

    Examples that are connected by shared files, also through other examples, have the same key: the smallest of their first
    paths (union-find). The key of an example without files is its group, or else all its values.
    """
    parts = []
    for example in examples:
        paths = [path for field in layout.paths for path in layout.paths_in(example, field)]
        contents = [content for field in layout.paths for content in _contents(layout, example, field, copies)]
        parts.append([*paths, *contents] or [_whole(layout, example)])
    parent: dict[str, str] = {}

    def root_of(part: str) -> str:
        while parent.setdefault(part, part) != part:
            parent[part] = part = parent[parent[part]]  # path compression
        return part

    for first, *others in parts:
        for other in others:
            parent[root_of(other)] = root_of(first)
    least: dict[str, str] = {}
    for first, *_ in parts:
        least[root_of(first)] = min(first, least.get(root_of(first), first))
    return [least[root_of(first)] for first, *_ in parts]


def _whole(layout: Layout, example: Example) -> str:
    group = example.values.get(layout.group_by or "")
    return json.dumps(nfc(dict(example.values) if group is None else group), sort_keys=True)
