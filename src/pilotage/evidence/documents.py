"""Documents of a release: Markdown, or the text of a PDF or Word file (gates.md 2.7).

Rule: complete means owner, version and an unexpired `valid_until` in front matter, every required heading and command,
at least 150 words and no placeholder. Fail mode: what is missing leaves `complete` at 0; nothing to read is EV_EMPTY.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from pilotage.core.canonical import Json
from pilotage.core.front_matter import split_front_matter
from pilotage.core.located import Problems
from pilotage.evidence.limits import MAX_BYTES
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import BinaryContent, Content, Source, TextContent, Unreadable
from pilotage.release.subprocessors import DOCUMENT, as_lines, listed_subprocessors

_NEEDED = ("owner", "version", "valid_until")
_FEWEST_WORDS = 150
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```pilotage[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(\S[^\n]*)$", re.MULTILINE)
_NUMBERING = re.compile(r"^[\d.\s]+")
_WORD = re.compile(r"\w+")
_PLACEHOLDER = re.compile(
    r"\b(?:TODO|TBD|FIXME)\b|lorem ipsum|<\.{3}>"
    r"|<(?!/?(?:a|abbr|b|br|code|div|em|hr|i|img|kbd|li|ol|p|pre|span|strong|sub|sup|table|td|th|tr|u|ul)\b)"
    r"[A-Za-z][^<>\n:@/]{0,80}>",
    re.IGNORECASE,
)
_LINE_FIELD = re.compile(r"^\s*(owner|version|valid[ _]until)\s*:\s*(\S.*?)\s*$", re.IGNORECASE)
_HEAD_LINES = 60
_HEAD_WIDTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    fields: Mapping[str, str]
    body: str
    headings: frozenset[str]
    notes: Mapping[str, Json] = field(default_factory=dict)


def is_document(content: Content) -> bool:
    """Tell whether the file is text or a text document; asked last, as every text is one."""
    return isinstance(content, TextContent | BinaryContent)


def read_document(source: Source, context: ReadContext) -> Reading:
    """Read a document of any `document.TYPE` kind."""
    text = _markdown(source) if isinstance(source.content, TextContent) else _extracted(source)
    prose = _FENCE.sub("", text.body)
    words = len(_WORD.findall(prose))
    placeholders = len(_PLACEHOLDER.findall(_without_comments(prose)))
    missing = tuple(section for section in context.required_sections if not _has_section(text, section))
    if context.required_command is not None and not _calls(text.body, context.required_command):
        missing += (f"a `pilotage` block with {context.required_command or 'a command'}",)
    until = _date(text.fields.get("valid_until", ""))
    days = (until - context.received_at.date()).days if until and context.received_at else None
    lacking = [name for name in _NEEDED if not text.fields.get(name)]
    is_current = until is not None and (days is None or days >= 0)
    is_complete = not (missing or placeholders or lacking) and is_current and words >= _FEWEST_WORDS
    claims: dict[str, float] = {
        "complete": is_complete,
        "missing_sections": len(missing),
        "placeholders": placeholders,
        "words": words,
    }
    if days is not None:
        claims["valid_days"] = days
    return Reading(
        kind=source.kind,
        reader="document",
        claims={name: float(value) for name, value in claims.items()},
        summary=f"{words} words, {len(missing)} section(s) missing, {placeholders} placeholder(s)",
        refs={name: text.fields[name][:200] for name in _NEEDED if text.fields.get(name)},
        names={"missing_sections": missing, "missing_fields": tuple(lacking), **_listed(source.kind, text.notes)},
    )


def _markdown(source: Source) -> _Text:
    problems = Problems()
    split = split_front_matter(source.text.encode("utf-8"), file=source.name, problems=problems, limit=MAX_BYTES)
    if split is None or problems.found:
        first = problems.found[0]
        raise Unreadable("EV_MALFORMED", f"Line {first.line}: {first.what}.")
    headings = frozenset(_plain(found) for found in _HEADING.findall(_FENCE.sub("", split.body)))
    fields = {name: "" if value is None else str(value).strip() for name, value in split.notes.items()}
    return _Text(fields=fields, body=split.body, headings=headings, notes=split.notes)


def _listed(kind: str, notes: Mapping[str, Json]) -> dict[str, tuple[str, ...]]:
    """Return the subprocessors that a document of them lists; only front matter is a list, prose is none."""
    if kind != f"document.{DOCUMENT}":
        return {}
    try:
        return {DOCUMENT: as_lines(listed_subprocessors(notes))}
    except ValueError as error:
        raise Unreadable("EV_MALFORMED", str(error)) from None


def _extracted(source: Source) -> _Text:
    """Take the text of a PDF or Word file: fields stand in its first lines, and any short line may be a heading."""
    media = source.content.media if isinstance(source.content, BinaryContent) else ""
    try:
        text = source.text_of(source.data, media)
    except ValueError as error:
        raise Unreadable("EV_MALFORMED", f"No text can be read from {source.name}: {str(error)[:200]}.") from None
    if not text.strip():
        raise Unreadable("EV_EMPTY", f"{source.name} has no text; a scanned page needs its text layer.")
    lines = text.splitlines()
    fields = {
        found.group(1).lower().replace(" ", "_"): found.group(2)
        for found in map(_LINE_FIELD.match, (line[:_HEAD_WIDTH] for line in lines[:_HEAD_LINES]))
        if found
    }
    return _Text(fields=fields, body=text, headings=frozenset(_plain(line) for line in lines if len(line) <= 120))


def _without_comments(text: str) -> str:
    """Drop HTML comments. By hand: a lazy pattern takes quadratic time over comments that never close."""
    kept: list[str] = []
    start = 0
    while (opening := text.find("<!--", start)) >= 0:
        kept.append(text[start:opening])
        closing = text.find("-->", opening)
        start = len(text) if closing < 0 else closing + 3
    return "".join([*kept, text[start:]])


def _calls(body: str, command: str) -> bool:
    """Tell whether a block of commands, or a line of a PDF that begins with `pilotage`, calls this command."""
    lines = [line for block in _COMMANDS.findall(body) for line in block.splitlines()]
    lines += [line.strip().removeprefix("pilotage ") for line in body.splitlines() if line.startswith("pilotage ")]
    return any(f"{line.strip()} ".startswith(f"{command} ".lstrip()) for line in lines if line.strip())


def _has_section(text: _Text, section: str) -> bool:
    wanted = _plain(section)
    return any(heading == wanted or heading.startswith(f"{wanted} ") for heading in text.headings)


def _plain(heading: str) -> str:
    return _NUMBERING.sub("", heading.strip().strip("#*_ \t")).casefold()


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
