"""Trivy's JSON: schema version 2, its Kubernetes report, and the list older versions wrote (gates.md 2.6).

Rule: vulnerabilities, failed misconfigurations, secrets and licences are findings; those Trivy set aside
(`ExperimentalModifiedFindings`, exceptions) stay, marked suppressed. Fail mode: no result at all is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_rating, of_word
from pilotage.evidence.shapes import mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import file_time

READER = "Trivy"
_MARKS = frozenset({"SchemaVersion", "ArtifactName", "ClusterName"})
_SCORES = ("V40Score", "V3Score", "V2Score")
_NOT_FAILED = frozenset({"PASS", "NOT_APPLICABLE"})


def is_trivy(content: Content) -> bool:
    """Tell Trivy's report by its capitalised keys."""
    if not isinstance(content, JsonContent):
        return False
    if isinstance(content.value, Mapping):
        return bool(_MARKS & content.value.keys())
    return any("Target" in as_map(one) for one in as_list(content.value)[:1])


def read_trivy(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all targets; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    if report.get("SchemaVersion") not in (None, 2):
        raise Unreadable("EV_UNSUPPORTED", "Only Trivy's schema 2 is read.", observed=str(report["SchemaVersion"])[:20])
    results = _results(source.json)
    if not results:
        raise nothing_scanned(READER, "target")
    result = ScanResult(
        tools=(READER,),
        findings=tuple(finding for one in results for finding in _findings(one)),
        targets=len(results),
        unaudited=sum(_without_version(one) for one in results),
        produced_at=file_time(as_text(report.get("CreatedAt"))),
    )
    return scan_reading(source.kind, READER, result)


def _results(value: Json) -> Sequence[Mapping[str, Json]]:
    if not isinstance(value, Mapping):
        return objects(value, "results")
    resources = objects(value.get("Resources"), "Resources")
    nested = [one for resource in resources for one in objects(resource.get("Results"), "Resources.Results")]
    return [*objects(value.get("Results"), "Results"), *nested]


def _without_version(result: Mapping[str, Json]) -> int:
    return sum(not as_text(as_map(one).get("Version")) for one in as_list(result.get("Packages")))


def _findings(result: Mapping[str, Json]) -> Iterator[ToolFinding]:
    target = as_text(result.get("Target"))
    for name in ("Vulnerabilities", "Misconfigurations", "Secrets", "Licenses"):
        for one in objects(result.get(name), name):
            if as_text(one.get("Status")) not in _NOT_FAILED:
                yield _finding(one, target, suppressed=one.get("Status") == "EXCEPTION")
    for one in objects(result.get("ExperimentalModifiedFindings"), "ExperimentalModifiedFindings"):
        yield _finding(mapped(one.get("Finding"), "Finding"), target, suppressed=True)


def _finding(one: Mapping[str, Json], target: str, *, suppressed: bool) -> ToolFinding:
    rules = (as_text(one.get(name)) for name in ("VulnerabilityID", "ID", "RuleID", "Name"))
    line = at(one, "CauseMetadata", "StartLine") or one.get("StartLine")
    place = as_text(one.get("PkgPath")) or as_text(one.get("FilePath")) or as_text(at(one, "CauseMetadata", "Resource"))
    steps = (target, place, str(line) if isinstance(line, int) else "")
    return ToolFinding(
        rule=next((rule for rule in rules if rule), "no rule"),
        severity=_severity(one),
        title=(as_text(one.get("Message")) or as_text(one.get("Title")))[:500],
        component=as_text(one.get("PkgName")),
        version=as_text(one.get("InstalledVersion")),
        location=":".join(step for step in steps if step),
        suppressed=suppressed,
    )


def _severity(one: Mapping[str, Json]) -> Severity:
    vendors = [as_map(vendor) for vendor in as_map(one.get("CVSS")).values()]
    scores = [of_rating(vendor.get(name)) for vendor in vendors for name in _SCORES]
    return highest([of_word(as_text(one.get("Severity"))), *scores])
