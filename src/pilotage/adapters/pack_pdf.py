"""A CAB pack, or minutes, as PDF, by ReportLab: no browser, no system library.

Rule: the same layout as the page, so every number of the page stands in it; the same facts give the same bytes, without
any time or random id. Fail mode: a character the embedded font lacks is written as its code point, never dropped.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from pilotage.core.canonical import Json
from pilotage.gate.pack import MISSING
from pilotage.gate.pack_layout import Block, Grid, Heading, Layout, Note, Pairs, lay_out

_PLAIN, _BOLD = "PilotageSans", "PilotageSansBold"
_MARGIN = 14 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_LABEL_WIDTH = 42 * mm
_SMALL = ParagraphStyle("small", fontName=_PLAIN, fontSize=6.5, leading=8.2, splitLongWords=1)
_LABEL = ParagraphStyle("label", parent=_SMALL, fontName=_BOLD)
_TEXT = ParagraphStyle("text", fontName=_PLAIN, fontSize=8, leading=11)
_TITLE = ParagraphStyle("title", fontName=_BOLD, fontSize=15, leading=19, spaceAfter=6)
_HEADINGS = {
    1: ParagraphStyle("h1", fontName=_BOLD, fontSize=11.5, leading=15, spaceBefore=12, spaceAfter=4, keepWithNext=1),
    2: ParagraphStyle("h2", fontName=_BOLD, fontSize=9.5, leading=12, spaceBefore=8, spaceAfter=3, keepWithNext=1),
    3: ParagraphStyle("h3", fontName=_BOLD, fontSize=8, leading=10, spaceBefore=5, spaceAfter=2, keepWithNext=1),
}
_LINE, _SHADE, _ALARM = HexColor("#b8c2cc"), HexColor("#eaf0f6"), HexColor("#ffe3e0")
_PADDING = (("LEFTPADDING", 3), ("RIGHTPADDING", 3), ("TOPPADDING", 2), ("BOTTOMPADDING", 2))


def pack_pdf(facts: Mapping[str, Json]) -> bytes:
    """Return the PDF of a pack's facts."""
    return layout_pdf(lay_out(facts))


def layout_pdf(layout: Layout) -> bytes:
    """Return the PDF of a layout."""
    _fonts()
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=layout.title,
        author="Pilotage",
        invariant=1,
    )
    document.build(_story(layout), onFirstPage=_footer(layout.foot), onLaterPages=_footer(layout.foot))
    return out.getvalue()


@lru_cache(maxsize=1)
def _fonts() -> frozenset[int]:
    """Register the two faces that come with ReportLab and return the code points both can print."""
    folder = Path(reportlab.__file__).parent / "fonts"
    faces = (TTFont(_PLAIN, str(folder / "Vera.ttf")), TTFont(_BOLD, str(folder / "VeraBd.ttf")))
    for face in faces:
        pdfmetrics.registerFont(face)
    return frozenset(faces[0].face.charToGlyph) & frozenset(faces[1].face.charToGlyph)


def _footer(digest: str) -> Callable[[Canvas, SimpleDocTemplate], None]:
    def draw(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.setFont(_PLAIN, 6)
        canvas.drawString(_MARGIN, 8 * mm, digest)
        canvas.drawRightString(A4[0] - _MARGIN, 8 * mm, f"page {document.page}")

    return draw


def _story(layout: Layout) -> list[Flowable]:
    story: list[Flowable] = [Paragraph(_safe(layout.title), _TITLE), *_block(layout.head)]
    for block in layout.blocks:
        story += _block(block)
    return story


def _block(block: Block) -> list[Flowable]:
    match block:
        case Heading(level=level, text=text):
            return [Paragraph(_safe(text), _HEADINGS[level])]
        case Note(text=text):
            return [Paragraph(_safe(text), _TEXT)]
        case Pairs(rows=rows):
            cells = [[Paragraph(_safe(name), _LABEL), Paragraph(_safe(value), _SMALL)] for name, value in rows]
            marks = [(1, at) for at, (_, value) in enumerate(rows) if value == MISSING]
            shade = ("BACKGROUND", (0, 0), (0, -1), _SHADE)
            return _table(cells, [_LABEL_WIDTH, _WIDTH - _LABEL_WIDTH], marks, shade=shade, repeat=0)
        case Grid(columns=columns, rows=rows):
            head = [[Paragraph(_safe(column), _LABEL) for column in columns]]
            body = [[Paragraph(_safe(value), _SMALL) for value in row] for row in rows]
            marks = [
                (across, down)
                for down, row in enumerate(rows, start=1)
                for across, value in enumerate(row)
                if value == MISSING
            ]
            shade = ("BACKGROUND", (0, 0), (-1, 0), _SHADE)
            return _table(head + body, _widths(columns, rows), marks, shade=shade, repeat=1)


def _table(
    cells: list[list[Paragraph]],
    widths: list[float],
    marks: list[tuple[int, int]],
    *,
    shade: tuple[object, ...],
    repeat: int,
) -> list[Flowable]:
    if not cells:
        return []
    style: list[tuple[object, ...]] = [
        ("GRID", (0, 0), (-1, -1), 0.4, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        shade,
        *((name, (0, 0), (-1, -1), size) for name, size in _PADDING),
        *(("BACKGROUND", at, at, _ALARM) for at in marks),
    ]
    table = LongTable(cells, colWidths=widths, repeatRows=repeat, splitInRow=1, style=TableStyle(style))
    return [table, Spacer(0, 4)]


def _widths(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> list[float]:
    """Share the width by the longest word and the mean length of each column, so that short numbers stay whole."""
    weights: list[float] = []
    for at, column in enumerate(columns):
        texts = [column, *(row[at] for row in rows)]
        longest = max((len(word) for text in texts for word in text.split()), default=1)
        mean = sum(len(text) for text in texts) / len(texts)
        weights.append(min(30.0, max(5.0, 1.25 * longest + 1, mean / 2)))
    whole = sum(weights)
    return [_WIDTH * weight / whole for weight in weights]


def _safe(text: str) -> str:
    """Return text as markup of a paragraph; what the font lacks becomes `[U+4E2D]`."""
    known = _fonts()
    shown = "".join(one if ord(one) in known or one.isspace() else f"[U+{ord(one):04X}]" for one in text)
    return escape(shown)
