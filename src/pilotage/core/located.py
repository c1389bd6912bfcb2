"""A declared value that remembers its file and line, and the collector of everything wrong with it.

Values come from YAML (`core/yaml_source.py`) or from plain JSON (`from_plain`: a sealed part, a JSONL row).
Fail mode: mistakes are collected in `Problems`, each with what to write instead; `raise_if_any` ends the parse.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles, Problem

Scalar: TypeAlias = "str | int | float | bool | None"
Node: TypeAlias = "Scalar | tuple[Located, ...] | Mapping[str, Located]"
_ALL_SHOWN, _SOME_SHOWN = 40, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """One value with the place it was written. `path` is the dotted way from the top (`security.allowed_ips[0]`)."""

    file: str
    line: int
    path: str
    node: Node

    def plain(self) -> Json:
        """Return the value as plain JSON, as a sealed release stores it."""
        if isinstance(self.node, Mapping):
            return {key: child.plain() for key, child in self.node.items()}
        if isinstance(self.node, tuple):
            return [child.plain() for child in self.node]
        return self.node

    @property
    def kind(self) -> str:
        """Name the type of the value for people: `text`, `a whole number`, `a list`."""
        for types, name in _KIND_NAMES:
            if isinstance(self.node, types):
                return name
        return "nothing"


_KIND_NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (tuple, "a list"),
    (Mapping, "a mapping"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name that must exist elsewhere: `kind` (person, group, corpus ...), the name, and where it was written."""

    kind: str
    name: str
    at: Located


@dataclass(slots=True)
class Problems:
    """Collects every mistake, warning and cross-file reference of one parse."""

    found: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)

    def add(self, at: Located, what: str, hint: str) -> None:
        """Record a mistake at a value."""
        self.found.append(Problem(file=at.file, line=at.line, what=what, hint=hint))

    def add_at(self, file: str, line: int, what: str, hint: str) -> None:
        """Record a mistake at a line; 0 is the whole file."""
        self.found.append(Problem(file=file, line=line, what=what, hint=hint))

    def warn(self, at: Located, what: str, hint: str) -> None:
        """Record something that is allowed but deserves a second look."""
        self.warnings.append(Problem(file=at.file, line=at.line, what=what, hint=hint))

    def refer(self, kind: str, name: str, at: Located) -> None:
        """Remember that `name` must turn out to exist."""
        self.references.append(Reference(kind=kind, name=name, at=at))

    def raise_if_any(self) -> None:
        """Raise InvalidFiles with all mistakes, sorted by file and line, when there is one."""
        if self.found:
            raise InvalidFiles(tuple(sorted(set(self.found))))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is alike."""
    matches = difflib.get_close_matches(name.casefold(), {k.casefold(): k for k in known}, n=1, cutoff=0.6)
    return next((k for k in known if matches and k.casefold() == matches[0]), None)


def did_you_mean(name: str, known: Sequence[str], *, instead: str) -> str:
    """Return a hint: the nearest known name, else `instead` followed by the known names (some of them, of many)."""
    close = nearest(name, known)
    if close is not None:
        return f"Did you mean {close!r}?"
    names = sorted(known)
    if not names:
        return f"{instead}; none is declared."
    if len(names) <= _ALL_SHOWN:
        return f"{instead}: {', '.join(names)}."
    return f"{instead}: {', '.join(names[:_SOME_SHOWN])} and {len(names) - _SOME_SHOWN} more."


def from_plain(value: Json, *, file: str, line: int = 0, path: str = "") -> Located:
    """Wrap plain JSON values; every part carries the same `line` (0 when there is none)."""
    node: Node
    if isinstance(value, Mapping):
        node = {key: from_plain(child, file=file, line=line, path=join_path(path, key)) for key, child in value.items()}
    elif isinstance(value, str) or not isinstance(value, Sequence):
        node = value
    else:
        node = tuple(
            from_plain(child, file=file, line=line, path=f"{path}[{index}]") for index, child in enumerate(value)
        )
    return Located(file=file, line=line, path=path, node=node)


def join_path(path: str, key: str) -> str:
    """Return the dotted path of a key below `path`."""
    return f"{path}.{key}" if path else key
