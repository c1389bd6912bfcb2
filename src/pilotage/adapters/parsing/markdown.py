"""Markdown (CommonMark with tables): headings give the section path; raw HTML goes through the HTML rule."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pilotage.adapters.parsing.blocks import SectionBuilder, decode_utf8
from pilotage.adapters.parsing.front_matter import split_front_matter
from pilotage.adapters.parsing.html import read_html
from pilotage.corpus.records import ParsedDocument

PARSER = f"markdown-it-py-{version('markdown-it-py')}/2"
_reader = MarkdownIt("commonmark", {"maxNesting": 100}).enable("table")


def parse(data: bytes) -> ParsedDocument:
    """Read UTF-8 Markdown."""
    fields, text = split_front_matter(decode_utf8(data).replace("\r\n", "\n"))
    builder = SectionBuilder()
    hidden = _Walk(builder).read(_reader.parse(text))
    return builder.build(parser=PARSER, fields=fields, hidden_elements=hidden)


class _Walk:
    """One pass over the token stream."""

    def __init__(self, builder: SectionBuilder) -> None:
        self._builder = builder
        self._hidden = 0
        self._heading = 0
        self._marks: list[str] = []
        self._numbers: list[int] = []
        self._table: list[list[str]] | None = None
        self._fresh_item = False

    def read(self, tokens: Sequence[Token]) -> int:
        """Read all tokens; return the number of hidden HTML elements."""
        for token in tokens:
            match token.type:
                case "inline":
                    self._inline(token)
                case "fence" | "code_block":
                    self._builder.paragraph(token.content)
                case "html_block":
                    self._hidden += read_html(token.content, self._builder)
                case _:
                    self._structure(token)
        return self._hidden

    def _inline(self, token: Token) -> None:
        text = _plain(token.children or ())
        if self._table is not None:
            self._table[-1].append(text)
        elif self._heading:
            self._builder.heading(self._heading, text)
            self._heading = 0
        else:
            self._builder.paragraph(self._mark() + text)

    def _mark(self) -> str:
        if not self._fresh_item:
            return ""
        self._fresh_item = False
        return self._marks[-1]

    def _structure(self, token: Token) -> None:
        match token.type:
            case "heading_open":
                self._heading = int(token.tag[1])
            case "bullet_list_open":
                self._numbers.append(-1)
                self._marks.append("- ")
            case "ordered_list_open":
                self._numbers.append(int(token.attrs.get("start", 1)))
                self._marks.append("")
            case "bullet_list_close" | "ordered_list_close":
                self._numbers.pop()
                self._marks.pop()
            case "list_item_open":
                self._fresh_item = True
                if self._numbers[-1] >= 0:
                    self._marks[-1] = f"{self._numbers[-1]}. "
                    self._numbers[-1] += 1
            case "table_open":
                self._table = []
            case "tr_open" if self._table is not None:
                self._table.append([])
            case "table_close" if self._table is not None:
                self._builder.table(self._table[0], self._table[1:])
                self._table = None
            case _:
                pass


def _plain(children: Sequence[Token]) -> str:
    """Return the text of inline tokens; raw tags vanish, what stands between them stays."""
    out: list[str] = []
    for child in children:
        match child.type:
            case "text" | "code_inline" | "text_special":
                out.append(child.content)
            case "softbreak":
                out.append(" ")
            case "hardbreak":
                out.append("\n")
            case "image":
                out.append(child.content)
            case _:
                pass
    return "".join(out)
