"""GitHub's list of code scanning alerts (REST `GET /repos/{owner}/{repo}/code-scanning/alerts`), for scan.sast.

Rule: a dismissed alert stays a finding, marked suppressed; a fixed one is none. Fail mode: exactly one full page is
EV_INCONSISTENT, because the next page may be missing; an empty list is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, scan_reading
from pilotage.evidence.severity import highest, of_word
from pilotage.evidence.shapes import objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

READER = "GitHub code scanning"
_PAGES = (30, 100)


def is_github_alerts(content: Content) -> bool:
    """Tell the list by the rule and most recent instance of its first alert."""
    if not isinstance(content, JsonContent):
        return False
    first = as_map(next(iter(as_list(content.value)), None))
    return {"rule", "most_recent_instance"} <= first.keys()


def read_github_alerts(source: Source, context: ReadContext) -> Reading:
    """Return the alerts that are not fixed; raise Unreadable as the module says."""
    del context
    alerts = objects(source.json, "alerts")
    if len(alerts) in _PAGES:
        raise Unreadable("EV_INCONSISTENT", f"{len(alerts)} alerts are one full page; send all pages as one list.")
    result = ScanResult(
        tools=tuple(sorted({as_text(at(one, "tool", "name")) or READER for one in alerts})),
        findings=tuple(_finding(one) for one in alerts if one.get("state") != "fixed"),
        is_proven=False,
    )
    return scan_reading(source.kind, READER, result)


def _finding(alert: Mapping[str, Json]) -> ToolFinding:
    rule = as_map(alert.get("rule"))
    instance = as_map(alert.get("most_recent_instance"))
    severities = (as_text(rule.get(name)) for name in ("security_severity_level", "severity"))
    return ToolFinding(
        rule=as_text(rule.get("id")) or "no rule",
        severity=highest([of_word(next((word for word in severities if word), ""))]),
        title=as_text(at(instance, "message", "text"))[:500],
        location=f"{as_text(at(instance, 'location', 'path'))}:{at(instance, 'location', 'start_line')}",
        suppressed=alert.get("state") == "dismissed",
    )
