"""PDF: text by page, one section per page. Encrypted files are rejected; pages of images without text need OCR."""

from __future__ import annotations

import re
from importlib.metadata import version

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from pilotage.adapters.parsing.blocks import SectionBuilder, Unreadable
from pilotage.corpus.records import ParsedDocument

PARSER = f"pypdfium2-{version('pypdfium2')}/1"
MAX_PAGES = 5_000
MIN_PAGE_CHARS = 20
# pdfium marks a word broken at the line's end with U+FFFE (older: U+0002) before the line end.
_BROKEN_WORD = re.compile("[\ufffe\x02](?:\r?\n)?")
_BLANK = re.compile(r"\n[ \t]*\n")


def parse(data: bytes) -> ParsedDocument:
    """Read a PDF's text."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        raise Unreadable(_reason(error)) from None
    try:
        return _read(document)
    finally:
        document.close()


def _reason(error: pdfium.PdfiumError) -> str:
    if error.err_code == pdfium_c.FPDF_ERR_PASSWORD:
        return "is encrypted"
    if error.err_code == pdfium_c.FPDF_ERR_SECURITY:
        return "is protected by a scheme that cannot be read"
    return "is no readable PDF"


def _read(document: pdfium.PdfDocument) -> ParsedDocument:
    if len(document) > MAX_PAGES:
        message = f"has more than {MAX_PAGES:,} pages: {len(document):,}"
        raise Unreadable(message)
    builder = SectionBuilder()
    needs_ocr: list[int] = []
    failed: list[int] = []
    for number in range(1, len(document) + 1):
        try:
            text, has_image = _page(document, number - 1)
        except pdfium.PdfiumError:
            failed.append(number)
            continue
        if len(text.strip()) < MIN_PAGE_CHARS and has_image:
            needs_ocr.append(number)
        builder.heading(1, f"Page {number}")
        for paragraph in _BLANK.split(text):
            builder.paragraph(paragraph)
    builder.title = ""
    if len(document) and len(failed) == len(document):
        raise Unreadable("holds no page that can be read")
    return builder.build(parser=PARSER, needs_ocr=needs_ocr, failed_pages=failed)


def _page(document: pdfium.PdfDocument, index: int) -> tuple[str, bool]:
    page = document[index]
    try:
        textpage = page.get_textpage()
        try:
            text = _BROKEN_WORD.sub("", textpage.get_text_bounded()).replace("\r\n", "\n")
        finally:
            textpage.close()
        short = len(text.strip()) < MIN_PAGE_CHARS
        has_image = short and any(True for _ in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=5))
    finally:
        page.close()
    return text, has_image
