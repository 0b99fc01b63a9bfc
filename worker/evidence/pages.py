"""A summary as blocks, printed as one HTML file and as one PDF, which say the same."""

import html
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
)

from worker.evidence.drawing import as_svg

MARGIN = 48
_WIDTH = A4[0] - 2 * MARGIN - 12
"""What a frame leaves inside of its padding."""
_CSS = (
    "body{font:15px/1.5 sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#111}"
    "table{border-collapse:collapse;margin:.5em 0}td,th{text-align:left;vertical-align:top;"
    "padding:.2em 1em .2em 0;border-bottom:1px solid #ddd}td:first-child{white-space:nowrap}"
    "td:last-child{overflow-wrap:anywhere}th{white-space:nowrap}table{width:100%}"
    "ul{padding-left:1.2em}figure{margin:1em 0}svg{width:100%;height:auto}"
    "svg text{font-family:sans-serif!important}"
)


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Points:
    """Sentences, each a point of its own."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """A table; `names` may be empty, and `widths` are shares of the page."""

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[int] = ()


@dataclass(frozen=True)
class NewPage:
    """What follows begins on another page, where there are pages."""


@dataclass(frozen=True)
class Plot:
    drawing: Drawing


Block = Heading | Text | Points | Rows | Plot | NewPage


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
    styles = _styles()
    flow: list[Flowable] = [Paragraph(html.escape(title), styles["Title"])]
    for block in blocks:
        flow += _flowables(block, styles)
    document.build(flow, onFirstPage=_numbered, onLaterPages=_numbered)
    return file.getvalue()


def _styles() -> dict[str, ParagraphStyle]:
    known = getSampleStyleSheet()
    body = ParagraphStyle("Body", parent=known["BodyText"], fontSize=9, leading=11.5, spaceBefore=0)
    return {
        "Title": ParagraphStyle("Title", parent=known["Title"], fontSize=17, alignment=0),
        "Heading": ParagraphStyle(
            "Heading", parent=known["Heading2"], fontSize=12, spaceBefore=8, spaceAfter=3
        ),
        "Body": body,
        "Point": ParagraphStyle("Point", parent=body, leftIndent=10, bulletIndent=0),
    }


def _numbered(canvas: Canvas, document: SimpleDocTemplate) -> None:
    """The title and the page's number below every page."""
    canvas.setFont("Helvetica", 8)
    canvas.drawString(MARGIN, MARGIN / 2, document.title)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, f"page {canvas.getPageNumber()}")


def _element(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Points(sentences):
            points = "".join(f"<li>{html.escape(each)}</li>" for each in sentences)
            return f"<ul>{points}</ul>"
        case Plot(drawing):
            return f"<figure>{as_svg(drawing)}</figure>"
        case NewPage():
            return "<hr>"
        case Rows(names, rows):
            head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
            body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
            return f"<table>{f'<tr>{head}</tr>' if names else ''}{body}</table>"


def _cells(row: Sequence[str]) -> Iterator[str]:
    for value in row:
        yield f"<td>{html.escape(value)}</td>"


def _flowables(block: Block, styles: Mapping[str, ParagraphStyle]) -> Iterator[Flowable]:
    match block:
        case Heading(text):
            yield Paragraph(html.escape(text), styles["Heading"])
            return
        case Text(text):
            yield Paragraph(html.escape(text), styles["Body"])
        case Points(sentences):
            for each in sentences:
                yield Paragraph(html.escape(each), styles["Point"], bulletText="•")
        case Plot(drawing):
            yield KeepTogether([Spacer(1, 8), drawing])
        case NewPage():
            yield PageBreak()
        case Rows():
            yield from _table(block, styles["Body"])
    yield Spacer(1, 3)


def _table(block: Rows, style: ParagraphStyle) -> Iterator[Flowable]:
    names = [f"<b>{html.escape(name)}</b>" for name in block.names]
    texts = [[html.escape(value) for value in row] for row in block.rows]
    lines = [names, *texts] if names else texts
    if lines:
        shares = block.widths or [1] * len(lines[0])
        lined = [
            ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.lightgrey),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 1),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        yield Table(
            [[Paragraph(text, style) for text in line] for line in lines],
            colWidths=[_WIDTH * share / sum(shares) for share in shares],
            style=lined,
            hAlign="LEFT",
            repeatRows=bool(names),
        )
