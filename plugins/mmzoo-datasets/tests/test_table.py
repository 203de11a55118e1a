"""The shapes of tables that are read as they are: separators, quotes, headers, and the captions of Flickr and COCO."""

import csv
import json
from pathlib import Path
from unicodedata import normalize

import pytest
from mmzoo_datasets.table import read_columns, read_rows


def read(folder: Path, name: str, text: str, quoting: str = "auto") -> list[tuple]:
    """Writes and reads a table; returns the line and the cells of each row."""
    (folder / name).write_text(text, "utf-8")
    return [(row.line, *row.cells.values()) for row in read_rows(folder / name, quoting)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("excel.csv", 'sep=;\na;b\n1;"2;3"\n', [(3, "1", "2;3")]),
        ("excel.csv", '"sep=|"\na|b\n1|2,3\n', [(3, "1", "2,3")]),
        ("flickr30k.csv", 'a| b\n1| "Go" says a sign .\n2| a 9" dog\n', [(2, "1", '"Go" says a sign .'), (3, "2", 'a 9" dog')]),
        ("plain.tsv", 'a\tb\n1\t"A dog\n2\tA 12"\n3\t"c"\n', [(2, "1", '"A dog'), (3, "2", 'A 12"'), (4, "3", "c")]),
        ("excel.tsv", 'a\tb\n1\t"x,\nsaid ""y"""\n2\tv\n', [(2, "1", 'x,\nsaid "y"'), (4, "2", "v")]),
        ("prose.csv", 'a,b\n1,"x, and\nthen, y"\n2,v\n', [(2, "1", "x, and\nthen, y"), (4, "2", "v")]),
        ("list.json", '[{"a": "1",\n"b": 2}, {"a": "3", "b": null}]', [(1, "1", 2), (2, "3", None)]),
        (
            "flickr8k.txt",
            '1.jpg#0\tA "dog" .\n1.jpg#1\t"A cat\n',
            [(1, "1.jpg", "0", 'A "dog" .'), (2, "1.jpg", "1", '"A cat')],
        ),
    ],
)
def test_tables_of_known_shapes(tmp_path, name, text, expected):
    assert read(tmp_path, name, text) == expected


def test_quotes_wrap_cells_or_are_text_as_asked(tmp_path):
    text = 'a,b\n1,"x\n2,y"\n'
    assert read(tmp_path, "t.csv", text, "csv") == [(2, "1", "x\n2,y")]
    assert read(tmp_path, "t.csv", text, "none") == [(2, "1", '"x'), (3, "2", 'y"')]


@pytest.mark.parametrize("ending", ["\n", "\r"])
def test_a_cell_may_be_longer_than_python_reads_by_default(tmp_path, ending):
    limit = csv.field_size_limit()
    long = "x" * (limit + 1)
    assert read(tmp_path, "t.csv", f"a,b{ending}1,{long}{ending}") == [(2, "1", long)]
    assert csv.field_size_limit() == limit


def test_captions_of_coco(tmp_path):
    images = [{"id": 7, "file_name": "a.jpg", "height": 4}, {"id": 8, "file_name": "b.jpg", "height": 4}]
    pairs = [(8, "A dog."), (7, "A cat."), (9, "A picture that is not there.")]
    annotations = [{"image_id": image, "caption": caption} for image, caption in pairs]
    text = json.dumps({"info": {}, "images": images, "annotations": annotations}, indent=1)
    assert read(tmp_path, "captions_val2017.json", text) == [
        (1, "b.jpg", 8, "A dog."),
        (2, "a.jpg", 7, "A cat."),
        (3, None, 9, "A picture that is not there."),
    ]


def test_captions_of_karpathy(tmp_path):
    images = [
        {
            "filepath": "val2014",
            "filename": "a.jpg",
            "split": "restval",
            "imgid": 3,
            "sentences": [{"raw": "A dog.", "tokens": []}],
        },
        {"filename": "b.jpg", "split": "test", "sentences": [{"raw": "A cat."}, {"raw": "One cat."}]},
    ]
    assert read(tmp_path, "dataset_coco.json", json.dumps({"dataset": "coco", "images": images})) == [
        (1, "val2014/a.jpg", ["A dog."], "restval"),
        (2, "b.jpg", ["A cat.", "One cat."], "test"),
    ]


@pytest.mark.parametrize("text", ["caf\u00e9,b\n1,2\n", '[{"caf\u00e9": "1", "b": "2"}]'])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_columns_have_one_unicode_form(tmp_path, text, form):
    table = tmp_path / ("t.csv" if text[0] == "c" else "t.json")
    table.write_text(normalize(form, text), "utf-8")
    assert read_columns(table, "auto") == ["caf\u00e9", "b"]
