"""Front matter of Markdown and text files: governance fields between two `---` lines at the very top.

Only plain `key: value` lines of known keys; anything else in the block is left to authoring tools. An ACL is never
read here: who may read a document is not its author's text to decide. Fail mode: no closing line, no front matter.
"""

from __future__ import annotations

import re

KEYS = frozenset({"title", "effective_date", "expiry_date", "classification", "region", "uri"})
_BLOCK = re.compile(r"---[ \t]*\n(.{0,16000}?)\n?---[ \t]*(?:\n|\Z)", re.DOTALL)
_LINE = re.compile(r"([a-z_]+):[ \t]*(.*?)[ \t]*")


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return the known fields and the text after the block; ({}, text) when there is none."""
    match = _BLOCK.match(text)
    if match is None:
        return {}, text
    fields: dict[str, str] = {}
    for line in match[1].split("\n"):
        pair = _LINE.fullmatch(line)
        if pair is not None and pair[1] in KEYS and pair[2]:
            fields.setdefault(pair[1], _unquote(pair[2]))
    return fields, text[match.end() :]


def _unquote(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
