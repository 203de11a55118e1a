"""Unicode's groups of emoji, against its list (emoji-test.txt) for a sample, and the names of groups."""

import re

import pytest
from mmzoo_datasets.openmoji_groups import group_of, subgroups_of
from mmzoo_datasets.openmoji_pairs import read_pairs

LISTED = {
    ("Smileys & Emotion", "face-smiling"): ["😀"],
    ("Smileys & Emotion", "face-affection"): ["☺️", "☺"],
    ("Smileys & Emotion", "heart"): ["❤️", "❤️‍🔥"],
    ("People & Body", "person-role"): ["👩🏽‍🍳", "🧑‍🚀"],
    ("People & Body", "family"): ["👫", "👩🏻‍🤝‍👨🏿", "👨‍👩‍👧‍👦", "👩🏻‍❤️‍💋‍👩🏿"],
    ("People & Body", "hand-fingers-closed"): ["👍", "👍🏿"],
    ("People & Body", "person-activity"): ["👯", "👯🏽", "👯🏽‍♀️", "👨🏻‍🐰‍👨🏼", "🚶🏾‍♀️‍➡️"],
    ("People & Body", "person-sport"): ["🤼🏿‍♂️", "🧑🏾‍🫯‍🧑🏿", "🏄🏽"],
    ("Component", "skin-tone"): ["🏻", "🏿"],
    ("Component", "hair-style"): ["🦰"],
    ("Animals & Nature", "animal-bird"): ["🦜", "🐦‍⬛"],
    ("Animals & Nature", "animal-mammal"): ["🐰", "🐻‍❄️"],
    ("Animals & Nature", "animal-marine"): ["🐳", "🫍"],
    ("Food & Drink", "food-fruit"): ["🍇", "🍋‍🟩"],
    ("Travel & Places", "transport-ground"): ["🚗"],
    ("Activities", "sport"): ["⚽"],
    ("Objects", "musical-instrument"): ["🎺", "🪉", "🪊"],
    ("Symbols", "keycap"): ["#️⃣", "5⃣"],
    ("Symbols", "transport-sign"): ["🚮"],
    ("Flags", "country-flag"): ["🇳🇴", "🇨🇶"],
    ("Flags", "subdivision-flag"): ["🏴󠁧󠁢󠁳󠁣󠁴󠁿"],
    ("Flags", "flag"): ["🏴‍☠️", "🏳️‍🌈"],
}


@pytest.mark.parametrize(("text", "listed"), [(text, listed) for listed, texts in LISTED.items() for text in texts])
def test_group(text, listed):
    assert group_of(text) == listed


def test_every_emoji_has_one_of_unicodes_groups():
    groups = {group_of(pair.emoji).group for pair in read_pairs()}
    assert groups == {group for group, _ in LISTED}


def test_an_emoji_that_is_not_known():
    assert group_of("\U0001fc00") == ("unknown", "unknown")


def test_a_group_stands_for_its_subgroups():
    assert subgroups_of(["Flags", "flag", "animal-bird"]) == {"country-flag", "flag", "subdivision-flag", "animal-bird"}


def test_an_unknown_group():
    what = "received 'animal-birds', which is not a group or subgroup of Unicode's emoji. Nearest: animal-bird, "
    with pytest.raises(ValueError, match="^" + what) as caught:
        subgroups_of(["Flags", "animal-birds"])
    _, *tree = str(caught.value).split("\n")
    assert [re.match(r"  ([\w& ]+): ", line)[1] for line in tree] == sorted({group for group, _ in LISTED})
    assert "  Flags: country-flag, flag, subdivision-flag" in tree
