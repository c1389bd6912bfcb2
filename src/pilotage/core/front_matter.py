"""Splits a Markdown file into its YAML front matter (between two `---` lines at the top) and its body.

Rule: no front matter is fine and gives empty notes. Fail mode: an opened block that never closes, or that is not a
mapping, is a problem with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.core.canonical import Json
from pilotage.core.located import Located, Problems
from pilotage.core.yaml_source import decode_text, load_yaml_documents


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """`at` is the located front matter (None when there is none); `body_line` the line on which `body` starts."""

    at: Located | None
    body: str
    body_line: int
    notes: Mapping[str, Json] = field(default_factory=dict)


def split_front_matter(data: bytes, *, file: str, problems: Problems, limit: int) -> FrontMatter | None:
    """Return both parts; None (with a problem) when the file cannot be read at all."""
    text = decode_text(data, file=file, problems=problems, limit=limit)
    if text is None:
        return None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return FrontMatter(at=None, body="\n".join(lines), body_line=1)
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        problems.add_at(file, 1, "The front matter never ends", "Write a line `---` after it.")
        return None
    body = "\n".join(lines[end + 1 :])
    block = "\n".join(lines[1:end])
    if not block.strip():
        return FrontMatter(at=None, body=body, body_line=end + 2)
    documents = load_yaml_documents(block.encode(), file=file, problems=problems, first_line=2)
    at = documents[0] if documents else None
    if at is None:
        return FrontMatter(at=None, body=body, body_line=end + 2)
    if not isinstance(at.node, Mapping):
        problems.add(at, "The front matter is not a mapping", "Write `key: value` lines between the two `---` lines.")
        return FrontMatter(at=None, body=body, body_line=end + 2)
    return FrontMatter(
        at=at, body=body, body_line=end + 2, notes={key: child.plain() for key, child in at.node.items()}
    )
