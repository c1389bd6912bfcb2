"""`npm audit --json` of npm 7 and later, report version 2 (gates.md 2.6).

Rule: each advisory of a package is a finding; a package that is vulnerable only through another one is counted there.
The stated totals by severity are recounted. Fail mode: no dependency is EV_EMPTY, npm's own error EV_TOOL_FAILED.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_rating, of_word, worse
from pilotage.evidence.shapes import check_total, count_of, listed, mapped
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

READER = "npm audit"
_WORDS = ("info", "low", "moderate", "high", "critical")


def is_npm_audit(content: Content) -> bool:
    """Tell npm's report by its version mark, or by the advisories of npm 6."""
    if not isinstance(content, JsonContent):
        return False
    report = as_map(content.value)
    return "auditReportVersion" in report or {"advisories", "muted"} <= report.keys()


def read_npm_audit(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all packages; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    if report.get("error") is not None:
        raise Unreadable("EV_TOOL_FAILED", f"npm audit failed: {as_text(at(report, 'error', 'summary'))[:160]}")
    if report.get("auditReportVersion") != 2:
        raise Unreadable("EV_UNSUPPORTED", "Only report version 2 (npm 7 and later) is read; update npm.")
    total = count_of(at(report, "metadata", "dependencies", "total"), "metadata.dependencies.total")
    if not total:
        raise nothing_scanned(READER, "dependency")
    entries = mapped(report.get("vulnerabilities"), "vulnerabilities")
    packages = {name: mapped(entry, f"vulnerabilities.{name}", needed=True) for name, entry in entries.items()}
    _check_totals(report, packages)
    findings = [finding for name, entry in packages.items() for finding in _findings(name, entry, packages)]
    result = ScanResult(tools=(READER,), findings=tuple(findings), targets=total, unaudited=0)
    return scan_reading(source.kind, READER, result)


def _check_totals(report: Mapping[str, Json], packages: Mapping[str, Mapping[str, Json]]) -> None:
    counted = Counter(as_text(entry.get("severity")) for entry in packages.values())
    stated = mapped(at(report, "metadata", "vulnerabilities"), "metadata.vulnerabilities")
    for word in _WORDS:
        check_total(counted[word], count_of(stated.get(word), word), f"packages of severity {word}")
    check_total(len(packages), count_of(stated.get("total"), "total"), "vulnerable packages")


def _findings(
    name: str, entry: Mapping[str, Json], packages: Mapping[str, Mapping[str, Json]]
) -> Iterator[ToolFinding]:
    via = listed(entry.get("via"), f"vulnerabilities.{name}.via")
    advisories = [one for one in via if isinstance(one, Mapping)]
    through = [one for one in via if not isinstance(one, Mapping)]
    rated = highest([of_word(as_text(entry.get("severity")))])
    for number, one in enumerate(advisories):
        own = highest([of_word(as_text(one.get("severity"))), of_rating(at(one, "cvss", "score"))])
        yield ToolFinding(
            rule=as_text(one.get("url")).rpartition("/")[2] or str(one.get("source")),
            # A package is as bad as its worst advisory: should npm rate it above all of them, the first carries it.
            severity=worse(own, rated) if number == 0 and not through else own,
            title=as_text(one.get("title"))[:500],
            component=name,
            version=as_text(one.get("range")),
        )
    if not advisories and not all(isinstance(one, str) and one in packages for one in through or (None,)):
        yield ToolFinding(
            rule="vulnerable package", severity=rated, component=name, version=as_text(entry.get("range"))
        )
