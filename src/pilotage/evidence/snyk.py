"""Snyk's JSON of `snyk test` and `snyk container test`, one project or a list of them (gates.md 2.6).

Rule: ignored and patched vulnerabilities stay findings, marked suppressed; `uniqueCount` is recounted. Fail mode: no
dependency at all is EV_EMPTY, a project with an error EV_TOOL_FAILED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_text
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_rating, of_word
from pilotage.evidence.shapes import check_total, count_of, mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

READER = "Snyk"
_MARKS = frozenset({"dependencyCount", "uniqueCount", "packageManager", "licensesPolicy"})
_EXPLOITS = frozenset({"mature", "high", "functional", "proof of concept"})


def is_snyk(content: Content) -> bool:
    """Tell Snyk's result by `ok` beside the counts only Snyk writes."""
    return isinstance(content, JsonContent) and any(
        "ok" in project and (bool(_MARKS & project.keys()) or "error" in project) for project in _first(content.value)
    )


def read_snyk(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all projects; raise Unreadable as the module says."""
    del context
    projects = _projects(source.json)
    for project in projects:
        if project.get("error") is not None:
            raise Unreadable("EV_TOOL_FAILED", f"Snyk could not test {_name(project)}: {str(project['error'])[:160]}")
    dependencies = sum(count_of(project.get("dependencyCount"), "dependencyCount") or 0 for project in projects)
    if not dependencies:
        raise nothing_scanned(READER, "dependency")
    for project in projects:
        _check(project)
    listed = [(project, one) for project in projects for one in _listed(project)]
    result = ScanResult(
        tools=(READER,),
        findings=tuple(_finding(project, one, suppressed=hidden) for project, (one, hidden) in listed),
        targets=dependencies,
        unaudited=0,
        exploitable=len({as_text(one.get("id")) for _, (one, _) in listed if _is_exploitable(one)}),
    )
    return scan_reading(source.kind, READER, result)


def _first(value: Json) -> Sequence[Mapping[str, Json]]:
    candidates = as_list(value)[:1] or (value,)
    return [one for one in candidates if isinstance(one, Mapping)]


def _projects(value: Json) -> Sequence[Mapping[str, Json]]:
    projects = [mapped(value, "the file")] if isinstance(value, Mapping) else objects(value, "projects")
    applications = [one for project in projects for one in objects(project.get("applications"), "applications")]
    return [*projects, *applications]


def _check(project: Mapping[str, Json]) -> None:
    ids = {as_text(one.get("id")) for one in objects(project.get("vulnerabilities"), "vulnerabilities")}
    check_total(len(ids), count_of(project.get("uniqueCount"), "uniqueCount"), f"vulnerabilities in {_name(project)}")
    if project.get("ok") is True and ids:
        raise Unreadable(
            "EV_INCONSISTENT", f"{_name(project)} is `ok` beside {len(ids)} vulnerabilities.", observed=f"{len(ids)}"
        )
    if project.get("ok") is not True and not ids and not any(True for _ in _hidden(project)):
        raise Unreadable("EV_INCONSISTENT", f"{_name(project)} is not `ok` and lists no vulnerability.", observed="0")


def _listed(project: Mapping[str, Json]) -> list[tuple[Mapping[str, Json], bool]]:
    shown = [(one, False) for one in objects(project.get("vulnerabilities"), "vulnerabilities")]
    return [*shown, *((one, True) for one in _hidden(project))]


def _hidden(project: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    filtered = mapped(project.get("filtered"), "filtered")
    return [*objects(filtered.get("ignore"), "filtered.ignore"), *objects(filtered.get("patch"), "filtered.patch")]


def _finding(project: Mapping[str, Json], one: Mapping[str, Json], *, suppressed: bool) -> ToolFinding:
    words = [of_word(as_text(one.get(name))) for name in ("severity", "severityWithCritical")]
    return ToolFinding(
        rule=as_text(one.get("id")) or "no advisory",
        severity=highest([of_rating(one.get("cvssScore")), *words]),
        title=as_text(one.get("title"))[:500],
        component=as_text(one.get("packageName")) or as_text(one.get("name")),
        version=as_text(one.get("version")),
        location=_name(project),
        suppressed=suppressed,
    )


def _is_exploitable(one: Mapping[str, Json]) -> bool:
    return as_text(one.get("exploit")).lower() in _EXPLOITS


def _name(project: Mapping[str, Json]) -> str:
    names = (as_text(project.get(name)) for name in ("projectName", "displayTargetFile", "path"))
    return next((name for name in names if name), "a project")[:200]
