"""Snyk's REST API: the issues of a project, all pages in one file (apidocs.snyk.io, `GET /orgs/{id}/issues`).

Rule: a resolved issue is none, an ignored one stays, marked suppressed; the advisory is the issue's key. Fail mode: a
next page is EV_PARTIAL; no issue at all is unproven clean, because the answer does not say what was tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_map, as_text, at, maps_in
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, scan_reading
from pilotage.evidence.severity import highest, of_rating, of_word
from pilotage.evidence.shapes import mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

READER = "Snyk API"


def is_snyk_api(content: Content) -> bool:
    """Tell the answer by its JSON:API mark beside data."""
    return isinstance(content, JsonContent) and {"jsonapi", "data"} <= as_map(content.value).keys()


def read_snyk_api(source: Source, context: ReadContext) -> Reading:
    """Return the issues that are not resolved; raise Unreadable as the module says."""
    del context
    answer = as_map(source.json)
    if at(answer, "links", "next"):
        raise Unreadable("EV_PARTIAL", "Another page of issues follows; send all pages as one file.")
    issues = objects(answer.get("data"), "data")
    result = ScanResult(
        tools=("Snyk",),
        findings=tuple(finding for issue in issues for finding in _findings(issue)),
        is_proven=False,
    )
    return scan_reading(source.kind, READER, result)


def _findings(issue: Mapping[str, Json]) -> Iterator[ToolFinding]:
    attributes = mapped(issue.get("attributes"), "attributes", needed=True)
    if attributes.get("status") == "resolved":
        return
    advisories = [as_text(one.get("id")) for one in maps_in(attributes.get("problems")) if one.get("source") == "SNYK"]
    places = [_place(one) for one in _representations(attributes)]
    for component, version, location in dict.fromkeys(places or [("", "", "")]):
        yield ToolFinding(
            rule=next((one for one in advisories if one), as_text(attributes.get("key")) or "no advisory"),
            severity=_severity(attributes),
            title=as_text(attributes.get("title"))[:500],
            component=component,
            version=version,
            location=location or as_text(at(issue, "relationships", "scan_item", "data", "id")),
            suppressed=attributes.get("ignored") is True,
        )


def _representations(attributes: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for coordinate in maps_in(attributes.get("coordinates")):
        yield from maps_in(coordinate.get("representations"))


def _place(representation: Mapping[str, Json]) -> tuple[str, str, str]:
    dependency = as_map(representation.get("dependency"))
    code = as_map(representation.get("sourceLocation"))
    line = at(code, "region", "start", "line")
    steps = (as_text(code.get("file")), str(line) if isinstance(line, int) else "")
    return (
        as_text(dependency.get("package_name")),
        as_text(dependency.get("package_version")),
        ":".join(step for step in steps if step),
    )


def _severity(attributes: Mapping[str, Json]) -> Severity:
    scores = [of_rating(one.get("score")) for one in maps_in(attributes.get("severities"))]
    return highest([of_word(as_text(attributes.get("effective_severity_level"))), *scores])
