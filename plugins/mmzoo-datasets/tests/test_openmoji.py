"""The component `openmoji`: its card before and after preparing, its splits, its errors."""

import io

import pytest
from mmzoo_datasets.openmoji import OpenMoji
from mmzoo_datasets.openmoji_groups import group_of
from PIL import Image

from mmzoo import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepares 60 drawings, and gives the folder they are kept in."""
    folder = str(tmp_path_factory.mktemp("openmoji"))
    data = OpenMoji(limit=60, size=24, data_dir=folder)
    assert data.card.needs == f"rendering the OpenMoji drawings once, about 15 s and 9 MB in {data.builder.data_dir}"
    assert data.card.sizes == {}
    data.prepare()
    assert data.card.needs == ""
    return folder


def test_prepared_data_has_sizes_and_the_fields_of_its_card(folder):
    data = OpenMoji(limit=60, size=24, data_dir=folder)
    assert data.card.needs == ""
    splits = data.splits()
    rows = {name: [{key: value.numpy() for key, value in row.items()} for row in split] for name, split in splits.items()}
    assert {name: len(found) for name, found in rows.items()} == data.card.sizes
    assert sum(data.card.sizes.values()) >= 60
    assert all(set(row) == set(data.card.fields) for found in rows.values() for row in found)
    picture = Image.open(io.BytesIO(rows["train"][0]["image"]))
    assert (picture.format, picture.size) == ("PNG", (24, 24))


def test_preparing_again_changes_nothing(folder):
    data = OpenMoji(limit=60, size=24, data_dir=folder)
    before = data.card.sizes
    data.prepare()
    assert data.card.sizes == before


def test_unknown_language(tmp_path):
    with pytest.raises(DataError, match=r"^language: received 'xx', expected one of ar, de, en, "):
        OpenMoji(language="xx", data_dir=str(tmp_path))


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    data = OpenMoji(limit=20, data_dir=str(tmp_path / "file" / "folder"))
    with pytest.raises(DataError, match=rf"^the drawings cannot be kept in {tmp_path}/file/folder/\S+: "):
        data.prepare()


def test_a_split_that_would_be_empty(tmp_path):
    data = OpenMoji(limit=20, split="groups", held_out=["Component"], data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"^none of the \d+ drawings is left for the split 'test'. Hold out other groups"):
        data.prepare()


def test_groups_are_fields(folder):
    rows = OpenMoji(limit=60, size=24, data_dir=folder).splits()["train"]
    for row in rows:
        group, subgroup, text = (row[name].numpy().decode() for name in ("group", "subgroup", "emoji"))
        assert (group, subgroup) == group_of(text)
