"""A CAB pack, or minutes, as one HTML page that prints well: no script, nothing loaded, every text escaped.

Rule: the same facts give the same bytes. Fail mode: none; what is missing is printed as `MISSING`.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import assert_never

from pilotage.core.canonical import Json
from pilotage.gate.pack import MISSING
from pilotage.gate.pack_layout import Block, Grid, Heading, Layout, Note, Pairs, lay_out

_STYLE = """
:root{color-scheme:light}
body{font:10pt/1.4 system-ui,sans-serif;color:#16202c;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:18pt;margin:0 0 .6rem}
h2{font-size:13pt;margin:1.6rem 0 .4rem;border-bottom:1.5pt solid #1f4e79;break-after:avoid}
h3{font-size:11pt;margin:1rem 0 .3rem;break-after:avoid}
h4{font-size:10pt;margin:.8rem 0 .2rem;color:#44546a;break-after:avoid}
table{border-collapse:collapse;width:100%;margin:.3rem 0 .6rem;font-size:8.5pt}
th,td{border:.5pt solid #b8c2cc;padding:.2rem .35rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
thead th{background:#eaf0f6}
thead{display:table-header-group}
tr{break-inside:avoid}
table.pairs th{width:13rem;font-weight:600;background:#f6f8fa}
.missing{background:#ffe3e0;color:#8a1208;font-weight:700}
@page{size:A4;margin:16mm 14mm}
@media print{body{margin:0;max-width:none;padding:0}}
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def pack_html(facts: Mapping[str, Json]) -> str:
    """Return the page of a pack's facts."""
    return layout_html(lay_out(facts))


def layout_html(layout: Layout) -> str:
    """Return the page of a layout."""
    body = "\n".join(_block(block) for block in layout.blocks)
    title = escape(layout.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{_block(layout.head)}\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"<h{level + 1}>{escape(text)}</h{level + 1}>"
        case Note(text=text):
            return f"<p{_mark(text)}>{escape(text)}</p>"
        case Pairs(rows=rows):
            lines = "\n".join(f'<tr><th scope="row">{escape(name)}</th>{_cell(value)}</tr>' for name, value in rows)
            return f'<table class="pairs"><tbody>\n{lines}\n</tbody></table>'
        case Grid(columns=columns, rows=rows):
            head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
            lines = "\n".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>"
    assert_never(block)


def _cell(text: str) -> str:
    return f"<td{_mark(text)}>{escape(text)}</td>"


def _mark(text: str) -> str:
    return ' class="missing"' if text == MISSING else ""
