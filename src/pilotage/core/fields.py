"""Typed access to declared mappings: each parser names its keys once and reports every mistake at once.

Rule: `need` a key or `get` it with a default, through a Reader; unknown keys are reported with the nearest known name.
Fail mode: each mistake becomes a Problem and a stand-in value takes its place; `Problems.raise_if_any` makes sure no
record with a stand-in leaves a parser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from pilotage.core.located import Located, Problems, did_you_mean, join_path

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
D = TypeVar("D")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader(Generic[T_co]):
    """Turns a Located value into a T. `stand_in` makes the value that replaces a missing or mistaken one."""

    read: Callable[[Located, Problems], T_co]
    stand_in: Callable[[], T_co]


@dataclass(slots=True, kw_only=True)
class Fields:
    """The keys of one mapping being read. Call `close` when all known keys were asked for."""

    at: Located
    problems: Problems
    known: list[str] = field(default_factory=list)

    @property
    def _mapping(self) -> Mapping[str, Located]:
        return self.at.node if isinstance(self.at.node, Mapping) else {}

    def has(self, key: str) -> bool:
        """Tell whether the key is written with a value (null counts as absent)."""
        self.known.append(key)
        child = self._mapping.get(key)
        return child is not None and child.node is not None

    def place(self, key: str) -> Located:
        """Return the value at `key`, or the mapping itself when the key is absent: where a mistake is reported."""
        self.known.append(key)
        return self._mapping.get(key, self.at)

    def need(self, key: str, reader: Reader[T]) -> T:
        """Read a required key."""
        if not self.has(key):
            hint = f"Write `{key}: ...`."
            self.problems.add(self.place(key), f"{join_path(self.at.path, key)!r} is missing", hint)
            return reader.stand_in()
        return reader.read(self._mapping[key], self.problems)

    def get(self, key: str, reader: Reader[T], default: D) -> T | D:
        """Read an optional key; absent or null gives `default`."""
        return reader.read(self._mapping[key], self.problems) if self.has(key) else default

    def problem(self, key: str, what: str, hint: str) -> None:
        """Report a mistake at the key."""
        self.problems.add(self.place(key), what, hint)

    def close(self) -> None:
        """Report every key that was never asked for."""
        for key, child in self._mapping.items():
            if key not in self.known:
                hint = did_you_mean(key, sorted(set(self.known)), instead="Known keys")
                self.problems.add(child, f"The key {join_path(self.at.path, key)!r} is unknown", hint)


def read_record(at: Located, problems: Problems, parse: Callable[[Fields], T]) -> T:
    """Read a mapping with `parse`, unknown keys included; anything but a mapping is a mistake."""
    return record(parse).read(at, problems)


def record(parse: Callable[[Fields], T]) -> Reader[T]:
    """Return a reader of a nested mapping. Its stand-in is `parse` of an empty mapping, unreported."""

    def stand_in() -> T:
        nothing = Located(file="", line=0, path="", node={})
        return parse(Fields(at=nothing, problems=Problems()))

    def read(at: Located, problems: Problems) -> T:
        if not isinstance(at.node, Mapping):
            _wrong_kind(at, problems, "a mapping", "Write keys and values below it.")
            return stand_in()
        fields = Fields(at=at, problems=problems)
        value = parse(fields)
        fields.close()
        return value

    return Reader(read=read, stand_in=stand_in)


def _wrong_kind(at: Located, problems: Problems, wanted: str, hint: str) -> None:
    where = f"{at.path!r}" if at.path else "This"
    problems.add(at, f"{where} is {at.kind}, not {wanted}", hint)


def _read_text(at: Located, problems: Problems) -> str:
    if not isinstance(at.node, str):
        hint = "Put it in quotes." if isinstance(at.node, int | float) else "Write one text value."
        _wrong_kind(at, problems, "text", hint)
        return ""
    if not at.node.strip():
        problems.add(at, f"{at.path!r} is empty", "Write a value, or remove the key.")
    return at.node


TEXT: Reader[str] = Reader(read=_read_text, stand_in=str)


def _read_boolean(at: Located, problems: Problems) -> bool:
    if not isinstance(at.node, bool):
        _wrong_kind(at, problems, "true or false", "Write true or false.")
        return False
    return at.node


BOOLEAN: Reader[bool] = Reader(read=_read_boolean, stand_in=bool)

ANY: Reader[Located] = Reader(read=lambda at, _: at, stand_in=lambda: Located(file="", line=0, path="", node=None))


def matching(pattern: re.Pattern[str], form: str, *, shows: bool = True) -> Reader[str]:
    """Return a reader of text that matches `pattern`; `form` says how to write it; `shows`: a mistake quotes it."""

    def read(at: Located, problems: Problems) -> str:
        text = TEXT.read(at, problems)
        if text and pattern.fullmatch(text) is None:
            what = f"cannot be {text[:80]!r}" if shows else "is written in another form, not shown here"
            problems.add(at, f"{at.path!r} {what}", f"Write {form}.")
        return text

    return Reader(read=read, stand_in=str)


def integer(minimum: int = 0, maximum: int = 2**53 - 1) -> Reader[int]:
    """Return a reader of a whole number within the bounds, both included."""

    def read(at: Located, problems: Problems) -> int:
        if isinstance(at.node, bool) or not isinstance(at.node, int):
            _wrong_kind(at, problems, "a whole number", f"Write a whole number{_bounds(minimum, maximum)}.")
            return minimum
        if not minimum <= at.node <= maximum:
            hint = f"Write a whole number{_bounds(minimum, maximum)}."
            problems.add(at, f"{at.path!r} is {at.node:,}", hint)
            return minimum
        return at.node

    return Reader(read=read, stand_in=lambda: minimum)


def _bounds(minimum: float, maximum: float) -> str:
    return f" from {minimum:,}" + (f" to {maximum:,}" if maximum < 2**53 - 1 else "")


def number(minimum: float = 0.0, maximum: float = 2**53 - 1) -> Reader[float]:
    """Return a reader of a number within the bounds, both included."""

    def read(at: Located, problems: Problems) -> float:
        if isinstance(at.node, bool) or not isinstance(at.node, int | float):
            _wrong_kind(at, problems, "a number", f"Write a number{_bounds(minimum, maximum)}.")
            return minimum
        if not minimum <= at.node <= maximum:
            problems.add(at, f"{at.path!r} is {at.node}", f"Write a number{_bounds(minimum, maximum)}.")
            return minimum
        return float(at.node)

    return Reader(read=read, stand_in=lambda: minimum)


def choice(vocabulary: type[E]) -> Reader[E]:
    """Return a reader of one word of a closed vocabulary."""
    words = [str(word.value) for word in vocabulary]
    first = next(iter(vocabulary))

    def read(at: Located, problems: Problems) -> E:
        if not isinstance(at.node, str):
            _wrong_kind(at, problems, "one of the known words", f"Write one of: {', '.join(words)}.")
            return first
        if at.node not in words:
            hint = did_you_mean(at.node, words, instead="Write one of")
            problems.add(at, f"{at.path!r} cannot be {at.node[:80]!r}", hint)
            return first
        return vocabulary(at.node)

    return Reader(read=read, stand_in=lambda: first)


def converted(convert: Callable[[str], T], stand_in: T) -> Reader[T]:
    """Return a reader that parses text; a ValueError's text is `what. hint` and becomes the problem."""

    def read(at: Located, problems: Problems) -> T:
        if isinstance(at.node, bool) or not isinstance(at.node, str | int | float):
            _wrong_kind(at, problems, "a single value", "Write one value.")
            return stand_in
        try:
            return convert(str(at.node))
        except ValueError as error:
            what, _, hint = str(error).partition(". ")
            problems.add(at, f"{at.path!r}: {what}", hint)
            return stand_in

    return Reader(read=read, stand_in=lambda: stand_in)


def list_of(reader: Reader[T], *, or_one: bool = False, at_least: int = 0) -> Reader[tuple[T, ...]]:
    """Return a reader of a list; with `or_one` a single value stands for a list of one."""

    def read(at: Located, problems: Problems) -> tuple[T, ...]:
        if isinstance(at.node, tuple):
            if len(at.node) < at_least:
                problems.add(at, f"{at.path!r} has {len(at.node)} entries", f"Write at least {at_least}.")
            return tuple(reader.read(child, problems) for child in at.node)
        if or_one:
            return (reader.read(at, problems),)
        _wrong_kind(at, problems, "a list", "Write `- value` lines, or [a, b].")
        return ()

    return Reader(read=read, stand_in=tuple)


def map_of(reader: Reader[T], *, key: re.Pattern[str] | None = None, form: str = "") -> Reader[Mapping[str, T]]:
    """Return a reader of a mapping with free keys (each matching `key`, when given)."""

    def read(at: Located, problems: Problems) -> Mapping[str, T]:
        if not isinstance(at.node, Mapping):
            _wrong_kind(at, problems, "a mapping", "Write `name: value` lines below it.")
            return {}
        for name, child in at.node.items():
            if key is not None and key.fullmatch(name) is None:
                problems.add(child, f"{name[:80]!r} cannot be a key of {at.path!r}", f"Write {form}.")
        return {name: reader.read(child, problems) for name, child in at.node.items()}

    return Reader(read=read, stand_in=dict)


def reference(kind: str, wrap: Callable[[str], T]) -> Reader[T]:
    """Return a reader of a name that must exist elsewhere (checked when every file was read)."""

    def read(at: Located, problems: Problems) -> T:
        name = TEXT.read(at, problems)
        if name.strip():
            problems.refer(kind, name, at)
        return wrap(name)

    return Reader(read=read, stand_in=lambda: wrap(""))
