"""A component receives its files as absolute paths, named from the folder of the build."""

from pathlib import Path

import pytest

from mmzoo import FilePath
from mmzoo.recipe.plan import BoundComponent
from mmzoo.registry.catalog import Component, Plugin


class Table:
    def __init__(self, *, table: FilePath | None = None):
        self.table = table


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ("pairs.csv", "/where/it/was/built/pairs.csv"),
        ("/data/pairs.csv", "/data/pairs.csv"),
        ("~/pairs.csv", str(Path.home() / "pairs.csv")),
        ("gs://bucket/pairs.csv", "gs://bucket/pairs.csv"),
        ("~nobody-of-this-name/pairs.csv", "~nobody-of-this-name/pairs.csv"),
        (None, None),
    ],
)
def test_a_file_is_named_from_the_folder_of_the_build(given, received):
    component = Component("dataset", "table", f"{__name__}:Table", Plugin("mmzoo-toy", "0.3", "toy"))
    bound = BoundComponent(component, {"table": given}, None, folder=Path("/where/it/was/built"))
    assert bound.make().table == received
    assert bound.plain()["table"] == given  # a run keeps what the recipe says
