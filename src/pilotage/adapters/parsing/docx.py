"""Word documents: headings, lists and tables in order; tracked deletions and hidden runs are dropped.

Insertions that nobody has accepted yet are read: they are what a reader sees. Comments, headers, footers and field
codes are not text of the document. Rule: the archive's own figures are checked before anything is unpacked.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from importlib.metadata import version

import docx
from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from pilotage.adapters.parsing.blocks import SectionBuilder, Unreadable
from pilotage.corpus.records import ParsedDocument

PARSER = f"python-docx-{version('python-docx')}/2"
MAX_RATIO = 100
MAX_ENTRIES = 10_000
MAX_UNPACKED = 256 << 20
MAX_DEPTH = 200
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_P, _TBL, _TR, _TC, _R, _T = (qn(f"w:{name}") for name in ("p", "tbl", "tr", "tc", "r", "t"))
_TEXT_OF = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_SKIPPED = frozenset(
    {
        qn("w:del"),
        qn("w:moveFrom"),
        qn("w:rPr"),
        qn("w:pPr"),
        qn("w:instrText"),
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    }
)


def check_archive(data: bytes) -> None:
    """Raise Unreadable for an archive that would unpack to more than 100 times its size, or lies about itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        raise Unreadable("is no readable Word document") from None
    if len(entries) > MAX_ENTRIES:
        message = f"holds more than {MAX_ENTRIES:,} files"
        raise Unreadable(message)
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("is encrypted")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED or unpacked > max(len(data), 1) * MAX_RATIO:
        message = f"would unpack to {unpacked:,} bytes from {len(data):,}: more than {MAX_RATIO} to 1"
        raise Unreadable(message)
    if any(entry.file_size > max(entry.compress_size, 1_024) * MAX_RATIO for entry in entries):
        message = f"holds a file packed more than {MAX_RATIO} to 1"
        raise Unreadable(message)


def parse(data: bytes) -> ParsedDocument:
    """Read a .docx file."""
    check_archive(data)
    try:
        document = docx.Document(io.BytesIO(data))
    except Exception as error:  # noqa: BLE001 - python-docx raises whatever lxml, zipfile and dict look-ups raise
        message = f"is no readable Word document: {type(error).__name__}"
        raise Unreadable(message) from None
    builder = SectionBuilder()
    hidden = _Reader(document, builder).read()
    return builder.build(parser=PARSER, hidden_elements=hidden)


class _Reader:
    """One pass over the body, block by block."""

    def __init__(self, document: Document, builder: SectionBuilder) -> None:
        self._body = document.element.body
        self._styles = {style.style_id: style.name or "" for style in document.styles}
        self._builder = builder
        self._hidden = 0

    def read(self) -> int:
        """Read the body; return the number of hidden runs."""
        for block in _blocks(self._body, 0):
            if block.tag == _TBL:
                self._table(block)
            else:
                self._paragraph(block)
        return self._hidden

    def _paragraph(self, block: Element) -> None:
        style = block.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        name = "" if style is None else self._styles.get(style.get(qn("w:val"), ""), "")
        text = self._text(block)
        heading = _HEADING.match(name)
        if heading is not None:
            self._builder.heading(int(heading[1]), text)
        elif name.lower() == "title":
            self._builder.heading(0, text)
        elif block.find(f"{qn('w:pPr')}/{qn('w:numPr')}") is not None or name.lower().startswith("list"):
            self._builder.paragraph(f"- {text}" if text.strip() else "")
        else:
            self._builder.paragraph(text)

    def _table(self, block: Element) -> None:
        rows = [
            [" ".join(self._text(inner) for inner in cell.iter(_P)) for cell in _parts(row, _TC, 0)]
            for row in _parts(block, _TR, 0)
            if row.find(f"{qn('w:trPr')}/{qn('w:del')}") is None
        ]
        marked = block.find(f"{_TR}/{qn('w:trPr')}/{qn('w:tblHeader')}") is not None
        self._builder.table(rows[0] if marked and rows else None, rows[1:] if marked else rows)

    def _text(self, block: Element) -> str:
        out: list[str] = []
        stack: list[tuple[Element, int]] = [(block, 0)]
        while stack:
            node, depth = stack.pop()
            if depth > MAX_DEPTH:
                raise Unreadable("is nested too deeply")
            if node.tag == _T:
                out.append(node.text or "")
            elif node.tag in _TEXT_OF:
                out.append(_TEXT_OF[node.tag])
            elif node.tag == _R and _is_vanished(node):
                self._hidden += 1
            elif node is block or (node.tag not in _SKIPPED and node.tag not in {_P, _TBL}):
                stack.extend((child, depth + 1) for child in reversed(node))
        return "".join(out)


def _is_vanished(run: Element) -> bool:
    mark = run.find(f"{qn('w:rPr')}/{qn('w:vanish')}")
    return mark is not None and mark.get(qn("w:val"), "true") not in {"0", "false"}


def _parts(parent: Element, tag: str, depth: int) -> Iterator[Element]:
    """Yield the rows of a table, or the cells of a row, also those inside content controls and insertions."""
    if depth > MAX_DEPTH:
        raise Unreadable("is nested too deeply")
    for child in parent:
        if child.tag == tag:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _SKIPPED | {_P, _TBL, _TR, _TC}:
            yield from _parts(child, tag, depth + 1)


def _blocks(parent: Element, depth: int) -> Iterator[Element]:
    """Yield paragraphs and tables in order, also those inside content controls, insertions and text boxes."""
    if depth > MAX_DEPTH:
        raise Unreadable("is nested too deeply")
    for child in parent:
        if child.tag in {_P, _TBL}:
            yield child
            if child.tag == _P:
                yield from _boxed(child)
        elif isinstance(child.tag, str) and child.tag not in _SKIPPED:
            yield from _blocks(child, depth + 1)


def _boxed(paragraph: Element) -> Iterator[Element]:
    """Yield the paragraphs of text boxes anchored in a paragraph, once: the fallback copy is skipped."""
    for box in paragraph.iter(qn("w:txbxContent")):
        if not any(parent.tag in _SKIPPED for parent in box.iterancestors()):
            yield from box.iter(_P)
