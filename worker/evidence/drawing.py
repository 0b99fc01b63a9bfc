"""Plots of a bundle's summary: each is drawn once, and put into PDF and HTML alike."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors

WIDTH, HEIGHT = 496, 210
_LEFT, _BOTTOM, _TOP, _RIGHT = 54, 26, 34, 6
_MOST_BARS = 62
_COLOURS = {
    "deleted": colors.HexColor("#b2182b"),
    "written": colors.HexColor("#2166ac"),
    "quarantined": colors.HexColor("#d6a419"),
    "restored": colors.HexColor("#1b7837"),
    "succeeded": colors.HexColor("#1b7837"),
    "failed": colors.HexColor("#b2182b"),
    "refused": colors.HexColor("#d6a419"),
}
_GRID = colors.HexColor("#dddddd")
_OTHER = colors.HexColor("#777777")
Bars = Sequence[tuple[str, Counter[str]]]


def bars_of(
    days: Mapping[str, Counter[str]], first: date, last: date
) -> list[tuple[str, Counter[str]]]:
    """A bar for each day, also for those without anything; days are joined where they are many."""
    count = (last - first).days + 1
    step = -(-count // _MOST_BARS)
    bars: list[tuple[str, Counter[str]]] = []
    for start in range(0, count, step):
        total: Counter[str] = Counter()
        for offset in range(start, min(start + step, count)):
            total.update(days.get((first + timedelta(days=offset)).isoformat(), Counter()))
        bars.append(((first + timedelta(days=start)).isoformat(), total))
    return bars


def stacked(title: str, bars: Bars) -> Drawing:
    """One bar for each label, of as many parts as there are names; 0 is at the bottom."""
    names = [name for name in [*_COLOURS, *_others(bars)] if any(bar[name] for _, bar in bars)]
    most = max((bar.total() for _, bar in bars), default=0)
    drawing = Drawing(WIDTH, HEIGHT)
    drawing.add(String(0, HEIGHT - 11, title, fontSize=11, fontName="Helvetica-Bold"))
    _legend(drawing, names)
    _axes(drawing, bars, most)
    width = (WIDTH - _LEFT - _RIGHT) / max(1, len(bars))
    for place, (_, bar) in enumerate(bars):
        bottom = float(_BOTTOM)
        for name in names:
            height = _height(bar[name], most)
            if height:
                drawing.add(
                    Rect(
                        _LEFT + place * width + width * 0.1,
                        bottom,
                        width * 0.8,
                        height,
                        fillColor=_COLOURS.get(name, _OTHER),
                        strokeColor=None,
                    )
                )
            bottom += height
    return drawing


def as_svg(drawing: Drawing) -> str:
    """The drawing as an element of a page."""
    text: str = renderSVG.drawToString(drawing)
    return text[text.index("<svg") :]


def _others(bars: Bars) -> list[str]:
    return sorted({name for _, bar in bars for name in bar} - set(_COLOURS))


def _height(value: int, most: int) -> float:
    return (HEIGHT - _BOTTOM - _TOP) * value / most if most else 0.0


def _axes(drawing: Drawing, bars: Bars, most: int) -> None:
    drawing.add(Line(_LEFT, _BOTTOM, WIDTH - _RIGHT, _BOTTOM, strokeColor=_OTHER))
    for value in sorted({0, most // 2, most}):
        height = _BOTTOM + _height(value, most)
        drawing.add(String(_LEFT - 4, height - 3, f"{value:,}", fontSize=9, textAnchor="end"))
        if value:
            line = Line(_LEFT, height, WIDTH - _RIGHT, height, strokeColor=_GRID, strokeWidth=0.5)
            drawing.add(line)
    width = (WIDTH - _LEFT - _RIGHT) / max(1, len(bars))
    for place in sorted({0, len(bars) // 2, len(bars) - 1}) if bars else ():
        middle = _LEFT + (place + 0.5) * width
        anchor = "middle" if 0 < place < len(bars) - 1 else "start" if place == 0 else "end"
        drawing.add(String(middle, 10, bars[place][0], fontSize=9, textAnchor=anchor))


def _legend(drawing: Drawing, names: Sequence[str]) -> None:
    left = float(_LEFT)
    for name in names:
        colour = _COLOURS.get(name, _OTHER)
        drawing.add(Rect(left, HEIGHT - 27, 8, 8, fillColor=colour, strokeColor=None))
        drawing.add(String(left + 11, HEIGHT - 26, name, fontSize=9))
        left += 26 + 5.5 * len(name)
