"""Our own small formats, which people write as YAML or JSON: a mapping with keys that name the format.

Rule: YAML is the 1.2 core schema, bounded, without tags. Fail mode: what is no mapping or no YAML is EV_MALFORMED.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pilotage.core.canonical import Json
from pilotage.core.located import Problems
from pilotage.core.yaml_source import load_yaml
from pilotage.evidence.csv_rows import csv_rows
from pilotage.evidence.json_values import as_list, as_map, as_text
from pilotage.evidence.source import Content, JsonContent, Source, TextContent, Unreadable

_NUMBERS = (int, float)


def has_key(content: Content, key: str) -> bool:
    """Tell whether a JSON or YAML mapping has this key at its top, without reading the rest."""
    if isinstance(content, JsonContent):
        return key in as_map(content.value)
    pattern = rf"^[\"']?{re.escape(key)}[\"']?[ \t]*:"
    return isinstance(content, TextContent) and re.search(pattern, content.value, re.MULTILINE) is not None


def has_value(content: Content, key: str, value: str) -> bool:
    """Tell whether the key at the top has this text as its value."""
    if isinstance(content, JsonContent):
        return as_map(content.value).get(key) == value
    pattern = rf"^[\"']?{re.escape(key)}[\"']?[ \t]*:[ \t]*[\"']?{re.escape(value)}[\"']?[ \t]*(?:#.*)?$"
    return isinstance(content, TextContent) and re.search(pattern, content.value, re.MULTILINE) is not None


def document_of(source: Source) -> Mapping[str, Json]:
    """Return the mapping a YAML or JSON file holds."""
    if isinstance(source.content, JsonContent):
        value: Json = source.content.value
    else:
        problems = Problems()
        located = load_yaml(source.text.encode("utf-8"), file=source.name, problems=problems)
        if located is None or problems.found:
            first = problems.found[0] if problems.found else None
            text = f"Line {first.line}: {first.what}." if first else "The file holds no document."
            raise Unreadable("EV_MALFORMED", text)
        value = located.plain()
    if not isinstance(value, Mapping):
        raise Unreadable("EV_MALFORMED", f"{source.name} is not a mapping of names to values.")
    return value


def rows_of(source: Source, key: str) -> Iterator[Mapping[str, str]]:
    """Yield rows as texts: of a CSV, or of the list under `key` in YAML or JSON. Names are in lower case."""
    if isinstance(source.content, TextContent) and not has_key(source.content, key):
        yield from csv_rows(source)
        return
    for number, row in enumerate(as_list(document_of(source).get(key)), start=1):
        if not isinstance(row, Mapping):
            raise Unreadable("EV_MALFORMED", f"Row {number} of {key} is not a mapping.")
        yield {name.strip().lower(): _cell(value) for name, value in row.items()}


def _cell(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, _NUMBERS) else as_text(value)
