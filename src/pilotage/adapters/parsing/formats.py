"""Which parser reads which file, by suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pilotage.adapters.parsing.docx import parse_docx
from pilotage.adapters.parsing.html import parse_html
from pilotage.adapters.parsing.markdown import parse_markdown
from pilotage.adapters.parsing.pdf import parse_pdf
from pilotage.adapters.parsing.plain import parse_plain
from pilotage.corpus.records import ParsedDocument

PARSERS: Mapping[str, Callable[[bytes], ParsedDocument]] = MappingProxyType(
    {
        ".md": parse_markdown,
        ".markdown": parse_markdown,
        ".txt": parse_plain,
        ".html": parse_html,
        ".htm": parse_html,
        ".pdf": parse_pdf,
        ".docx": parse_docx,
    }
)
