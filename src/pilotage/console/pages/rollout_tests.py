"""The tests of a verdict as rows, those first that stand in the way.

Rule: the words are those of console.md 1.2. Fail mode: a standing nobody knows, and a guard that saw nothing, are
UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage.console.words import Status

_STANDINGS: Final = {
    "proved": Status.MET,
    "open": Status.INCONCLUSIVE,
    "quiet": Status.MET,
    "fired": Status.NOT_MET,
    "absent": Status.UNKNOWN,
    "broken": Status.UNKNOWN,
}
_PURPOSES: Final = {
    "go": "to go on",
    "hold": "holds",
    "trip": "takes back at once",
    "check": "whether the split is right",
}
URGENCY: Final = (Status.NOT_MET, Status.INCONCLUSIVE, Status.UNKNOWN, Status.MET)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRow:
    """One test of a verdict. `seen` are its counts."""

    name: str
    purpose: str
    status: Status
    seen: str
    limit: str


def rows_of(tests: Mapping[str, Mapping[str, Any]]) -> list[TestRow]:
    """Return the tests, those first that stand in the way."""
    rows = [row_of(name, test) for name, test in sorted(tests.items())]
    return sorted(rows, key=lambda row: URGENCY.index(row.status))


def row_of(name: str, test: Mapping[str, Any]) -> TestRow:
    """Return one test; `test` as a verdict's JSON holds it."""
    n, x = int(test.get("n", 0)), int(test.get("x", 0))
    status = _STANDINGS.get(str(test.get("standing")), Status.UNKNOWN)
    if not n and status is Status.MET:
        status = Status.UNKNOWN  # a guard that has seen nothing is quiet, which says nothing
    return TestRow(
        name=name.replace("_", " ").replace(".", " "),
        purpose=_PURPOSES.get(str(test.get("purpose")), str(test.get("purpose"))),
        status=status,
        seen=f"{x:,} of {n:,}" if n else "nothing yet",
        limit=str(test.get("limit", "")),
    )
