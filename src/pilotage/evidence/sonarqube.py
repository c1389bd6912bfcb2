"""SonarQube's findings: pages of `api/issues/search` and `api/hotspots/search`, and the report file of sonar-report.

Rule: vulnerabilities and hotspots are findings, bugs and code smells are not; an accepted or false-positive one stays,
marked suppressed (gates.md 2.6). Fail mode: stated totals that disagree with what is listed are EV_INCONSISTENT.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_map, as_text, at, maps_in
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, scan_reading
from pilotage.evidence.severity import SONARQUBE, highest, of_word
from pilotage.evidence.shapes import check_total, count_of, mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source
from pilotage.evidence.times import file_time

READER = "SonarQube"
_SUMMARY = ("blocker", "critical", "major", "minor", "high", "medium", "low", "info")
_SUPPRESSED = frozenset(
    {"WONTFIX", "FALSE-POSITIVE", "FALSE_POSITIVE", "ACCEPTED", "SAFE", "ACKNOWLEDGED", "EXCEPTION"}
)
_NOT_SECURITY = frozenset({"BUG", "CODE_SMELL"})


def is_report(content: Content) -> bool:
    """Tell the report file of sonar-report, which holds issues and the gate's status."""
    return isinstance(content, JsonContent) and {"issues", "qualityGateStatus"} <= as_map(content.value).keys()


def is_issues(content: Content) -> bool:
    """Tell a file of issues or hotspots: an API page or a sonar-report file."""
    if not isinstance(content, JsonContent):
        return False
    page = as_map(content.value)
    return is_report(content) or ("paging" in page and bool({"issues", "hotspots"} & page.keys()))


def read_issues(source: Source, context: ReadContext) -> Reading:
    """Return the security findings; raise Unreadable as the module says."""
    del context
    page = as_map(source.json)
    listed = listed_issues(page)
    findings = [_finding(one) for one in listed if _is_security(one) and not _is_fixed(one)]
    result = ScanResult(
        tools=(READER,),
        findings=tuple(findings),
        # A page names what it found, never what was analysed.
        is_proven=False,
        produced_at=file_time(as_text(page.get("analysisDate"))),
    )
    return scan_reading(source.kind, READER, result)


def listed_issues(page: Mapping[str, Json]) -> Sequence[Mapping[str, Json]]:
    """Return the issues and hotspots of a file once its totals agree with them; raise EV_INCONSISTENT."""
    issues = [*objects(page.get("issues"), "issues"), *objects(page.get("hotspots"), "hotspots")]
    check_total(len(issues), count_of(page.get("total"), "total"), "issues")
    check_total(len(issues), count_of(at(page, "paging", "total"), "paging.total"), "issues")
    summary = mapped(page.get("summary"), "summary")
    counted = Counter(as_text(one.get("severity")).lower() for one in issues)
    if not issues or sum(counted[word] for word in _SUMMARY if word in summary) != len(issues):
        # Hotspots are listed with the severity of their rule, so the words may differ from the summary's; the number
        # of them all may not.
        stated = [count_of(summary.get(word), f"summary.{word}") or 0 for word in _SUMMARY]
        check_total(len(issues), sum(stated) if summary else None, "issues")
        return issues
    for word in _SUMMARY:
        check_total(counted[word], count_of(summary.get(word), f"summary.{word}"), f"issues of severity {word}")
    return issues


def _is_security(issue: Mapping[str, Json]) -> bool:
    impacts = [as_text(impact.get("softwareQuality")) for impact in maps_in(issue.get("impacts"))]
    return "SECURITY" in impacts or as_text(issue.get("type")) not in _NOT_SECURITY


def _is_fixed(issue: Mapping[str, Json]) -> bool:
    states = {as_text(issue.get(name)) for name in ("issueStatus", "resolution")}
    return bool({"FIXED", "REMOVED"} & states) and not _SUPPRESSED & states


def _finding(issue: Mapping[str, Json]) -> ToolFinding:
    states = {as_text(issue.get(name)) for name in ("issueStatus", "resolution")}
    component, line = as_text(issue.get("component")), issue.get("line")
    return ToolFinding(
        rule=as_text(issue.get("rule")) or as_text(issue.get("ruleKey")) or "no rule",
        severity=_severity(issue),
        title=as_text(issue.get("message"))[:500],
        location=f"{component}:{line}" if isinstance(line, int) else component,
        suppressed=bool(_SUPPRESSED & states),
    )


def _severity(issue: Mapping[str, Json]) -> Severity:
    impacts = [as_text(one.get("severity")) for one in maps_in(issue.get("impacts"))]
    words = [as_text(issue.get("severity")), as_text(issue.get("vulnerabilityProbability")), *impacts]
    return highest([of_word(word, SONARQUBE) for word in words])
