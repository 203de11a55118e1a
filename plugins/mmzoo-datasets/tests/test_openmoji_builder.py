"""The emoji data set: its pairs, its splits, and what TFDS writes of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from mmzoo_datasets.openmoji_builder import MmzooOpenmoji, OpenmojiConfig, openmoji, render
from mmzoo_datasets.openmoji_groups import group_of
from mmzoo_datasets.openmoji_pairs import is_combination, parts, read_pairs, role, split_pairs, words
from PIL import Image

LANGUAGES = ["en", "zh", "de", "ar"]
HELD = ("validation", "test")


@pytest.fixture(scope="module", params=LANGUAGES)
def splits(request):
    return split_pairs(read_pairs(request.param))


def prepared(folder: Path, **options) -> MmzooOpenmoji:
    builder = openmoji(data_dir=str(folder), limit=60, **options)
    builder.download_and_prepare()
    return builder


def rows(builder: MmzooOpenmoji, split: str) -> list[dict]:
    raw = {"image": tfds.decode.SkipDecoding()}
    return list(tfds.as_numpy(builder.as_dataset(split=split, decoders=raw, shuffle_files=False)))


def test_names_are_plain_text():
    names = {pair.name for pair in read_pairs()}
    assert "woman cook medium-dark skin tone" in names
    assert not any(":" in name[0] + name[-1] or "_" in name for name in names)


def test_names_are_unique():
    names = [" ".join(words(pair.name)) for pair in read_pairs()]
    assert len(names) == len(set(names)) > 3900


def test_shares(splits):
    total = sum(map(len, splits.values()))
    assert len(splits["test"]) / total == pytest.approx(0.12, abs=0.01)
    assert len(splits["validation"]) / total == pytest.approx(0.08, abs=0.01)


def test_every_held_out_word_occurs_in_training(splits):
    known = {word for pair in splits["train"] for word in words(pair.name)}
    assert all(known.issuperset(words(pair.name)) for split in HELD for pair in splits[split])


def test_every_held_out_part_and_role_occurs_in_training(splits):
    known = {part for pair in splits["train"] for part in parts(pair.emoji)}
    roles = {role(pair.emoji) for pair in splits["train"]}
    held = [pair for split in HELD for pair in splits[split]]
    assert all(is_combination(pair.emoji) and role(pair.emoji) in roles for pair in held)
    assert all(known.issuperset(parts(pair.emoji)) for pair in held)


def test_no_name_is_in_two_splits(splits):
    names = [" ".join(words(pair.name)) for members in splits.values() for pair in members]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["composition", "random"])
def test_split_depends_on_the_seed_alone(kind):
    pairs = read_pairs()
    assert split_pairs(pairs, kind, seed=3) == split_pairs(read_pairs(), kind, seed=3)
    again = {name: sorted(members) for name, members in split_pairs(pairs[::-1], kind, seed=3).items()}
    assert again == {name: sorted(members) for name, members in split_pairs(pairs, kind, seed=3).items()}
    assert split_pairs(pairs, kind, seed=3) != split_pairs(pairs, kind, seed=4)


def test_groups_are_held_out_whole():
    pairs = read_pairs()
    splits = split_pairs(pairs, "groups", held_out=["Flags", "animal-bird"])
    flags = {pair for pair in pairs if "🇦" <= pair.emoji[0] <= "🇿"}
    assert flags < set(splits["test"])
    left = {group_of(pair.emoji) for pair in splits["test"]}
    assert {group for group, _ in left} == {"Flags", "Animals & Nature"}
    assert {subgroup for group, subgroup in left if group != "Flags"} == {"animal-bird"}
    rest = splits["train"] + splits["validation"]
    assert not left & {group_of(pair.emoji) for pair in rest}
    assert sorted(rest + splits["test"]) == sorted(pairs)
    assert len(splits["validation"]) / len(rest) == pytest.approx(0.08, abs=0.001)
    assert {group_of(pair.emoji).group for pair in splits["validation"]} > {"Objects", "Symbols"}


def test_random_split_holds_out_plain_emoji_too():
    assert not all(is_combination(pair.emoji) for pair in split_pairs(read_pairs(), "random")["test"])


def test_render_gives_opaque_rgb_of_the_size():
    picture = Image.open(io.BytesIO(render("1F600", size=40)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (40, 40))
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_prepared_data_is_the_same_twice(tmp_path):
    first = rows(prepared(tmp_path / "first"), "train")
    assert first == rows(prepared(tmp_path / "second"), "train")


def test_example_has_a_picture_of_the_size(tmp_path):
    builder = prepared(tmp_path, size=48)
    example = rows(builder, "train")[0]
    assert set(example) == {"image", "name", "emoji", "group", "subgroup"}
    assert Image.open(io.BytesIO(example["image"])).size == (48, 48)
    decoded = next(iter(tfds.as_numpy(builder.as_dataset(split="train"))))
    assert decoded["image"].shape == (48, 48, 3)


def test_preparing_is_quiet(tmp_path, capfd):
    builder = openmoji(data_dir=str(tmp_path), limit=20)
    capfd.readouterr()
    builder.download_and_prepare()
    assert capfd.readouterr() == ("", "")


def test_chinese_names(tmp_path):
    builder = prepared(tmp_path, language="zh", split="random")
    names = [row["name"].decode() for row in rows(builder, "train")]
    assert any("\u4e00" <= char <= "\u9fff" for name in names for char in name)


def test_registered_under_its_name(tmp_path):
    assert tfds.builder("mmzoo_openmoji", data_dir=str(tmp_path)).builder_config.name == "en_composition"
    assert openmoji(data_dir=str(tmp_path), language="zh").builder_config.name == "zh_composition"


def test_name_of_the_options():
    config = OpenmojiConfig(language="de", split="random", size=64, seed=2, limit=9)
    assert config.name == "de_random_64px_seed2_limit9"


def test_the_same_groups_are_kept_under_one_name():
    flags = ("flag", "country-flag", "subdivision-flag")
    held = [("Flags",), flags, flags[::-1], ("flag",)]
    names = [OpenmojiConfig(split="groups", held_out=one).name for one in held]
    assert names[0] == names[1] == names[2] != names[3]
    assert names[0].startswith("en_groups_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "xx"}, "language: received 'xx', expected one of ar, de, en, es, fa, fr"),
        ({"split": "half"}, "split: received 'half', expected one of composition, groups, random"),
        (
            {"split": "groups"},
            r"held_out: the split 'groups' needs groups or subgroups to hold out, such as \[Flags, animal-bird\]",
        ),
        ({"held_out": ("Flags",)}, "held_out: the split 'composition' holds out no groups; write `split: groups`"),
        ({"size": 0}, "size: received 0, expected at least 1 pixel"),
    ],
)
def test_wrong_option(options, message):
    with pytest.raises(ValueError, match=message):
        OpenmojiConfig(**options)
