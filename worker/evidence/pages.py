"""A summary as blocks, printed as one HTML file and as one PDF, which say the same."""

import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table

from worker.evidence.drawing import as_svg

MARGIN = 56
_CSS = (
    "body{font:15px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#111}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{text-align:left;vertical-align:top;"
    "padding:.2em .8em .2em 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
    "svg{max-width:100%;height:auto}"
)


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Rows:
    """A table; `names` may be empty."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Plot:
    drawing: Drawing


Block = Heading | Text | Rows | Plot


def as_html(title: str, blocks: Sequence[Block]) -> bytes:
    """One file that asks nothing of any other."""
    parts = "\n".join(_element(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_CSS}</style></head>\n<body><h1>{html.escape(title)}</h1>\n{parts}\n"
        "</body></html>\n"
    ).encode()


def as_pdf(title: str, blocks: Sequence[Block]) -> bytes:
    """The same on A4."""
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=A4,
        title=title,
        author="Tend",
        invariant=1,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
    )
    styles = getSampleStyleSheet()
    flow: list[Flowable] = [Paragraph(html.escape(title), styles["Title"])]
    for block in blocks:
        flow += _flowables(block, styles)
    document.build(flow)
    return file.getvalue()


def _element(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Plot(drawing):
            return f"<figure>{as_svg(drawing)}</figure>"
        case Rows(names, rows):
            head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
            body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
            return f"<table>{f'<tr>{head}</tr>' if names else ''}{body}</table>"


def _cells(row: Sequence[str]) -> Iterator[str]:
    for value in row:
        yield f"<td>{html.escape(value)}</td>"


def _flowables(block: Block, styles: dict[str, object]) -> Iterator[Flowable]:
    match block:
        case Heading(text):
            yield Paragraph(html.escape(text), styles["Heading2"])
        case Text(text):
            yield Paragraph(html.escape(text), styles["BodyText"])
        case Plot(drawing):
            yield Spacer(1, 8)
            yield drawing
        case Rows(names, rows):
            yield from _table(names, rows, styles)
    yield Spacer(1, 4)


def _table(
    names: Sequence[str], rows: Sequence[Sequence[str]], styles: dict[str, object]
) -> Iterator[Flowable]:
    lines = [[Paragraph(f"<b>{html.escape(name)}</b>", styles["BodyText"]) for name in names]]
    lines = lines if names else []
    lines += [[Paragraph(html.escape(value), styles["BodyText"]) for value in row] for row in rows]
    if lines:
        width = (A4[0] - 2 * MARGIN) / len(lines[0])
        style = [
            ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
        yield Table(lines, colWidths=[width] * len(lines[0]), style=style, repeatRows=bool(names))
