"""The text of a PDF or Word document, for the evidence reader: parsed in a child process with limits.

Fail mode: ValueError for a document without text; the reader refuses it.
"""

from __future__ import annotations

from pilotage.adapters.parsing.pool import ParserPool
from pilotage.core.errors import PilotageError
from pilotage.evidence.limits import MAX_SECONDS


def text_of(data: bytes, media: str) -> str:
    """Return headings (as Markdown) and text of a document; raise ValueError when it has none."""
    suffix = ".pdf" if media == "application/pdf" else ".docx"
    try:
        with ParserPool(wall_seconds=MAX_SECONDS) as pool:
            parsed = pool.parse(suffix, data)
    except PilotageError as error:
        raise ValueError(error.message) from None
    parts = [
        f"## {section.path[-1]}\n\n{section.text}" if section.path else section.text for section in parsed.sections
    ]
    text = "\n\n".join(parts).strip()
    if not text:
        message = "the document holds no text"
        raise ValueError(message)
    return text
