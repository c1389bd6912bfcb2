"""GitLab's security report, SAST and its sister scans, report versions 2 to 15 (gates.md 2.6).

Rule: a flag as likely false positive is a suppression and hides nothing. Fail mode: a failed scan is EV_TOOL_FAILED; no
vulnerability and no `scan` that says it succeeded is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text, at, maps_in
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_rating, of_word
from pilotage.evidence.shapes import mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import file_time

READER = "GitLab"


def is_gitlab(content: Content) -> bool:
    """Tell GitLab's report by vulnerabilities with a version, and a scan, remediations or identifiers."""
    if not isinstance(content, JsonContent):
        return False
    report = as_map(content.value)
    if not {"version", "vulnerabilities"} <= report.keys() or "bomFormat" in report:
        return False
    first = as_map(next(iter(as_list(report["vulnerabilities"])), None))
    return "scan" in report or "remediations" in report or "identifiers" in first


def read_gitlab(source: Source, context: ReadContext) -> Reading:
    """Return the findings; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    scan = mapped(report.get("scan"), "scan")
    status = as_text(scan.get("status"))
    if scan and status != "success":
        raise Unreadable("EV_TOOL_FAILED", "The scan says it did not succeed. Run it again.", observed=status or "none")
    vulnerabilities = objects(report.get("vulnerabilities"), "vulnerabilities")
    if not vulnerabilities and not scan:
        raise nothing_scanned(READER, "scan")
    named = as_text(at(scan, "scanner", "name"))
    scanners = {as_text(at(one, "scanner", "name")) for one in vulnerabilities} - {""}
    result = ScanResult(
        tools=tuple(sorted(scanners | ({named} if named else set()))) or (READER,),
        findings=tuple(_finding(one) for one in vulnerabilities),
        unaudited=len([one for one in maps_in(scan.get("messages")) if one.get("level") in ("fatal", "warn")]),
        produced_at=file_time(as_text(scan.get("end_time"))),
    )
    return scan_reading(source.kind, READER, result)


def _finding(one: Mapping[str, Json]) -> ToolFinding:
    location = as_map(one.get("location"))
    first = as_map(next(iter(as_list(one.get("identifiers"))), None))
    place = [as_text(location.get(name)) for name in ("file", "image", "hostname", "path")]
    line = location.get("start_line")
    place.append(str(line) if isinstance(line, int) else "")
    scores = [of_rating(as_map(rating).get("base_score")) for rating in as_list(one.get("cvss_vectors"))]
    names = (as_text(first.get(name)) for name in ("value", "name"))
    return ToolFinding(
        rule=next((name for name in names if name), as_text(one.get("cve")) or "no identifier"),
        severity=highest([of_word(as_text(one.get("severity"))), *scores]),
        title=(as_text(one.get("name")) or as_text(one.get("message")) or as_text(one.get("description")))[:500],
        component=as_text(at(location, "dependency", "package", "name")),
        version=as_text(at(location, "dependency", "version")),
        location=":".join(step for step in place if step),
        suppressed=any("false-positive" in as_text(flag.get("type")) for flag in maps_in(one.get("flags"))),
    )
