"""History -> charts of the losses: the coordinates of each line, tick and label, for the page to draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 356, 14, 232
"""The area of the lines in a panel; their labels are to the right of it."""
STEEP = 30
"""The axis is logarithmic if the largest value is more than this many times the smallest."""
APART = 15
"""The smallest distance between two labels."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its coordinate and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        name: `train` or `validation`.
        points: `(x, y)` in the panel, one for each epoch; epochs with NaN or an infinite value are left out.
        last: The last finite value.
        label_at: The y coordinate of its label.
    """

    name: str
    points: Sequence[Point]
    last: float
    label_at: float

    @property
    def path(self) -> str:
        """The points as an SVG path."""
        return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in self.points)


@dataclass(frozen=True)
class Panel:
    """A chart of one quantity by epoch.

    Args:
        name: What is drawn, for example `loss`.
        lines: At least one.
        x_ticks: Ticks of the epochs.
        y_ticks: Ticks of the values.
        log: Whether the y axis is logarithmic.
        lowest: The epoch, the value and the point of the lowest validation value; None without validation.
    """

    name: str
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    log: bool
    lowest: tuple[int, float, Point] | None


@dataclass(frozen=True)
class _Scale:
    """Maps values from `low` to `high` onto coordinates from `start` to `end`; onto the middle if `low` equals `high`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def panels(history: Mapping[str, Sequence[float]]) -> list[Panel]:
    """Lays out a chart for each loss: the total first, then each part of it that differs from the total.

    Args:
        history: Name -> one number per epoch, as in Keras' `History`; `val_<name>` is of the validation split.
    """
    names = [name for name in history if not name.startswith("val_")]
    parts = [name for name in names if name != "loss" and history[name] != history.get("loss")]
    made = (_panel(name, history) for name in ["loss", *parts])
    return [panel for panel in made if panel is not None]


def _panel(name: str, history: Mapping[str, Sequence[float]]) -> Panel | None:
    series = {"train": _finite(history.get(name, ())), "validation": _finite(history.get(f"val_{name}", ()))}
    series = {label: values for label, values in series.items() if values}
    if not series:
        return None
    values = [value for by_epoch in series.values() for value in by_epoch.values()]
    epochs = max(len(history.get(key, ())) for key in (name, f"val_{name}"))
    log = min(values) > 0 and max(values) / min(values) > STEEP
    ticks = _decades(min(values), max(values)) if log else _round_numbers(min(values), max(values))
    x = _Scale(1, epochs, LEFT, RIGHT)
    y = _Scale(min(ticks[0], *values), max(ticks[-1], *values), BOTTOM, TOP, log)
    placed = {label: {e: (x(e), y(v)) for e, v in by_epoch.items()} for label, by_epoch in series.items()}
    heights = _spread({label: list(points.values())[-1][1] for label, points in placed.items()})
    lines = [Line(label, list(p.values()), list(series[label].values())[-1], heights[label]) for label, p in placed.items()]
    ticked = [epoch for epoch in _round_numbers(1, epochs, whole=True) if 1 <= epoch <= epochs]
    return Panel(name, lines, _ticks(ticked, x), _ticks(ticks, y, log), log, _lowest(series, placed))


def _ticks(numbers: Sequence[float], scale: _Scale, log: bool = False) -> list[Tick]:
    """Formats numbers with as many decimals as the longest needs; on a logarithmic axis, each on its own."""
    texts = [f"{number:g}" for number in numbers]
    if not log and not any("e" in text for text in texts):
        decimals = max(len(text.partition(".")[2]) for text in texts)
        texts = [f"{number:.{decimals}f}" for number in numbers]
    return [Tick(scale(number), text) for number, text in zip(numbers, texts, strict=True)]


def _lowest(
    series: Mapping[str, Mapping[int, float]], placed: Mapping[str, Mapping[int, Point]]
) -> tuple[int, float, Point] | None:
    by_epoch = series.get("validation")
    if not by_epoch:
        return None
    epoch = min(by_epoch, key=lambda e: by_epoch[e])
    return epoch, by_epoch[epoch], placed["validation"][epoch]


def _finite(values: Sequence[float]) -> dict[int, float]:
    return {epoch: value for epoch, value in enumerate(values, 1) if math.isfinite(value)}


def _spread(heights: Mapping[str, float]) -> dict[str, float]:
    """Moves labels down that would overlap, from top to bottom."""
    spread: dict[str, float] = {}
    for label, height in sorted(heights.items(), key=lambda item: item[1]):
        spread[label] = max([height, *(other + APART for other in spread.values())])
    return spread


def _round_numbers(low: float, high: float, whole: bool = False) -> list[float]:
    """Returns two to seven round numbers that enclose a range: multiples of 1, 2 or 5 times a power of ten."""
    size = max(abs(low), abs(high), 1e-9)
    rough = (high - low if high - low > 1e-6 * size else size) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Returns 1, 2 and 5 times the powers of ten within a range; in a range of many powers, up to nine powers alone."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, 1 + (last - first) // 9)
    factors = (1, 2, 5) if last - first < 3 else (1,)
    numbers = [factor * 10.0**power for power in powers for factor in factors]
    inside = [number for number in numbers if low <= number <= high]
    return inside if len(inside) >= 2 else [low, high]
