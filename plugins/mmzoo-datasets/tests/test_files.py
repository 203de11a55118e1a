"""A user's own files: what a table may look like, what is wrong with one, how it is split, and that its recipe builds."""

import codecs
import csv
import io
import json
import shutil
from hashlib import sha256
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from mmzoo_datasets.files import Files
from PIL import Image

import mmzoo
from mmzoo import FAULT, ROW, DataError, FieldSpec, Indexed, fault_of
from mmzoo.testing import read_split

RECIPE = Path(__file__).parents[3] / "recipes" / "files" / "captioner.yaml"


def png(shade: int = 0) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 128, 255 - shade)).save(target, format="PNG")
    return target.getvalue()


def write(folder: Path, text: str, name: str = "pairs.csv") -> str:
    (folder / name).write_text(text, "utf-8")
    return str(folder / name)


def pictures(folder: Path, *names: str) -> None:
    for shade, name in enumerate(names):
        (folder / name).write_bytes(png(shade))


def rows(split: Indexed) -> list[dict]:
    """Reads the rows; the first of the faults of a row's fields becomes its `FAULT`."""
    found = read_split(split)
    for row in found:
        faults = [row.pop(fault_of(name)) for name in [*row] if fault_of(name) in row]
        row[FAULT] = next(filter(None, faults), b"")
    return found


def read(table: str, **options) -> list[dict]:
    """Reads a table into one split."""
    data = Files(table=table, validation=0.0, test=0.0, **options)
    data.prepare()
    return rows(data.splits()["train"])


# What a table may look like


def test_csv_with_the_files_that_it_names(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    found = read(write(tmp_path, 'image,caption\na.png,A dog.\nb.png,"Two cups, ""red"".\nAnd more."\n'))
    assert found == [
        {"image": png(0), "caption": b"A dog.", ROW: b"pairs.csv:2", FAULT: b""},
        {"image": png(1), "caption": b'Two cups, "red".\nAnd more.', ROW: b"pairs.csv:3", FAULT: b""},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_byte_order_mark(tmp_path, separator, end, mark):
    lines = [["id", "text"], ["1", "eins"], [], ["2", "zwei, 'drei'"]]
    table = io.StringIO()
    csv.writer(table, delimiter=separator, lineterminator=end).writerows(lines)
    (tmp_path / "t.txt").write_bytes((mark + table.getvalue()).encode())
    found = read(str(tmp_path / "t.txt"), files=[])
    assert [(row["id"], row["text"], row[ROW]) for row in found] == [
        (b"1", b"eins", b"t.txt:2"),
        (b"2", b"zwei, 'drei'", b"t.txt:4"),
    ]


def test_a_row_is_named_by_its_first_line(tmp_path):
    found = read(write(tmp_path, 'a,b\n1,"x\ny\nz"\n2,w\n'), files=[])
    assert [row[ROW] for row in found] == [b"pairs.csv:2", b"pairs.csv:5"]


def test_a_column_without_a_name_is_not_read(tmp_path):
    data = Files(table=write(tmp_path, ",image, caption \n0,a.png,A dog.\n"))
    assert data.card.fields == {"image": "contents of the file, bytes", "caption": "value of the column"}


def test_json_lines_with_lists_and_numbers(tmp_path):
    lines = [
        {"text": "a", "captions": ["x", "y"], "label": 3, "score": 1, "ok": True},
        {"text": "ü", "captions": "z", "label": 4, "score": 0.5, "ok": False},
    ]
    table = write(tmp_path, "\n".join(json.dumps(line) for line in lines) + "\n\n", "t.jsonl")
    data = Files(table=table, files=[], validation=0.0, test=0.0)
    data.prepare()
    split = data.splits()["train"]
    assert split.specs == {
        "text": FieldSpec("string"),
        "captions": FieldSpec("string", several=True),
        "label": FieldSpec("int64"),
        "score": FieldSpec("float32"),
        "ok": FieldSpec("bool"),
    }
    first, second = rows(split)
    assert (first["captions"], second["captions"]) == ([b"x", b"y"], [b"z"])
    assert (first["label"], second["score"], second["text"], second["ok"]) == (3, 0.5, "ü".encode(), False)


def test_an_empty_text_among_numbers_is_an_empty_cell(tmp_path):
    lines = [{"text": "a", "label": 3}, {"text": "b", "label": ""}]
    _, second = read(write(tmp_path, "\n".join(map(json.dumps, lines)), "t.jsonl"), files=[])
    assert second[FAULT] == b"the column 'label' is empty"


def test_several_columns_make_a_list(tmp_path):
    text = "image,one,two,three\na.png,x,,z\nb.png,,,\n"
    pictures(tmp_path, "a.png", "b.png")
    first, second = read(write(tmp_path, text), lists={"caption": ["one", "two", "three"]})
    assert sorted(first) == sorted(["image", "caption", ROW, FAULT])
    assert first["caption"] == [b"x", b"z"]
    assert second[FAULT] == b"the column 'caption' is empty"


def test_rows_of_one_picture_are_grouped(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    text = "image,caption\na.png,one\nb.png,two\na.png,three\na.png,four\n"
    first, second = read(write(tmp_path, text), group_by="image")
    assert (first["image"], first["caption"], first[ROW]) == (png(0), [b"one", b"three", b"four"], b"pairs.csv:2")
    assert (second["image"], second["caption"]) == (png(1), [b"two"])


def test_lists_of_files_are_read(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    lines = [{"frames": ["a.png", "b.png"]}, {"frames": ["b.png", "c.png"]}]
    first, second = read(write(tmp_path, "\n".join(map(json.dumps, lines)), "t.jsonl"), files=["frames"])
    assert first["frames"] == [png(0), png(1)]
    assert second[FAULT] == f"frames: there is no file {tmp_path / 'c.png'}".encode()


def test_paths_start_in_the_root_and_may_lead_out_of_it(tmp_path):
    for name in ("root", "tables"):
        (tmp_path / name).mkdir()
    pictures(tmp_path, "root/a.png", "tables/b.png")
    table = write(tmp_path, f"image\na.png\n../tables/b.png\n{tmp_path / 'root' / 'a.png'}\n", "tables/t.csv")
    assert [row["image"] for row in read(table, root=str(tmp_path / "root"))] == [png(0), png(1), png(0)]
    assert [row["image"] for row in read(table)] == [b"", png(1), png(0)]


@pytest.mark.parametrize("group_by", [None, "image"])
def test_files_are_found_in_another_unicode_form(tmp_path, group_by):
    folder = tmp_path / normalize("NFD", "été")
    folder.mkdir()
    pictures(folder, normalize("NFC", "é.png"))
    names = [normalize(form, "été/é.png") for form in ("NFC", "NFD")]
    found = read(write(tmp_path, "image,caption\n" + "".join(f"{name},x\n" for name in names)), group_by=group_by)
    assert [row["image"] for row in found] == [png(0)] * (1 if group_by else 2)
    assert not any(row[FAULT] for row in found)


def test_the_table_and_its_columns_are_named_in_another_unicode_form(tmp_path):
    pictures(tmp_path, "a.png")
    write(tmp_path, normalize("NFD", "été,légende\na.png,x\n"), normalize("NFD", "naïve.csv"))
    (found,) = read(str(tmp_path / "naïve.csv"), files=["été"], columns=[normalize("NFD", "été"), "légende"])
    assert (found["été"], found["légende"]) == (png(0), b"x")


def test_relative_paths_start_in_the_current_folder(tmp_path, monkeypatch):
    pictures(tmp_path, "a.png")
    write(tmp_path, "image\na.png\n")
    monkeypatch.chdir(tmp_path)
    assert [row["image"] for row in read("pairs.csv")] == [png(0)]


# Faulty rows


def test_each_faulty_row_says_what_is_wrong(tmp_path):
    pictures(tmp_path, "a.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    cells = ["a.png,fine", "no.png,x", "empty.png,x", "folder.png,x", ",x", "a.png, ", "no.png,", "\0.png,x"]
    found = read(write(tmp_path, "\n".join(["image,caption", *cells])))
    assert [row[FAULT].decode() for row in found] == [
        "",
        f"image: there is no file {tmp_path / 'no.png'}",
        f"image: the file {tmp_path / 'empty.png'} is empty",
        f"image: the file {tmp_path / 'folder.png'} cannot be read: Is a directory",
        "the column 'image' is empty",
        "the column 'caption' is empty",
        f"image: there is no file {tmp_path / 'no.png'}",
        f"image: the file {tmp_path / chr(0)}.png cannot be read: embedded null byte",
    ]
    assert [row["image"] for row in found[1:5]] == [b""] * 4


def test_missing_values_of_json_lines_are_faults_of_their_rows(tmp_path):
    lines = ['{"text": "a", "n": 1}', '{"text": null, "n": 2}', '{"text": "b"}', '{"text": "c", "n": 4, "more": {}}']
    found = read(write(tmp_path, "\n".join(lines), "t.jsonl"), files=[])
    assert [(row["text"], row["n"]) for row in found] == [(b"a", 1), (b"", 2), (b"b", 0), (b"c", 4)]
    assert [bool(row[FAULT]) for row in found] == [False, True, True, False]


def test_only_the_named_columns_are_fields(tmp_path):
    found = read(write(tmp_path, "a,b\n1,\n2,\n"), files=[], columns=["a"])
    assert [(sorted(row), row[FAULT]) for row in found] == [(sorted(["a", ROW, FAULT]), b"")] * 2


@pytest.mark.parametrize(
    ("first", "second", "holds"),
    [
        ('"x"', "1", "1; expected text as in line 1"),
        ("1", '"n/a"', '"n/a"; expected a whole number as in line 1'),
        ("1.5", "true", "true; expected a number as in line 1"),
        ('"x"', '{"b": 1}', '{"b": 1}; expected text, a number of 64 bits or a list of them'),
        ("1", "98765432109876543210", "98765432109876543210; expected text, a number of 64 bits or a list of them"),
        ('["x"]', '["y", 1]', "1; expected text as in line 1"),
    ],
)
def test_a_value_of_another_type_is_a_fault_of_its_field(tmp_path, first, second, holds):
    table = write(tmp_path, f'{{"text": "a", "more": {first}}}\n{{"text": "b", "more": {second}}}\n', "t.jsonl")
    data = Files(table=table, files=[], validation=0.0, test=0.0)
    data.prepare()
    found = read_split(data.splits()["train"])
    assert [row[fault_of("text")] for row in found] == [b"", b""]
    assert [row[fault_of("more")].decode() for row in found] == ["", f"the column 'more' holds {holds}"]


def test_a_file_that_vanishes_after_the_check_is_a_fault(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    data = Files(table=write(tmp_path, "image\na.png\nb.png\n"), validation=0.0, test=0.0)
    data.prepare()
    split = data.splits()["train"]
    (tmp_path / "a.png").unlink()
    assert [bool(row[FAULT]) for row in rows(split)] == [True, False]


# Wrong tables


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.csv",
            b"a,b\n1,2\n1,2,3\n",
            "{t}:3: found 3 cells, expected 2 (a, b).\nA cell that contains a ',' must be in double quotes.",
        ),
        (
            "t.csv",
            b"a,b\n1\n",
            "{t}:2: found 1 cells, expected 2 (a, b).\nA cell that contains a ',' must be in double quotes.",
        ),
        ("t.csv", b"a,b,a\n", "{t}:1: the header names 'a' twice."),
        (
            "t.csv",
            b'a,b\n1,2\n3,"x\ny\n',
            "{t}:3: not valid CSV: unexpected end of data.\n"
            "Put a cell that contains a double quote in double quotes, and write that quote twice; or set `quoting: none` "
            "if the quotes are text.",
        ),
        (
            "t.csv",
            b'image,caption\na.png,x\nb.png,"a dog, brown\nc.png,a 12"\nd.png,y\n',
            "{t}:3: a cell in double quotes begins here and takes in line 4, which looks like a row of its own.\n"
            "Set `quoting: none` if the quotes are text, or `quoting: csv` if that line is part of the cell.",
        ),
        (
            "t.csv",
            b"a.png,A dog.\nb.png,A cat.\n",
            "{t}:1: found 'a.png', which looks like a file, where the names of the columns are expected.\n"
            "Write a header: sed -i '1i image,caption' {t}",
        ),
        (
            "t.token",
            b"1.jpg#0\tA dog.\nA cat.\n",
            "{t}:2: found 1 cells, expected 3 (image, number, caption).\n"
            "A cell that contains a '\t' needs double quotes and `quoting: csv`.",
        ),
        (
            "t.json",
            b'{"info": {}, "questions": [{"question": "What?"}]}',
            "{t}: found info, questions; expected a list of objects, "
            "COCO's `images` and `annotations`, or Karpathy's `images`.\n"
            "One of its lists as a table: jq -c '.questions[]' {t} > t.jsonl",
        ),
        (
            "t.json",
            b'{"a": 1}\n{"a": 2}\n',
            "{t}: not valid JSON: Extra data*If each line is a JSON object, give the file the suffix .jsonl.",
        ),
        ("t.csv", b"a,b\n1,gr\xfcn\n", "{t}:2: byte 0xfc at position 5 is not UTF-8.\nSave the table as UTF-8."),
        ("t.csv", "a,b\n".encode("utf-16"), "{t}:1: byte 0xff at position 1 is not UTF-8.\nSave the table as UTF-8."),
        ("t.csv", b"", "{t} is empty; expected a first line such as `image,caption`."),
        ("t.csv", codecs.BOM_UTF8 + b"\n\n", "{t} is empty; expected a first line such as `image,caption`."),
        ("t.csv", b"a,b\n\n", "the table {t} has no rows."),
        ("t.jsonl", b"", '{t} is empty; expected a first line such as `{{"image": "a.jpg", "caption": "A dog."}}`.'),
        ("t.jsonl", b'{"a": 1}\n{"a": 1,}\n', "{t}:2: not valid JSON: *\nEach line must be one JSON object."),
        ("t.jsonl", b'{"a": 1}\n\n[1]\n', "{t}:3: found [1], expected a JSON object such as {{...}}."),
        (
            "t.jsonl",
            b'{"a": 1, "b": 2, "a": 3}\n',
            "{t}:1: not valid JSON: 'a' occurs twice in one object.\nEach line must be one JSON object.",
        ),
        ("t.jsonl", b'{"a": "\\ud83d"}', "{t}:1: not valid JSON: *surrogates not allowed.\nEach line must be one JSON object."),
        ("t.jsonl", b"[" * 100_000, "{t}:1: not valid JSON: *\nEach line must be one JSON object."),
        (
            "t.xlsx",
            b"PK",
            "{t}: the suffix '.xlsx' is not supported; expected one of .csv, .tsv, .txt, .token, .jsonl, .ndjson, .json.",
        ),
    ],
)
def test_wrong_table(tmp_path, name, text, message):
    table = tmp_path / name
    table.write_bytes(text)
    with pytest.raises(DataError) as caught:
        read(str(table), files=[])
    start, star, end = message.format(t=table).partition("*")
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(end) if star else str(caught.value) == start


@pytest.mark.parametrize(("name", "reason"), [("no.csv", "No such file or directory"), ("folder.csv", "Is a directory")])
def test_table_that_cannot_be_opened(tmp_path, name, reason):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=rf"^the table {tmp_path / name} cannot be read: {reason}\.$"):
        Files(table=str(tmp_path / name))


def test_the_folder_of_a_user_that_there_is_not():
    what = "option table: the home folder in ~nobody-of-that-name/t.csv is not known. Write the path without ~."
    with pytest.raises(DataError, match=f"^{what}$"):
        Files(table="~nobody-of-that-name/t.csv")


def test_relative_table_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"^the table no.csv cannot .*\nThe path starts in the current folder, {tmp_path}\.$"):
        Files(table="no.csv")


def test_making_it_reads_the_header_alone(tmp_path):
    data = Files(table=write(tmp_path, "image,caption\na.png\n"))
    assert list(data.card.fields) == ["image", "caption"]
    assert (data.card.sizes, data.card.needs) == ({}, "")
    with pytest.raises(DataError, match="found 1 cells"):
        data.prepare()


# Options


LACKS = "the table {t} has no column"
KNOWN = "Known: img, text, part."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, f"option files: {LACKS} 'image'.\nNearest: img. {KNOWN}"),
        ({"files": ["img"], "columns": ["txt"]}, f"option columns: {LACKS} 'txt'.\nNearest: text. {KNOWN}"),
        ({"group_by": "id"}, f"option group_by: {LACKS} 'id'.\n{KNOWN}"),
        ({"split_column": "Part"}, f"option split_column: {LACKS} 'Part'.\nNearest: part. {KNOWN}"),
        ({"lists": {"c": ["c1"]}}, f"option lists: {LACKS} 'c1'.\n{KNOWN}"),
        ({"lists": {"img": ["text"]}}, "option lists: the table has a column 'img' already, which is not in the list."),
        ({"split_column": "part", "test": 0.2}, "options split_column and test: give either the one or the other."),
        ({"validation": 0.5, "test": 0.5}, "options validation and test: expected less than 1 together, received 1.0."),
        ({"files": ["img"], "columns": ["text"]}, "option files: the field 'img' is not read; the fields are text."),
    ],
)
def test_wrong_option(tmp_path, options, message):
    table = write(tmp_path, "img,text,part\na.png,x,train\n")
    with pytest.raises(DataError) as caught:
        Files(table=table, **options)
    assert str(caught.value) == message.format(t=table)


def test_rows_of_a_group_agree(tmp_path):
    table = write(tmp_path, "id,image,text\n1,a.png,x\n1,b.png,y\n")
    with pytest.raises(DataError) as caught:
        read(table, group_by="id")
    what = "the column 'image' holds 'b.png', but 'a.png' in line 2, which has the same 'id', '1'."
    assert str(caught.value) == f"{table}:3: {what}\nRows of one group name one file and one split."


def test_a_column_of_files_holds_text(tmp_path):
    [row] = read(write(tmp_path, '{"image": 7}\n', "t.jsonl"))
    assert (row["image"], row[FAULT]) == (b"", b"the column 'image' holds 7; expected the path of a file")


def test_blanks_around_cells_are_no_part_of_them(tmp_path):
    table = write(tmp_path, 'text,part\n red , train \n" a  b ",train\n')
    data = Files(table=table, files=[], split_column="part")
    data.prepare()
    assert [row["text"].decode() for row in rows(data.splits()["train"])] == ["red", "a  b"]


# Splits


def test_splits_by_a_column(tmp_path):
    names = ["train", "Training", " VAL ", "valid", "validation", "dev", "test", "testing"]
    table = write(tmp_path, "\n".join(["text,part", *(f"{name.strip()},{name}" for name in names)]))
    data = Files(table=table, files=[], split_column="part")
    data.prepare()
    found = {name: [row["text"].decode() for row in rows(split)] for name, split in data.splits().items()}
    assert found == {"train": names[:2], "validation": ["VAL", *names[3:6]], "test": names[6:]}
    assert data.card.sizes == {"train": 2, "validation": 4, "test": 2}
    assert list(data.card.fields) == ["text"]


def test_unknown_split(tmp_path):
    table = write(tmp_path, "text,part\na,train\nb,rest\n")
    expected = "train, training, restval, validation, valid, val, dev, test, testing"
    with pytest.raises(DataError, match=f"3: the column 'part' holds 'rest'; expected one of {expected}.$"):
        Files(table=table, files=[], split_column="part").prepare()


def test_a_file_in_two_splits_is_a_fault_in_the_earlier_one(tmp_path):
    pictures(tmp_path, *(f"{name}.png" for name in "abcde"))
    (tmp_path / "copy.png").write_bytes(png(1))
    (tmp_path / "link.png").symlink_to(tmp_path / "c.png")
    lines = ["a,x,train", "b,y,train", "./a,z,val", "copy,d,test", "link,v,val", "c,w,val", "d,u,train", "e,a,test"]
    cells = [line.replace(",", ".png,") for line in lines]
    table = write(tmp_path, "\n".join(["image,scan,part", *cells]))
    data = Files(table=table, split_column="part", files=["image", "scan"])
    data.prepare()
    splits = {name: read_split(split) for name, split in data.splits().items()}
    found = {row[ROW].decode(): row[fault_of("image")].decode() for split in splits.values() for row in split}
    assert {row: fault for row, fault in found.items() if fault} == {
        f"pairs.csv:{row}": f"image: {tmp_path}/{name}.png is in the split 'test' too, itself or as a copy, in line {line}"
        for row, name, line in [(2, "a", 9), (3, "b", 5), (4, "a", 9), (8, "d", 5)]
    }
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "validation": 3, "test": 2}


def test_shares_keep_together_what_files_join(tmp_path):
    # Five rows are a chain in which each shares a file with the next, in one field or the other; 12 chains.
    pairs = [(f"{chain}{a}", f"{chain}{b}") for chain in "abcdefghijkl" for a, b in ("12", "32", "34", "54", "56")]
    order = np.random.default_rng(0).permutation(len(pairs))
    text = "\n".join(["image,scan", *(f"{pairs[row][0]},{pairs[row][1]}" for row in order)])
    data = Files(table=write(tmp_path, text), files=["image", "scan"], validation=0.25, test=0.25)
    data.prepare()
    lines = {name: [int(row[ROW].split(b":")[1]) - 2 for row in rows(split)] for name, split in data.splits().items()}
    chains = {name: [pairs[order[line]][0][0] for line in found] for name, found in lines.items()}
    assert {name: (len(found), len(set(found))) for name, found in chains.items()} == {
        "train": (30, 6),
        "validation": (15, 3),
        "test": (15, 3),
    }


def shared(folder: Path, order: list[int], **options) -> dict[str, set[str]]:
    """Splits 40 files, each in three rows written in some way, and gives the files of each split."""
    ways = ["{}.png", "./{}.png", "x/../{}.png"]
    cells = [f"{ways[index % 3].format(index // 3)},text {index}" for index in order]
    data = Files(table=write(folder, "\n".join(["image,caption", *cells])), **options)
    data.prepare()
    found = {name: [int(row["caption"].split()[1]) // 3 for row in rows(split)] for name, split in data.splits().items()}
    assert sum(map(len, found.values())) == len(order)
    return {name: set(files) for name, files in found.items()}


def test_shares_keep_the_rows_of_a_file_together(tmp_path):
    found = shared(tmp_path, list(range(120)), validation=0.1, test=0.25)
    assert {name: len(files) for name, files in found.items()} == {"train": 26, "validation": 4, "test": 10}
    assert len(set.union(*found.values())) == 40


def test_shares_keep_copies_together_and_count_them(tmp_path):
    names = [f"{index}.png" for index in range(8)]
    pictures(tmp_path, *names)
    for index, name in enumerate(names[:4]):
        (tmp_path / f"copy {name}").write_bytes(png(index))
        (tmp_path / f"link {name}").symlink_to(name)
    (tmp_path / "empty.png").touch()
    (tmp_path / "too.png").touch()
    ways = ["{}", "copy {}", "link {}"]
    cells = [way.format(name) for way in ways for name in names[: 8 if way == "{}" else 4]] + [
        "empty.png",
        "too.png",
        "gone.png",
    ]
    data = Files(table=write(tmp_path, "\n".join(["image", *cells])), validation=0.25, test=0.25)
    data.prepare()
    found = {name: {row["image"] for row in rows(split)} - {b""} for name, split in data.splits().items()}
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == len(names)
    assert data.card.note == (
        "12 of the 19 examples name a file that another example names, or a copy of it (8 files are copies); "
        "these examples are in one split"
    )


def test_a_changed_file_is_other_data_and_a_moved_folder_is_not(tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "clip").mkdir(parents=True)
    pictures(here, "a.png", "b.png", "clip/1.png")
    table = write(here, "image,video\na.png,clip\nb.png,clip\ngone.png,clip\n")

    def fingerprint(table: str = table) -> str:
        return Files(table=table, files=["image"], videos=["video"], frames_dir=str(tmp_path)).card.fingerprint

    first = fingerprint()
    there = shutil.copytree(here, tmp_path / "there")
    assert fingerprint(str(there / "pairs.csv")) == fingerprint() == first
    for changed in ("b.png", "clip/1.png", "gone.png"):
        (there / changed).write_bytes(png(99))
        assert fingerprint(str(there / "pairs.csv")) != first
        shutil.copytree(here, there, dirs_exist_ok=True)
    monkeypatch.setattr("mmzoo_datasets.contents.SMALL", 0)  # too large to read: sizes alone count
    large = fingerprint()
    (here / "a.png").write_bytes(bytes(len(png())))
    assert fingerprint() == large
    (here / "a.png").write_bytes(b"")
    assert fingerprint() != large


def test_the_fingerprint_of_a_table_that_cannot_be_read_is_that_of_its_bytes(tmp_path):
    table = write(tmp_path, "image,caption\na.png\n")
    assert Files(table=table).card.fingerprint == sha256(Path(table).read_bytes()).hexdigest()


def test_shares_follow_from_the_seed_alone(tmp_path):
    order = list(range(120))
    first = shared(tmp_path, order)
    assert shared(tmp_path, np.random.default_rng(0).permutation(order).tolist()) == first
    assert shared(tmp_path, order, seed=1) != first
    assert {name: len(files) for name, files in first.items()} == {"train": 32, "validation": 4, "test": 4}


def test_shares_do_not_depend_on_where_the_folder_is(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    assert shared(tmp_path / "here", list(range(120))) == shared(tmp_path / "there", list(range(120)))


def test_a_table_that_grows_moves_few_of_its_examples(tmp_path):
    before, after = shared(tmp_path, list(range(117))), shared(tmp_path, list(range(120)))
    assert sum(len(before[name] - after[name]) for name in before) <= 2


def test_without_files_or_groups_equal_rows_stay_together(tmp_path):
    table = write(tmp_path, "text\n" + "\n".join(f"t{index % 10}" for index in range(50)))
    data = Files(table=table, files=[])
    data.prepare()
    found = {name: {row["text"] for row in rows(split)} for name, split in data.splits().items()}
    assert {name: len(texts) for name, texts in found.items()} == {"train": 8, "validation": 1, "test": 1}


def test_too_few_examples_to_split(tmp_path):
    table = write(tmp_path, "text\na\nb\n")
    what = "2 different examples are too few for the splits train, validation, test.\nAdd some, or set a split's share to 0."
    with pytest.raises(DataError, match=f"{table}: {what}$"):
        Files(table=table, files=[]).prepare()


# The whole way


def recipe_table(folder: Path) -> str:
    """Makes 20 pictures of two kinds with two captions each, one row whose file is missing, and one with a damaged file."""
    table = [["photo", "text"]]
    for index in range(20):
        (folder / f"{index}.png").write_bytes(png(255 * (index % 2) + index * (-1) ** index))
        table += [
            [f"{index}.png", f"a {['blue', 'red'][index % 2]} square"],
            [f"{index}.png", f"{['blue', 'red'][index % 2]} paper"],
        ]
    (folder / "damaged.png").write_bytes(png()[:50])
    with (folder / "my.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*table, ["gone.png", "x"], ["damaged.png", "x"]])
    return str(folder / "my.csv")


def tiny(table: str) -> list[str]:
    return [
        f"data.table={table}",
        "data.files=[photo]",
        "data.group_by=photo",
        "inputs.image={type: image, field: photo, size: 32}",
        "inputs.caption={type: words, field: text, sequence_length: 4}",
        "encoders.image={type: resnet, blocks: [1], stem: 3}",
        "head.units=8",
        "train.epochs=1",
        "train.batch_size=8",
    ]


@pytest.mark.slow
def test_recipe_builds_and_leaves_out_faulty_rows(tmp_path, unrehearsed, asked_here, capsys):
    overrides = tiny(recipe_table(tmp_path))
    run = mmzoo.build(RECIPE, out=tmp_path / "run", overrides=[*overrides, "data.on_error=skip"])
    scores = json.loads((run.folder / "scores.json").read_text("utf-8"))
    assert {"bleu_4", "cider", "rouge_l", "exact_match"} <= set(scores)
    said = " ".join(capsys.readouterr().out.split())
    assert "gone.png" in said
    assert "my.csv:43: image: the picture's data is damaged" in said


@pytest.mark.slow
def test_recipe_stops_at_faulty_rows(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as caught:
        mmzoo.build(RECIPE, out=tmp_path / "run", overrides=tiny(recipe_table(tmp_path)))
    assert "my.csv:4" in str(caught.value)
    assert "on_error: skip" in str(caught.value)
