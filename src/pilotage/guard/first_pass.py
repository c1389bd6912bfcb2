"""Which forms occur in a text at all: one hyperscan pass over all of them, where hyperscan is installed.

Compiling the forms takes seconds of CPU, loading them compiled a millisecond: a process keeps them where `keep_in`
says, under a name that changes with the library and with any form. Nothing is compiled before the first text comes.
Fail mode: without hyperscan every form may occur, and RE2 looks for each; what cannot be loaded is compiled again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any, Final, Protocol

from pilotage.guard.pii_patterns import RECOGNISERS

hyperscan: ModuleType | None
try:
    import hyperscan
except ImportError:  # a platform without the library, or its CPU without SSSE3
    hyperscan = None

Present = Callable[[str], Sequence[int]]
"""From a text to the positions in RECOGNISERS of the forms that may occur in it, ascending."""


class Kept(Protocol):
    """Where compiled forms outlive a process. Loading foreign bytes is unsafe: `load` gives only what `save` took."""

    def load(self, name: str) -> bytes | None:
        """Return what was saved under a name, None for anything else."""
        ...

    def save(self, name: str, data: bytes) -> None:
        """Save; failing to is not an error."""
        ...


class _Keeping:
    """The place of this process."""

    place: Kept | None = None


def keep_in(place: Kept | None) -> None:
    """Keep compiled forms there from now on; None keeps them nowhere."""
    _Keeping.place = place


def every_form(text: str) -> Sequence[int]:
    """Rule nothing out."""
    del text
    return range(len(RECOGNISERS))


def _scanned(text: str) -> Sequence[int]:
    found: set[int] = set()

    def seen(identifier: int, _start: int, _end: int, _flags: int, _context: object) -> None:
        found.add(identifier)

    assert hyperscan is not None
    database = _database()
    # A scratch serves one scan at a time, and scans run in several threads (scoring beside serving): each takes a free
    # one, or makes one. Taking from and giving back to a list are single steps of the interpreter.
    try:
        scratch = _FREE.pop()
    except IndexError:
        scratch = hyperscan.Scratch(database)
    try:
        database.scan(text.encode("utf-8", errors="replace"), match_event_handler=seen, scratch=scratch)
    finally:
        _FREE.append(scratch)
    return sorted(found)


_FREE: Final[list[Any]] = []


FIRST_PASS: Final[Present] = every_form if hyperscan is None else _scanned
"""The first pass of this process; its first call may compile."""


@cache
def _database() -> Any:  # noqa: ANN401 - the library has no types
    return open_database(_Keeping.place)


def open_database(place: Kept | None) -> Any:  # noqa: ANN401 - the library has no types
    """Load the compiled forms, or compile and keep them."""
    assert hyperscan is not None
    name = kept_name()
    data = None if place is None else place.load(name)
    if data is not None:
        try:
            return _loaded(data)
        except hyperscan.HyperscanError:
            # Compiled for another processor: compile for this one.
            data = None
    database = _compiled()
    if place is not None:
        place.save(name, hyperscan.dumpb(database))
    return database


def kept_name() -> str:
    """Return the name of the compiled forms: 64 hex digits over the library's version and every form."""
    assert hyperscan is not None
    forms = "\0".join([hyperscan.__version__, *(one.pattern for one in RECOGNISERS)])
    return hashlib.sha256(f"pilotage-forms/1\0{forms}".encode()).hexdigest()


def _loaded(data: bytes) -> Any:  # noqa: ANN401 - the library has no types
    assert hyperscan is not None
    database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
    database.scratch = hyperscan.Scratch(database)
    return database


def _compiled() -> Any:  # noqa: ANN401 - the library has no types
    assert hyperscan is not None
    database = hyperscan.Database()
    database.compile(
        expressions=[one.pattern.encode() for one in RECOGNISERS],
        ids=list(range(len(RECOGNISERS))),
        elements=len(RECOGNISERS),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY] * len(RECOGNISERS),
    )
    return database
