"""HTML as a reader sees it: scripts, styles, comments and hidden elements are removed and counted; tables by row.

Fail mode: what the parser cannot tell to be visible text is left out, never guessed in. Style sheets are not applied,
so an element hidden only by one is still read: the tripwires look at it like at any other text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pilotage.adapters.parsing.blocks import SectionBuilder, Unreadable, decode_utf8
from pilotage.corpus.records import ParsedDocument

PARSER = f"selectolax-{version('selectolax')}/2"
MAX_DEPTH = 5_000
_DROPPED = frozenset(
    "script style noscript template iframe object embed svg math head link meta canvas audio video select".split()  # noqa: SIM905 - a list to read
)
_BLOCKS = frozenset(
    "p div section article main aside header footer nav ul ol dl li dt dd pre blockquote figure figcaption address "  # noqa: SIM905 - a list to read
    "form fieldset body html details summary hr".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?:\.0+)?(?![.\d])",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Reader:
    builder: SectionBuilder
    hidden: int = 0
    words: list[str] = field(default_factory=list)

    def flush(self, prefix: str = "") -> None:
        text = "\n".join(" ".join(line.split()) for line in "".join(self.words).split("\x1f"))
        self.words.clear()
        if text.strip():
            self.builder.paragraph(prefix + text.strip())


def parse(data: bytes) -> ParsedDocument:
    """Read UTF-8 HTML."""
    builder = SectionBuilder()
    hidden = read_html(decode_utf8(data), builder)
    return builder.build(parser=PARSER, hidden_elements=hidden)


def read_html(text: str, builder: SectionBuilder) -> int:
    """Read visible HTML into the builder; return how many hidden elements with text were removed."""
    tree = LexborHTMLParser(text)
    reader = _Reader(builder)
    root = tree.root
    if root is not None:
        for entered, node in _walk(root, reader):
            _step(reader, node, entered=entered)
    reader.flush()
    return reader.hidden


def _walk(root: LexborNode, reader: _Reader) -> Iterator[tuple[bool, LexborNode]]:
    """Yield (entered, node) in document order without recursion; dropped and hidden subtrees are not entered."""
    stack: list[tuple[bool, LexborNode, int]] = [(True, root, 0)]
    while stack:
        entered, node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise Unreadable("is nested too deeply")
        if entered and (node.tag in _DROPPED or node.tag == "-comment"):
            continue
        if entered and _is_hidden(node):
            reader.hidden += 1
            continue
        yield entered, node
        if not entered or node.tag in _HEADINGS or node.tag == "table":
            continue
        stack.append((False, node, depth))
        children = list(node.iter(include_text=True, skip_empty=False))
        stack.extend((True, child, depth + 1) for child in reversed(children))


def _is_hidden(node: LexborNode) -> bool:
    if node.is_text_node:
        return False
    attributes = node.attributes
    if not attributes:
        return False
    style = attributes.get("style") or ""
    hides = "hidden" in attributes or attributes.get("aria-hidden") == "true" or _HIDING.search(style) is not None
    return hides and bool(node.text(deep=True).strip())


def _step(reader: _Reader, node: LexborNode, *, entered: bool) -> None:
    tag = node.tag
    if node.is_text_node:
        if entered:
            reader.words.append(node.text(deep=False) or "")
    elif tag in _HEADINGS:
        reader.flush()
        reader.builder.heading(_HEADINGS[tag], _visible_text(node, reader))
    elif tag == "table":
        reader.flush()
        _table(node, reader)
    elif tag == "br":
        reader.words.append("\x1f" if entered else "")
    elif tag in _BLOCKS:
        reader.flush("- " if tag == "li" and not entered else "")


def _visible_text(node: LexborNode, reader: _Reader) -> str:
    words: list[str] = []
    for entered, child in _inside(node, reader):
        if entered and child.is_text_node:
            words.append(child.text(deep=False) or "")
        elif child.tag in _BLOCKS or child.tag in {"br", "tr", "td", "th"}:
            words.append(" ")
    return " ".join("".join(words).split())


def _inside(node: LexborNode, reader: _Reader) -> Iterator[tuple[bool, LexborNode]]:
    for child in node.iter(include_text=True, skip_empty=False):
        yield from _walk_flat(child, reader)


def _walk_flat(root: LexborNode, reader: _Reader) -> Iterator[tuple[bool, LexborNode]]:
    """Walk like `_walk`, entering headings and tables too: for the inside of a heading or cell."""
    stack: list[tuple[bool, LexborNode]] = [(True, root)]
    while stack:
        entered, node = stack.pop()
        if entered and (node.tag in _DROPPED or node.tag == "-comment"):
            continue
        if entered and _is_hidden(node):
            reader.hidden += 1
            continue
        yield entered, node
        if entered:
            stack.append((False, node))
            stack.extend((True, child) for child in reversed(list(node.iter(include_text=True, skip_empty=False))))


def _table(node: LexborNode, reader: _Reader) -> None:
    header: list[str] | None = None
    rows: list[list[str]] = []
    for part in _parts(node, reader):
        if part.tag == "caption":
            reader.builder.paragraph(_visible_text(part, reader))
            continue
        cells = [cell for cell in _shown(part, reader) if cell.tag in {"td", "th"}]
        texts = [_visible_text(cell, reader) for cell in cells]
        if header is None and not rows and cells and all(cell.tag == "th" for cell in cells):
            header = texts
        else:
            rows.append(texts)
    reader.builder.table(header, rows)


def _parts(table: LexborNode, reader: _Reader) -> Iterator[LexborNode]:
    """Yield the caption and the rows of this table; those of a table inside a cell are text of the cell."""
    for child in _shown(table, reader):
        if child.tag in {"thead", "tbody", "tfoot"}:
            yield from (row for row in _shown(child, reader) if row.tag == "tr")
        elif child.tag in {"tr", "caption"}:
            yield child


def _shown(parent: LexborNode, reader: _Reader) -> Iterator[LexborNode]:
    """Yield the elements directly inside one that a reader would see; the hidden ones are counted."""
    for child in parent.iter(include_text=False):
        if child.tag in _DROPPED or child.tag == "-comment":
            continue
        if _is_hidden(child):
            reader.hidden += 1
        else:
            yield child
