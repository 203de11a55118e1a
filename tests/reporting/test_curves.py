"""Curves stand where their values say."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmzoo.reporting.curves import APART, BOTTOM, LEFT, RIGHT, TOP, panels

LOSS = {"loss": [4.0, 2.5, 2.0, 1.9], "val_loss": [3.0, 2.75, 2.25, 2.5]}


def points(path: str) -> list[tuple[float, float]]:
    assert re.fullmatch(r"M[\d.]+,[\d.]+(L[\d.]+,[\d.]+)*", path)
    return [tuple(map(float, point.split(","))) for point in path[1:].split("L")]


def values(panel, line) -> list[float]:
    """Reads the values back from the path with the ticks of the axis alone, as a person would."""
    low, high = panel.y_ticks[0], panel.y_ticks[-1]
    of = math.log if panel.log else float
    slope = (of(float(high.text)) - of(float(low.text))) / (high.at - low.at)
    read = [of(float(low.text)) + slope * (y - low.at) for _, y in points(line.path)]
    return [math.exp(value) for value in read] if panel.log else read


def test_the_values_can_be_read_back_from_the_paths():
    (panel,) = panels(LOSS)
    assert [line.name for line in panel.lines] == ["train", "validation"]
    for line, expected in zip(panel.lines, LOSS.values(), strict=True):
        assert values(panel, line) == pytest.approx(expected, rel=1e-3)
        assert line.last == expected[-1]
        assert [x for x, _ in points(line.path)] == pytest.approx([LEFT + i * (RIGHT - LEFT) / 3 for i in range(4)], abs=0.01)


def test_epochs_are_ticked_where_they_stand():
    (panel,) = panels({"loss": [float(value) for value in range(10, 0, -1)]})
    assert [tick.text for tick in panel.x_ticks] == ["2", "4", "6", "8", "10"]
    x = {str(epoch): at for epoch, (at, _) in enumerate(panel.lines[0].points, 1)}
    assert [tick.at for tick in panel.x_ticks] == [x[tick.text] for tick in panel.x_ticks]


def test_a_steep_fall_stands_on_a_logarithmic_axis():
    steep = [900.0, 90.0, 9.0, 1.5]
    (panel,) = panels({"loss": steep})
    assert panel.log
    assert values(panel, panel.lines[0]) == pytest.approx(steep, rel=1e-3)
    assert not panels({"loss": [29.0, 1.0]})[0].log
    assert not panels({"loss": [5.0, -5.0]})[0].log


def test_the_least_validation_value_is_marked():
    (panel,) = panels(LOSS)
    assert panel.lowest == (3, 2.25, panel.lines[1].points[2])
    assert panels({"loss": [1.0]})[0].lowest is None


def test_a_part_that_is_the_total_itself_is_not_drawn_again():
    history = {"loss": [2.0, 1.0], "only": [2.0, 1.0], "val_loss": [3.0, 2.0], "val_only": [3.0, 2.0]}
    assert [panel.name for panel in panels(history)] == ["loss"]
    assert [panel.name for panel in panels(history | {"part": [1.0, 0.5]})] == ["loss", "part"]


def test_what_is_no_number_is_left_out():
    (panel,) = panels({"loss": [2.0, math.nan, 1.0], "val_loss": [math.inf] * 3})
    (line,) = panel.lines
    assert [x for x, _ in line.points] == [LEFT, RIGHT]
    assert panels({"loss": [math.nan]}) == []
    assert panels({}) == []


def test_one_epoch_stands_in_the_middle():
    (panel,) = panels({"loss": [1.25]})
    assert panel.lines[0].points[0][0] == (LEFT + RIGHT) / 2
    assert [tick.text for tick in panel.x_ticks] == ["1"]


def test_labels_stand_apart():
    train, validation = panels({"loss": [2.0, 1.0], "val_loss": [3.0, 1.001]})[0].lines
    assert train.label_at - validation.label_at >= APART


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.booleans())
def test_any_history_stays_in_its_frame(losses, validated):
    history = {"loss": losses} | ({"val_loss": losses[::-1]} if validated else {})
    (panel,) = panels(history)
    for line in panel.lines:
        assert len(line.points) == len(losses)
        assert all(LEFT <= x <= RIGHT and TOP - 0.01 <= y <= BOTTOM + 0.01 for x, y in line.points)
    assert 2 <= len(panel.y_ticks) <= 12
    assert all(TOP - 0.01 <= tick.at <= BOTTOM + 0.01 for tick in panel.y_ticks)
