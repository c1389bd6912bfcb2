"""Which reader reads which file, by suffix. Readers are imported by the process that parses, and only there.

Their libraries take half a second and tens of megabytes to load, which the gateway must never pay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import cast

from pilotage.corpus.records import ParsedDocument

Parse = Callable[[bytes], ParsedDocument]


class Reader(StrEnum):
    """A module of this package with a function `parse`."""

    MARKDOWN = "markdown"
    PLAIN = "plain"
    HTML = "html"
    PDF = "pdf"
    DOCX = "docx"


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        ".md": Reader.MARKDOWN,
        ".markdown": Reader.MARKDOWN,
        ".txt": Reader.PLAIN,
        ".html": Reader.HTML,
        ".htm": Reader.HTML,
        ".pdf": Reader.PDF,
        ".docx": Reader.DOCX,
    }
)


def load(reader: Reader) -> Parse:
    """Import a reader and return its `parse`."""
    return cast("Parse", import_module(f"pilotage.adapters.parsing.{reader.value}").parse)
