"""JUnit XML: test cases counted one by one at any depth (gates.md 2.4).

Rule: the worst result of a case counts, a case that stands twice counts once, and totals a suite states are recounted.
Fail mode: nothing was executed (no case, or all skipped) is EV_EMPTY; a total that disagrees is EV_INCONSISTENT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from xml.etree.ElementTree import Element  # only the record type

from pilotage.evidence.json_values import number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable, XmlContent
from pilotage.evidence.times import earliest, file_time
from pilotage.evidence.xml_tree import local

_SUITES = frozenset({"testsuites", "testsuite"})
_RERUNS = frozenset({"rerunFailure", "rerunError", "flakyFailure", "flakyError"})
_POINT = frozenset({"integration", "pilotage.integration"})


class CaseResult(IntEnum):
    """Results of a test case, worst last."""

    PASSED = 0
    SKIPPED = 1
    FAILED = 2
    ERROR = 3


_ELEMENTS = {"skipped": CaseResult.SKIPPED, "failure": CaseResult.FAILED, "error": CaseResult.ERROR}
_STATUSES = {
    "notrun": CaseResult.SKIPPED,
    "disabled": CaseResult.SKIPPED,
    "skipped": CaseResult.SKIPPED,
    "failed": CaseResult.FAILED,
    "failure": CaseResult.FAILED,
    "errored": CaseResult.ERROR,
    "error": CaseResult.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    key: tuple[str, str, str]
    result: CaseResult
    was_rerun: bool
    points: frozenset[str]

    @property
    def name(self) -> str:
        return ".".join(part for part in self.key[:2] if part) or "(without a name)"


def is_junit(content: Content) -> bool:
    """Tell whether the root is a JUnit suite."""
    return isinstance(content, XmlContent) and local(content.root.tag) in _SUITES


def read_junit(source: Source, context: ReadContext) -> Reading:
    """Read a JUnit report for any `tests.*` kind."""
    root = source.root
    listed = list(_cases(root, frozenset()))
    _check_totals(root)
    merged = _merge(listed)
    counts = Counter(case.result for case in merged)
    executed = len(merged) - counts[CaseResult.SKIPPED]
    if executed == 0:
        raise Unreadable(
            "EV_EMPTY",
            f"No test was executed: {len(merged)} case(s), {counts[CaseResult.SKIPPED]} skipped.",
            observed="0 executed",
        )
    claims: dict[str, float] = {
        "executed": executed,
        "passed": counts[CaseResult.PASSED],
        "failed": counts[CaseResult.FAILED],
        "errors": counts[CaseResult.ERROR],
        "skipped": counts[CaseResult.SKIPPED],
        "skipped_share": counts[CaseResult.SKIPPED] / len(merged),
        "flaky": sum(case.was_rerun for case in merged),
        "duplicates": sum(times > 1 for times in Counter(case.key for case in listed).values()),
    }
    points = _points_passed(merged, context.integrations)
    if points is not None:
        claims["points_tested"] = len(points)
    return Reading(
        kind=source.kind,
        reader="junit",
        claims=claims,
        summary=f"{executed} executed: {counts[CaseResult.PASSED]} passed, {counts[CaseResult.FAILED]} failed, "
        f"{counts[CaseResult.ERROR]} errors; {counts[CaseResult.SKIPPED]} skipped{_untested(points, context)}",
        produced_at=earliest(file_time(suite.get("timestamp")) for suite in root.iter()),
        names={
            "passed_tests": tuple(case.name for case in merged if case.result is CaseResult.PASSED),
            "failed_tests": tuple(case.name for case in merged if case.result >= CaseResult.FAILED),
            "points": tuple(sorted(points or ())),
        },
    )


def _cases(element: Element, points: frozenset[str]) -> Iterator[_Case]:
    """Yield the cases below an element; a suite's integration points hold for all its cases."""
    own = points | _points(element)
    for child in element:
        name = local(child.tag)
        if name == "testcase":
            yield _case(child, own | _points(child))
        elif name in _SUITES:
            yield from _cases(child, own)


def _case(element: Element, points: frozenset[str]) -> _Case:
    parts = [local(child.tag) for child in element]
    return _Case(
        key=(element.get("classname", ""), element.get("name", ""), element.get("file", "")),
        result=_result(element, parts),
        was_rerun=not _RERUNS.isdisjoint(parts),
        points=points,
    )


def _result(element: Element, parts: list[str]) -> CaseResult:
    """Return the worst of what a case's elements and attributes say."""
    result = CaseResult.PASSED
    for part in parts:
        result = max(result, _ELEMENTS.get(part, CaseResult.PASSED))
    for attribute in ("status", "result"):
        stated = element.get(attribute)
        if stated:
            result = max(result, _STATUSES.get(stated.lower(), CaseResult.PASSED))
    return result


def _points(element: Element) -> frozenset[str]:
    """Return the integration points an element names as `<property name="integration" value="core-banking"/>`."""
    return frozenset(
        item.get("value", "").strip()
        for block in element
        if local(block.tag) == "properties"
        for item in block
        if item.get("name") in _POINT and item.get("value", "").strip()
    )


def _merge(listed: list[_Case]) -> list[_Case]:
    """Return one case per (classname, name, file), with its worst result."""
    merged: dict[tuple[str, str, str], _Case] = {}
    for case in listed:
        known = merged.get(case.key)
        if known is not None:
            worse = max(case, known, key=lambda one: one.result)
            case = _Case(  # noqa: PLW2901  # the merged case takes the place of both
                key=case.key,
                result=worse.result,
                was_rerun=case.was_rerun or known.was_rerun,
                points=case.points | known.points,
            )
        merged[case.key] = case
    return list(merged.values())


def _points_passed(cases: list[_Case], declared: frozenset[str]) -> frozenset[str] | None:
    """Return the declared points with a passing and no failing case; None when no case names a point."""
    passing = {point for case in cases if case.result is CaseResult.PASSED for point in case.points}
    failing = {point for case in cases if case.result >= CaseResult.FAILED for point in case.points}
    if not any(case.points for case in cases):
        return None
    passed = frozenset(passing - failing)
    return passed & declared if declared else passed


def _untested(points: frozenset[str] | None, context: ReadContext) -> str:
    """Say which declared integrations a report that names any leaves untested."""
    open_ = () if points is None else sorted(context.integrations - points)
    return f"; not tested: {', '.join(open_)}" if open_ else ""


def _check_totals(element: Element) -> tuple[int, int]:
    """Return the cases below an element and the failures and errors they show.

    Refuses a suite whose stated number of tests is not what it holds, or that states more failures than its cases show.
    """
    total = direct = bad = 0
    for child in element:
        name = local(child.tag)
        if name == "testcase":
            direct += 1
            parts = [local(mark.tag) for mark in child]
            marks = parts.count("failure") + parts.count("error")
            bad += max(marks, _result(child, parts) >= CaseResult.FAILED)
        elif name in _SUITES:
            inner, inner_bad = _check_totals(child)
            total, bad = total + inner, bad + inner_bad
    total += direct
    stated = number_in(element.get("tests"))
    # A few writers leave the cases of inner suites out of the outer total.
    if stated is not None and stated not in {total, direct}:
        message = f"A suite states {stated:g} tests and holds {total}."
        raise Unreadable("EV_INCONSISTENT", message, observed=f"{total}", limit=f"{stated:g}")
    stated_bad = (number_in(element.get("failures")) or 0) + (number_in(element.get("errors")) or 0)
    if stated_bad > bad:
        message = f"A suite states {stated_bad:g} failures and errors and holds {bad}."
        raise Unreadable("EV_INCONSISTENT", message, observed=f"{bad}", limit=f"{stated_bad:g}")
    return total, bad
