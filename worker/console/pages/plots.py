"""Plots as SVG: drawn here, coloured by the style sheet, each with its figures as a table."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from math import ceil
from typing import NamedTuple

WIDTH, HEIGHT = 720, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 24
_WELL, _ILL = 2, 5
"""The colours of the two, green and red."""
_DOT = 6
RATES = 60
SERIES = 6
"""As many colours as there are; what is smaller is summed up as the last one."""


@dataclass(frozen=True)
class Mark:
    """A line across, at a round number."""

    y: float
    label: str


@dataclass(frozen=True)
class Box:
    """A part of a bar."""

    x: float
    y: float
    width: float
    height: float
    series: int
    says: str


@dataclass(frozen=True)
class Label:
    """A word below the axis."""

    x: float
    text: str


class Reading(NamedTuple):
    """What one look of a probe read of a subject."""

    at: datetime
    value: float | None
    is_ill: bool


@dataclass(frozen=True)
class Plot:
    """What the template draws, and the same as figures."""

    title: str
    marks: Sequence[Mark]
    labels: Sequence[Label]
    names: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    boxes: Sequence[Box] = ()
    line: str = ""
    area: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT


def bars(title: str, days: Sequence[date], counts: Mapping[str, Mapping[date, int]]) -> Plot:
    """One bar a day, made of one part for each name; the largest names first."""
    by_size = sorted(counts, key=lambda name: (-sum(counts[name].values()), name))
    shown = by_size if len(by_size) <= SERIES else by_size[: SERIES - 1]
    rest = by_size[len(shown) :]
    series = {name: [counts[name].get(day, 0) for day in days] for name in shown}
    if rest:
        series[f"{len(rest)} others"] = [
            sum(counts[name].get(day, 0) for name in rest) for day in days
        ]
    totals = [sum(values[place] for values in series.values()) for place in range(len(days))]
    top = _round_up(max(totals, default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)
    boxes: list[Box] = []
    for place, day in enumerate(days):
        level = 0
        for number, (name, values) in enumerate(series.items(), start=1):
            if not values[place]:
                continue
            level += values[place]
            height = values[place] / top * _tall()
            says = f"{name}, {day:%Y-%m-%d}: {values[place]:,}"
            x = _LEFT + place * step + step * 0.15
            boxes.append(Box(_r(x), _r(_y(level, top)), _r(step * 0.7), _r(height), number, says))
    every = max(1, len(days) // 7)
    return Plot(
        title,
        _marks(top),
        [
            Label(_r(_LEFT + (place + 0.5) * step), f"{day:%b %d}")
            for place, day in enumerate(days)
            if place % every == 0
        ],
        list(series),
        ["day", *series],
        [
            (f"{day:%Y-%m-%d}", *(f"{values[place]:,}" for values in series.values()))
            for place, day in enumerate(days)
        ],
        boxes,
    )


def rate(title: str, points: Sequence[tuple[float, int]]) -> Plot:
    """A line of records a second, from how many were done after so many seconds: two or more."""
    longest = max(points[-1][0], 1.0)
    parts = min(len(points) - 1, RATES)
    edges = [longest * part / parts for part in range(parts + 1)]
    between = [_done_by(points, edge) for edge in edges[1:-1]]
    reached = [points[0][1], *between, points[-1][1]]
    found = [(after - before) * parts / longest for before, after in pairwise(reached)]
    high = _round_up_any(max(found))
    wide, floor = WIDTH - _LEFT - _RIGHT, HEIGHT - _BOTTOM
    placed = [
        (_LEFT + edge / longest * wide, _y(each, high))
        for each, (start, end) in zip(found, pairwise(edges), strict=True)
        for edge in (start, end)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    return Plot(
        title,
        _marks(high),
        [Label(_r(_LEFT + part / 2 * wide), _seconds(longest * part / 2)) for part in range(3)],
        [],
        ["from", "to", "records a second"],
        [
            (_seconds(start), _seconds(end), f"{each:,.0f}")
            for each, (start, end) in zip(found, pairwise(edges), strict=True)
        ],
        line=line,
        area=f"{_LEFT},{floor} {line} {placed[-1][0]:.1f},{floor}",
    )


def _done_by(points: Sequence[tuple[float, int]], at: float) -> float:
    """As if the work between two points had gone on evenly."""
    place = bisect_left(points, at, lo=1, hi=len(points) - 1, key=lambda point: point[0])
    (start, before), (end, after) = points[place - 1], points[place]
    part = (at - start) / (end - start) if end > start else 1.0
    return before + (after - before) * min(part, 1.0)


def readings(title: str, points: Sequence[Reading], unit: str) -> Plot:
    """A line of what was read when, red where it was ill; without values, a bar for each."""
    first, last = points[0].at, points[-1].at
    spread = max((last - first).total_seconds(), 1.0)
    step = (WIDTH - _LEFT - _RIGHT - _DOT) / spread
    x = [_LEFT + (one.at - first).total_seconds() * step for one in points]
    known = [one.value for one in points if one.value is not None]
    top = _round_up_any(max(known, default=0.0))
    floor = HEIGHT - _BOTTOM
    placed = [
        (each + _DOT / 2, _y(one.value, top))
        for each, one in zip(x, points, strict=True)
        if one.value is not None
    ]
    line = " ".join(f"{at:.1f},{y:.1f}" for at, y in placed)
    return Plot(
        title,
        _marks(top) if known else (),
        [Label(_LEFT, f"{first:%H:%M} UTC"), Label(WIDTH - _RIGHT, f"{last:%H:%M} UTC")],
        [],
        ["read at, UTC", unit or "value", "is"],
        [(f"{one.at:%Y-%m-%d %H:%M:%S}", _figure(one.value), _is(one)) for one in points],
        [
            _dot(each, one, top, bool(known))
            for each, one in zip(x, points, strict=True)
            if one.is_ill or not known
        ],
        line=line,
        area=f"{placed[0][0]:.1f},{floor} {line} {placed[-1][0]:.1f},{floor}" if placed else "",
    )


def _dot(x: float, one: Reading, top: float, has_values: bool) -> Box:
    """Where there is no line, what is well is half as high as what is ill."""
    says = f"{one.at:%H:%M:%S} UTC: {_is(one)}"
    if not has_values:
        height = _tall() if one.is_ill else _tall() / 2
        y = HEIGHT - _BOTTOM - height
        return Box(_r(x), _r(y), _DOT, _r(height), _ILL if one.is_ill else _WELL, says)
    y = _y(one.value or 0.0, top)
    return Box(_r(x), _r(y - _DOT / 2), _DOT, _DOT, _ILL, f"{says}, {_figure(one.value)}")


def _is(one: Reading) -> str:
    return "ill" if one.is_ill else "well"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _marks(top: float) -> list[Mark]:
    return [
        Mark(_r(_y(top * part / 4, top)), _short(top * part / 4)) for part in range(5) if top > 0
    ]


def _y(value: float, top: float) -> float:
    return _TOP + _tall() * (1 - value / top) if top else HEIGHT - _BOTTOM


def _tall() -> int:
    return HEIGHT - _TOP - _BOTTOM


def _round_up(value: int) -> int:
    """The next number that a quarter of is round, too."""
    if value <= 4:
        return 4
    scale = 4
    while scale * 10 < value:
        scale *= 10
    return next(scale * times for times in (1, 2, 3, 5, 10) if scale * times >= value)


def _round_up_any(value: float) -> float:
    """The same for what is no count; small values keep their places behind the point."""
    scale = 1
    while 0 < value * scale < 4:
        scale *= 10
    return _round_up(ceil(value * scale)) / scale


def _short(value: float) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value < 180 else f"{value / 60:.0f} min"


def _r(value: float) -> float:
    return round(value, 1)
