"""Coverage judged the same way whatever the format: lines recounted, stated rates only ever lower the result.

Rule (gates.md 2.5): the rate is the lower of stated and counted; the two may differ by 0.05, and at least 80 % of the
lines a report claims must be in it. Fail mode: EV_EMPTY at 0 lines, EV_INCONSISTENT beyond those bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from pilotage.evidence.json_values import number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Source, Unreadable

_MAX_DIFFERENCE = 0.05
_MIN_COUNTED_SHARE = 0.8


@dataclass(slots=True)
class LineHits:
    """Lines of files with their hits; a line met twice keeps the larger number."""

    hits: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, file: str, line: int, hits: float) -> None:
        """Count one line of a file; paths are compared with forward slashes."""
        lines = self.hits.setdefault(file, {})
        lines[line] = max(lines.get(line, 0), int(hits))

    def open(self, file: str) -> str:
        """Note a file that may have no line, and return its normal path."""
        path = file.strip().replace("\\", "/")
        self.hits.setdefault(path, {})
        return path

    @property
    def valid(self) -> int:
        """Return how many distinct lines there are."""
        return sum(len(lines) for lines in self.hits.values())

    @property
    def covered(self) -> int:
        """Return how many of them were hit."""
        return sum(sum(count > 0 for count in lines.values()) for lines in self.hits.values())

    def is_complete(self, file: str) -> bool:
        """Tell whether a file has lines and each was hit."""
        return bool(self.hits[file]) and all(count > 0 for count in self.hits[file].values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a report says of itself; what it does not say, or says as NaN, is None."""

    line_rate: float | None = None
    lines_valid: float | None = None
    branch_rate: float | None = None
    produced_at: datetime | None = None


def line_number(text: str | None, file: str) -> int:
    """Return a line's number as an attribute writes it; raise EV_MALFORMED: a line without one would count nowhere."""
    found = number_in(text)
    if found is None:
        raise Unreadable("EV_MALFORMED", f"A line of {file[:200]} has the number {(text or 'none')[:80]!r}.")
    return int(found)


def fraction(value: float | None) -> float | None:
    """Return a rate in [0, 1], or None."""
    return value if value is not None and 0 <= value <= 1 else None


def coverage_reading(source: Source, context: ReadContext, lines: LineHits, stated: Stated, *, reader: str) -> Reading:
    """Return the reading of a coverage report of any format; raise EV_EMPTY or EV_INCONSISTENT."""
    valid = lines.valid
    if valid == 0:
        raise Unreadable("EV_EMPTY", "The coverage report holds no line.", observed="0 lines")
    rate = _line_rate(lines.covered / valid, valid, stated)
    claims: dict[str, float] = {"line_rate": rate, "lines_valid": valid, "files": len(lines.hits)}
    branch = fraction(stated.branch_rate)
    if branch is not None:
        claims["branch_rate"] = branch
    missing = tuple(glob for glob in context.must_include if not matching(lines.hits, glob))
    claims["missing_critical"] = len(missing)
    uncovered = uncovered_paths(context, lines)
    if context.critical_paths:
        claims["critical_rate"] = 1 - len(uncovered) / len(context.critical_paths)
    return Reading(
        kind=source.kind,
        reader=reader,
        claims=claims,
        summary=f"line rate {rate:.4f} over {valid:,} lines in {len(lines.hits)} files",
        produced_at=stated.produced_at,
        refs={"basis": "lines"},
        names={"missing_critical": missing, "uncovered_paths": uncovered},
    )


def matching(files: Iterable[str], glob: str) -> list[str]:
    """Return the files a glob names. A glob is relative to the source root, which a report may spell out before it."""
    pattern = glob.replace("\\", "/").replace("**/", "*")
    return [file for file in files if fnmatchcase(file, pattern) or fnmatchcase(file, f"*/{pattern}")]


def uncovered_paths(context: ReadContext, lines: LineHits) -> tuple[str, ...]:
    """Return the declared critical paths without a passing test, with a failing one, or with a line not run."""
    return tuple(
        name
        for name, (tests, files) in sorted(context.critical_paths.items())
        if not (_is_tested(context, tests) and all(_is_whole(lines, glob) for glob in files))
    )


def _is_tested(context: ReadContext, globs: Iterable[str]) -> bool:
    patterns = tuple(globs)
    failing = any(fnmatchcase(test, glob) for test in context.failed_tests for glob in patterns)
    return not failing and any(fnmatchcase(test, glob) for test in context.passed_tests for glob in patterns)


def _is_whole(lines: LineHits, glob: str) -> bool:
    named = matching(lines.hits, glob)
    return bool(named) and all(lines.is_complete(file) for file in named)


def _line_rate(counted: float, valid: int, stated: Stated) -> float:
    if stated.lines_valid is not None and valid < _MIN_COUNTED_SHARE * stated.lines_valid:
        text = f"The report states {stated.lines_valid:g} lines and holds {valid}."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{valid} lines", limit=f"{stated.lines_valid:g} lines")
    if stated.line_rate is None:
        return counted
    # A difference in the last digits of two roundings is no difference.
    if abs(stated.line_rate - counted) > _MAX_DIFFERENCE and not math.isclose(
        abs(stated.line_rate - counted), _MAX_DIFFERENCE
    ):
        text = f"The report states a line rate of {stated.line_rate:.4f}; its lines give {counted:.4f}."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{counted:.4f}", limit=f"{stated.line_rate:.4f}")
    return min(stated.line_rate, counted)


def rate_of(covered: float | None, total: float | None) -> float | None:
    """Return `covered / total`, None when either is absent or there is nothing to cover."""
    return covered / total if covered is not None and total else None


def total_of(values: Mapping[str, float]) -> float | None:
    """Return the sum over files, or None when no file stated one."""
    return sum(values.values()) if values else None
