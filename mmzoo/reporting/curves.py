"""History -> panels of curves: where each line, tick and label of a chart stands, for the page to draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 356, 14, 232
"""The area of the lines in the panel; right of it stand their labels."""
STEEP = 30
"""How many times the least value the largest must be before the axis becomes logarithmic."""
APART = 15
"""The least distance between two labels."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where it stands, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve.

    Args:
        name: `train` or `validation`.
        points: `(x, y)` in the panel, an epoch each; epochs whose value is no finite number are left out.
        last: The last finite value.
        label_at: The height of its label.
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
    """One quantity by epoch.

    Args:
        name: What is drawn, `loss` say.
        lines: At least one.
        across: Ticks of the epochs.
        up: Ticks of the values.
        log: Whether the values stand on a logarithmic axis.
        least: The epoch, the value and the point of the least validation value; None without validation.
    """

    name: str
    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]
    log: bool
    least: tuple[int, float, Point] | None


@dataclass(frozen=True)
class _Scale:
    """Maps values from `low` to `high` onto places from `start` to `end`; a single value stands in the middle."""

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
    """Lays out the curves of a training: the total loss first, then each part that is not the total itself.

    Args:
        history: Name -> a number per epoch, as Keras keeps it; `val_<name>` is that of the validation split.
    """
    names = [name for name in history if not name.startswith("val_")]
    parts = [name for name in names if name != "loss" and history[name] != history.get("loss")]
    laid = (_panel(name, history) for name in ["loss", *parts])
    return [panel for panel in laid if panel is not None]


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
    across = [epoch for epoch in _round_numbers(1, epochs, whole=True) if 1 <= epoch <= epochs]
    return Panel(name, lines, _ticks(across, x), _ticks(ticks, y, log), log, _least(series, placed))


def _ticks(numbers: Sequence[float], scale: _Scale, log: bool = False) -> list[Tick]:
    """Writes the numbers with as many decimals as the longest needs; those of a logarithmic axis each with its own."""
    texts = [f"{number:g}" for number in numbers]
    if not log and not any("e" in text for text in texts):
        decimals = max(len(text.partition(".")[2]) for text in texts)
        texts = [f"{number:.{decimals}f}" for number in numbers]
    return [Tick(scale(number), text) for number, text in zip(numbers, texts, strict=True)]


def _least(
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
    """Moves labels that would overlap apart, in the order in which they stand."""
    spread: dict[str, float] = {}
    for label, height in sorted(heights.items(), key=lambda item: item[1]):
        spread[label] = max([height, *(other + APART for other in spread.values())])
    return spread


def _round_numbers(low: float, high: float, whole: bool = False) -> list[float]:
    """Gives two to seven round numbers that enclose a range: multiples of 1, 2 or 5 times a power of ten."""
    size = max(abs(low), abs(high), 1e-9)
    rough = (high - low if high - low > 1e-6 * size else size) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(1.0, step) if whole else step
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Gives 1, 2 and 5 times the powers of ten within a range, or up to nine of the powers where those are too many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, 1 + (last - first) // 9)
    factors = (1, 2, 5) if last - first < 3 else (1,)
    numbers = [factor * 10.0**power for power in powers for factor in factors]
    inside = [number for number in numbers if low <= number <= high]
    return inside if len(inside) >= 2 else [low, high]
