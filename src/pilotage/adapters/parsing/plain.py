"""Plain text: paragraphs stand between blank lines; no headings are guessed."""

from __future__ import annotations

import re

from pilotage.adapters.parsing.blocks import SectionBuilder, decode_utf8
from pilotage.adapters.parsing.front_matter import split_front_matter
from pilotage.corpus.records import ParsedDocument

PARSER = "pilotage-text/1"
_BLANK = re.compile(r"\n[ \t]*\n")


def parse(data: bytes) -> ParsedDocument:
    """Read UTF-8 text."""
    fields, text = split_front_matter(decode_utf8(data).replace("\r\n", "\n"))
    builder = SectionBuilder()
    for paragraph in _BLANK.split(text):
        builder.paragraph(paragraph)
    return builder.build(parser=PARSER, fields=fields)
