"""Gathers what a parser reads into sections, in normal form, within the output limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotage.corpus.records import Block, Paragraph, ParsedDocument, Section, Table
from pilotage.corpus.text import normalise, normalise_line

MAX_TEXT_BYTES = 16 << 20
MAX_TITLE = 400


class Unreadable(Exception):
    """The bytes are not a document this format can give; the text is the reason its rejection shows."""


class SectionBuilder:
    """Collects paragraphs and tables under the current headings. Empty sections vanish."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._path: list[str] = []
        self._levels: list[int] = []
        self._blocks: list[Block] = []
        self._left = MAX_TEXT_BYTES
        self.title = ""

    def heading(self, level: int, text: str) -> None:
        """Open a section; deeper ones close, and the first heading of all is the title."""
        name = normalise_line(text)[:MAX_TITLE]
        if not name:
            return
        self._close()
        while self._levels and self._levels[-1] >= level:
            self._levels.pop()
            self._path.pop()
        self._levels.append(level)
        self._path.append(name)
        self.title = self.title or name

    def paragraph(self, text: str) -> None:
        """Add running text."""
        clean = normalise(text).strip()
        if clean:
            self._spend(clean)
            self._blocks.append(Paragraph(text=clean))

    def table(self, header: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
        """Add a table; cells are joined by a bar, rows without any text are dropped."""
        lines = [line for line in map(_row, rows) if line]
        head = _row(header) if header else ""
        if lines or head:
            table = Table(header=head if lines else "", rows=tuple(lines or [head]))
            self._spend(table.text)
            self._blocks.append(table)

    def build(
        self,
        *,
        parser: str,
        fields: Mapping[str, str] | None = None,
        hidden_elements: int = 0,
        needs_ocr: Sequence[int] = (),
        failed_pages: Sequence[int] = (),
    ) -> ParsedDocument:
        """Return the document."""
        self._close()
        given = fields or {}
        return ParsedDocument(
            title=normalise_line(given.get("title", ""))[:MAX_TITLE] or self.title,
            sections=tuple(self._sections),
            parser=parser,
            fields=given,
            hidden_elements=hidden_elements,
            needs_ocr=tuple(needs_ocr),
            failed_pages=tuple(failed_pages),
        )

    def _close(self) -> None:
        if self._blocks:
            self._sections.append(Section(path=tuple(self._path), blocks=tuple(self._blocks)))
            self._blocks = []

    def _spend(self, text: str) -> None:
        self._left -= len(text.encode())
        if self._left < 0:
            message = f"gives more than {MAX_TEXT_BYTES >> 20} MiB of text"
            raise Unreadable(message)


def _row(cells: Sequence[str]) -> str:
    clean = [normalise_line(cell) for cell in cells]
    return " | ".join(clean) if any(clean) else ""


def decode_utf8(data: bytes) -> str:
    """Return strict UTF-8 without its byte order mark; raise Unreadable with the byte offset."""
    skipped = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        return data[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        where = skipped + error.start
        message = f"is not UTF-8: byte 0x{data[where]:02x} at offset {where:,}"
        raise Unreadable(message) from None
