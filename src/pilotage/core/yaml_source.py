"""Reads YAML text into Located values, from parser events: bounded, and nothing is ever constructed from a tag.

Rule: the YAML 1.2 core schema. null, true, false, integers and floats are themselves; everything else is text (`no`,
`on`, `2026-01-02` and `12:30` stay as written). Mistakes: duplicate keys, tags, merge keys, nesting over 40, more than
50,000 values where an alias counts each time it is used (billion laughs).
Fail mode: a problem with file and line; a file that cannot be read gives no document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles
from pilotage.core.located import Located, Problems, Scalar, join_path

MAX_VALUES = 50_000
MAX_DEPTH = 40
MAX_YAML_BYTES = 1_048_576

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

# libyaml where PyYAML was built with it; the pure parser gives the same events, more slowly.
_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(data: bytes, *, file: str, problems: Problems) -> Located | None:
    """Read a file of exactly one YAML document; None (with a problem) when it has none, several, or a syntax error."""
    documents = load_yaml_documents(data, file=file, problems=problems)
    if len(documents) > 1:
        problems.add(documents[1], "A second YAML document starts here", "Keep one document in this file.")
    return documents[0] if documents else None


def load_plain_yaml(data: bytes, *, file: str) -> Json:
    """Return a file's one document as plain values; raise InvalidFiles with every mistake."""
    problems = Problems()
    at = load_yaml(data, file=file, problems=problems)
    if at is None or problems.found:
        raise InvalidFiles(tuple(problems.found))
    return at.plain()


def load_yaml_documents(data: bytes, *, file: str, problems: Problems, first_line: int = 1) -> tuple[Located, ...]:
    """Read all YAML documents of a file; empty (with a problem) when the text cannot be read.

    `first_line` is the line of the file on which `data` starts (front matter). Empty documents are skipped.
    """
    text = decode_text(data, file=file, problems=problems, limit=MAX_YAML_BYTES)
    if text is None:
        return ()
    builder = _Builder(file=file, first_line=first_line, problems=problems)
    try:
        documents = tuple(builder.documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"This is not YAML: {error.problem or error.context or 'it cannot be read'}"
        problems.add_at(
            file, mark.line + first_line if mark else 0, what, "Check indentation, quotes and colons on this line."
        )
        return ()
    except (yaml.YAMLError, UnicodeError) as error:
        what = f"This is not YAML: {str(error).partition(chr(10))[0]}"
        problems.add_at(file, 0, what, "Remove control characters; write plain UTF-8 text.")
        return ()
    except _TooMuchError as error:
        limits = f"Keep at most {MAX_VALUES:,} values, nested at most {MAX_DEPTH} deep; an alias counts each time."
        problems.add_at(file, error.line, "The file is too large or too deeply nested", limits)
        return ()
    if not documents:
        problems.add_at(file, 0, "The file is empty", "Write its settings, or remove the file.")
    return documents


def decode_text(data: bytes, *, file: str, problems: Problems, limit: int) -> str | None:
    """Return the file as text; None with a problem when it is over `limit` bytes or not UTF-8 (a BOM is dropped)."""
    if len(data) > limit:
        problems.add_at(file, 0, f"The file has {len(data):,} bytes", f"Keep it at {limit:,} bytes or fewer.")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add_at(file, line, f"Byte {error.start} is not UTF-8", "Save the file as UTF-8.")
        return None


class _TooMuchError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(slots=True, kw_only=True)
class _Open:
    """A mapping or list whose end has not been seen. `key` waits for its value."""

    at: Located
    anchor: str | None
    before: int
    mapping: dict[str, Located] | None
    items: list[Located] = field(default_factory=list)
    key: Located | None = None
    expects_key: bool = True


@dataclass(slots=True, kw_only=True)
class _Builder:
    """Builds documents from events with its own stack: no recursion, so no input can exhaust the C stack."""

    file: str
    first_line: int
    problems: Problems
    values: int = 0
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[Located, int]] = field(default_factory=dict)

    def documents(self, text: str) -> Iterator[Located]:
        """Yield each non-empty document of the text."""
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + self.first_line if event.start_mark else 0
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors.clear()
            root = self._step(event, line)
            if root is not None and root.node is not None:
                yield root

    def _step(self, event: yaml.Event, line: int) -> Located | None:
        """Take one event; return the document's root when this event completed it."""
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event, line)
                return None
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                return self._close()
            case yaml.ScalarEvent():
                self._count(line)
                at = self._at(line)
                value = Located(file=self.file, line=line, path=at.path, node=self._scalar(event, at))
                self._remember(event.anchor, value, 1)
                return self._place(value, text=event.value, quoted=event.style not in {None, ""})
            case yaml.AliasEvent():
                return self._alias(event.anchor or "", line)
            case _:
                return None

    def _count(self, line: int, more: int = 1) -> None:
        self.values += more
        if self.values > MAX_VALUES or len(self.stack) > MAX_DEPTH:
            raise _TooMuchError(line)

    def _at(self, line: int) -> Located:
        path = ""
        if self.stack:
            top = self.stack[-1]
            if top.mapping is None:
                path = f"{top.at.path}[{len(top.items)}]"
            else:
                path = join_path(top.at.path, str(top.key.node)) if top.key is not None else top.at.path
        return Located(file=self.file, line=line, path=path, node=None)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        self._count(line)
        at = self._at(line)
        if event.tag is not None:
            self._refuse_tag(event.tag, at)
        mapping: dict[str, Located] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        self.stack.append(_Open(at=at, anchor=event.anchor, before=self.values, mapping=mapping))

    def _close(self) -> Located | None:
        done = self.stack.pop()
        node = tuple(done.items) if done.mapping is None else done.mapping
        value = Located(file=self.file, line=done.at.line, path=done.at.path, node=node)
        self._remember(done.anchor, value, self.values - done.before + 1)
        return self._place(value, text=None, quoted=False)

    def _alias(self, anchor: str, line: int) -> Located | None:
        known = self.anchors.get(anchor)
        if known is None:
            self.problems.add_at(self.file, line, f"The alias *{anchor} names nothing above it", "Write the value out.")
            return self._place(self._at(line), text=None, quoted=False)
        value, size = known
        self._count(line, size)
        return self._place(value, text=value.node if isinstance(value.node, str) else None, quoted=True)

    def _remember(self, anchor: str | None, value: Located, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size)

    def _place(self, value: Located, *, text: str | None, quoted: bool) -> Located | None:
        """Put a finished value into its parent; a value without a parent is the document's root."""
        if not self.stack:
            return value
        top = self.stack[-1]
        if top.mapping is None:
            top.items.append(value)
        elif top.expects_key:
            top.key = self._key(top.mapping, value, text=text, quoted=quoted)
            top.expects_key = False
        else:
            if top.key is not None:
                # A block value starts on the line after its key; people look for the key.
                top.mapping[str(top.key.node)] = Located(
                    file=value.file, line=top.key.line, path=value.path, node=value.node
                )
            top.key = None
            top.expects_key = True
        return None

    def _key(self, mapping: dict[str, Located], at: Located, *, text: str | None, quoted: bool) -> Located | None:
        """Return the key, or None (with a problem) when its value must be dropped."""
        if text is None:
            self.problems.add(at, "A key is not text", "Write `key: value`; put braces and lists in quotes.")
        elif text == "<<" and not quoted:
            self.problems.add(at, "Merge keys (<<) are not supported", "Write the keys out.")
        elif text in mapping:
            first = mapping[text].line
            self.problems.add(at, f"The key {text!r} stands twice (first on line {first})", "Keep one of them.")
        else:
            return Located(file=at.file, line=at.line, path=at.path, node=text)
        return None

    def _refuse_tag(self, tag: str, at: Located) -> None:
        self.problems.add(at, f"The tag {tag!r} is not allowed", "Remove the tag; write a plain value.")

    def _scalar(self, event: yaml.ScalarEvent, at: Located) -> Scalar:
        if event.tag is not None:
            self._refuse_tag(event.tag, at)
            return None
        if not event.implicit[0]:
            return str(event.value)
        return self._resolved(str(event.value), at)

    def _resolved(self, text: str, at: Located) -> Scalar:
        """Resolve a plain scalar by the core schema (YAML 1.2.2, 10.3.2)."""
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if len(text) > 40 and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
            self.problems.add(at, "A number has more than 40 characters", "Write a smaller one, or put it in quotes.")
            return None
        if _INT.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text[2:] if base != 10 else text, base)
        if _FLOAT.fullmatch(text):
            return self._finite(float(text), text, at)
        return text

    def _finite(self, value: float, text: str, at: Located) -> Scalar:
        if value in (float("inf"), float("-inf")):
            self.problems.add(at, f"The number {text} is too large", "Write a smaller number.")
            return None
        return value
