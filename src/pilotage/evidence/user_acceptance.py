"""User acceptance tests: rows of YAML (`scenarios:`), JSON or CSV with `scenario, tester, result, at, digest`.

Rule: the last result of a scenario by a tester counts; a pass by somebody who authored the release counts for nothing,
a failure of his stands. Fail mode: a row without one of the five, or another result, is EV_MALFORMED; rows about two
releases are EV_INCONSISTENT; a failure without a severity is critical.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from pilotage.evidence.csv_rows import has_columns
from pilotage.evidence.own_document import has_key, rows_of
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable
from pilotage.evidence.times import earliest, file_time

_NEEDED = ("scenario", "tester", "result", "at", "digest")


class _Result(IntEnum):
    PASSED = 0
    BLOCKED = 1
    FAILED = 2


_RESULTS = {
    "passed": _Result.PASSED,
    "pass": _Result.PASSED,
    "blocked": _Result.BLOCKED,
    "failed": _Result.FAILED,
    "fail": _Result.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    scenario: str
    tester: str
    result: _Result
    at: datetime
    digest: str
    is_critical: bool


def is_uat(content: Content) -> bool:
    """Tell whether the file has `scenarios` at its top, or the columns of one."""
    return has_key(content, "scenarios") or has_columns(content, *_NEEDED)


def read_uat(source: Source, context: ReadContext) -> Reading:
    """Read the rows of a user acceptance test."""
    rows = [_row(cells, number, context) for number, cells in enumerate(rows_of(source, "scenarios"), start=1)]
    digests = {row.digest for row in rows}
    if len(digests) > 1:
        text = f"The rows tested {len(digests)} different releases."
        raise Unreadable("EV_INCONSISTENT", text, observed=", ".join(sorted(digests)[:3]))
    last: dict[tuple[str, str], _Row] = {}
    for row in sorted(rows, key=lambda one: (one.at, one.result)):
        last[row.scenario, row.tester] = row
    counted = [row for row in last.values() if row.tester not in context.authors or row.result is not _Result.PASSED]
    if not counted:
        raise Unreadable("EV_EMPTY", "No scenario was tested by anybody who did not author the release.")
    known = frozenset(context.people.values())
    testers = {row.tester for row in counted} - context.authors
    strangers = testers - known if known else set()
    passed, blocked, failed = (sum(row.result is result for row in counted) for result in _Result)
    return Reading(
        kind=source.kind,
        reader="uat",
        claims={
            "scenarios": len(counted),
            "passed": passed,
            "failed": failed,
            "blocked": blocked,
            "open_critical": sum(row.is_critical for row in counted),
            "testers": len(testers - strangers),
            "pass_rate": passed / len(counted),
        },
        summary=f"{passed} of {len(counted)} scenarios passed by {len(testers - strangers)} tester(s)",
        produced_at=earliest(row.at for row in rows),
        refs={"tested_digest": digests.pop()},
        names={"testers": tuple(sorted(testers - strangers)), "unmapped": tuple(sorted(strangers))},
    )


def _row(cells: Mapping[str, str], number: int, context: ReadContext) -> _Row:
    missing = [name for name in _NEEDED if not cells.get(name, "").strip()]
    if missing:
        raise Unreadable("EV_MALFORMED", f"Row {number} has no {', '.join(missing)}.")
    result = _RESULTS.get(cells["result"].strip().lower())
    at = file_time(cells["at"])
    if result is None or at is None:
        raise Unreadable("EV_MALFORMED", f"Row {number}: the result is passed, failed or blocked, `at` is a time.")
    tester = cells["tester"].strip()
    is_closed = cells.get("status", "").strip().lower() == "closed"
    severity = cells.get("severity", "").strip().lower()
    return _Row(
        scenario=cells["scenario"].strip(),
        tester=context.people.get(tester.lower(), tester),
        result=result,
        at=at,
        digest=cells["digest"].strip(),
        is_critical=result is _Result.FAILED and not is_closed and severity in {"", "critical", "unknown"},
    )
