"""Untrusted text in pages: marks for invisible characters, and a small allow-list of Markdown for answers.

Rule: everything is escaped before any tag is written; links lead to citations only. Paragraphs, lists, tables, code and
emphasis are known; images, HTML, headings and addresses stay text. Fail mode: what is not understood is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

# Bidirectional controls, zero-width and other characters that change a text without being seen, and C0/C1 controls.
_INVISIBLE: Final = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\u00ad\u061c\u180e\ufff9-\ufffb]"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\U000e0000-\U000e007f]"
)
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|\*\*(?P<strong>[^*\n]+)\*\*|\*(?P<em>[^*\n]+)\*|\[(?P<cite>\d{1,3})\]"
)
_ITEM: Final = re.compile(r"\s{0,3}(?:[-*+]|(?P<number>\d{1,3})[.)])\s+(?P<text>.*)")
_HEADING: Final = re.compile(r"(^#{1,6} [^\n]*$)", re.MULTILINE)
_RULE: Final = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*")


def show_invisible(text: str) -> str:
    """Return the text with every invisible character written as its code point."""
    return _INVISIBLE.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def render_answer(text: str, citations: Mapping[int, str]) -> Markup:
    """Return an answer as HTML; `citations` maps a marker to the address it leads to."""
    blocks = re.split(r"\n[ \t]*\n", show_invisible(text.replace("\r\n", "\n")).strip("\n"))
    return Markup("\n").join(_block(block.split("\n"), citations) for block in blocks if block.strip())


def render_document(text: str) -> Markup:
    """Return a document of the workspace as HTML: as an answer, with headings below the page's own."""
    found: list[Markup] = []
    for line in _HEADING.split(show_invisible(text.replace("\r\n", "\n"))):
        heading = _HEADING.fullmatch(line)
        if heading is not None:
            found.append(Markup("<h3>{}</h3>").format(line.lstrip("# ")))
        elif line.strip():
            found.append(render_answer(line, {}))
    return Markup("\n").join(found)


def _block(lines: Sequence[str], citations: Mapping[int, str]) -> Markup:
    if lines[0].strip().startswith("```"):
        body = [line for line in lines[1:] if not line.strip().startswith("```")]
        return Markup("<pre><code>{}</code></pre>").format("\n".join(body))
    if len(lines) > 1 and "|" in lines[0] and _RULE.fullmatch(lines[1]):
        return _table(lines, citations)
    if all(_ITEM.fullmatch(line) for line in lines if line.strip()):
        return _list(lines, citations)
    return Markup("<p>{}</p>").format(Markup("<br>").join(_inline(line, citations) for line in lines))


def _list(lines: Sequence[str], citations: Mapping[int, str]) -> Markup:
    items = [found for line in lines if (found := _ITEM.fullmatch(line))]
    tag = Markup("ol") if items[0]["number"] else Markup("ul")
    body = Markup("").join(Markup("<li>{}</li>").format(_inline(found["text"], citations)) for found in items)
    return Markup("<{0}>{1}</{0}>").format(tag, body)


def _table(lines: Sequence[str], citations: Mapping[int, str]) -> Markup:
    def cells(line: str, cell: Markup) -> Markup:
        texts = [text.strip() for text in line.strip().strip("|").split("|")]
        return Markup("").join(cell.format(_inline(text, citations)) for text in texts)

    caption = Markup('<caption class="unseen">Table</caption>')
    head = Markup("<thead><tr>{}</tr></thead>").format(cells(lines[0], Markup('<th scope="col">{}</th>')))
    rows = Markup("").join(Markup("<tr>{}</tr>").format(cells(line, Markup("<td>{}</td>"))) for line in lines[2:])
    around = Markup('<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>{}{}{}</table></div>')
    return around.format(caption, head, rows)


def _inline(text: str, citations: Mapping[int, str]) -> Markup:
    pieces: list[Markup] = []
    last = 0
    for match in _INLINE.finditer(text):
        pieces.append(escape(text[last : match.start()]))
        pieces.append(_span(match, citations))
        last = match.end()
    pieces.append(escape(text[last:]))
    return Markup("").join(pieces)


def _span(match: re.Match[str], citations: Mapping[int, str]) -> Markup:
    if match["cite"] is not None:
        address = citations.get(int(match["cite"]))
        if address is None:
            return escape(match[0])
        return Markup('<a class="cite" href="{}">[{}]</a>').format(address, match["cite"])
    kind = match.lastgroup or ""
    return Markup("<{0}>{1}</{0}>").format(Markup(kind), match[kind])  # noqa: S704 - the name of one of our groups
