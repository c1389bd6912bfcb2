"""Bandit's JSON (gates.md 2.6).

Rule: the severity totals Bandit states are recounted; `nosec` marks add to `suppressed`, files it could not parse to
`unaudited`. Fail mode: no line of code looked at is EV_EMPTY.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_word
from pilotage.evidence.shapes import check_total, count_of, mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source
from pilotage.evidence.times import file_time

READER = "Bandit"
_TOTALS = "_totals"


def is_bandit(content: Content) -> bool:
    """Tell Bandit's report by metrics beside results."""
    return isinstance(content, JsonContent) and {"metrics", "results"} <= as_map(content.value).keys()


def read_bandit(source: Source, context: ReadContext) -> Reading:
    """Return the findings; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    metrics = mapped(report.get("metrics"), "metrics")
    totals = mapped(metrics.get(_TOTALS), "metrics._totals")
    if not count_of(totals.get("loc"), "loc"):
        raise nothing_scanned(READER, "line of code")
    results = objects(report.get("results"), "results")
    counted = Counter(as_text(one.get("issue_severity")).upper() for one in results)
    for word in ("HIGH", "MEDIUM", "LOW", "UNDEFINED"):
        stated = count_of(totals.get(f"SEVERITY.{word}"), f"SEVERITY.{word}")
        check_total(counted[word], stated, f"issues of severity {word}")
    result = ScanResult(
        tools=(READER,),
        findings=tuple(_finding(one) for one in results),
        targets=sum(name != _TOTALS for name in metrics),
        unaudited=len(as_list(report.get("errors"))),
        hidden=count_of(totals.get("nosec"), "nosec") or 0,
        produced_at=file_time(as_text(report.get("generated_at"))),
    )
    return scan_reading(source.kind, READER, result)


def _finding(one: Mapping[str, Json]) -> ToolFinding:
    return ToolFinding(
        rule=as_text(one.get("test_id")) or "no test id",
        severity=highest([of_word(as_text(one.get("issue_severity")))]),
        title=as_text(one.get("issue_text"))[:500],
        location=f"{as_text(one.get('filename'))}:{one.get('line_number')}",
    )
