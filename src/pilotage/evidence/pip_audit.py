"""pip-audit's JSON, the list of older versions and the object of newer ones (gates.md 2.6).

Rule: pip-audit rates nothing, so each vulnerability has severity unknown; a skipped dependency is unaudited. Fail mode:
no dependency, or none that was audited, is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.shapes import objects
from pilotage.evidence.source import Content, JsonContent, Source

READER = "pip-audit"


def is_pip_audit(content: Content) -> bool:
    """Tell pip-audit's report by dependencies with a name and either vulnerabilities or a reason to skip them."""
    if not isinstance(content, JsonContent):
        return False
    value = content.value
    if isinstance(value, Mapping):
        return "dependencies" in value and not {"bomFormat", "version", "vulnerabilities"} & value.keys()
    first = as_map(next(iter(as_list(value)), None))
    return "name" in first and bool({"vulns", "skip_reason"} & first.keys())


def read_pip_audit(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all dependencies; raise Unreadable as the module says."""
    del context
    dependencies = _dependencies(source.json)
    skipped = [one for one in dependencies if "vulns" not in one]
    if len(skipped) == len(dependencies):
        raise nothing_scanned(READER, "audited dependency")
    findings = [_finding(one, found) for one in dependencies for found in objects(one.get("vulns"), "vulns")]
    result = ScanResult(
        tools=(READER,),
        findings=tuple(findings),
        targets=len(dependencies),
        unaudited=len(skipped),
        notes=tuple(as_text(one.get("skip_reason"))[:200] for one in skipped[:20]),
    )
    return scan_reading(source.kind, READER, result)


def _dependencies(value: Json) -> Sequence[Mapping[str, Json]]:
    return objects(value["dependencies"] if isinstance(value, Mapping) else value, "dependencies")


def _finding(dependency: Mapping[str, Json], found: Mapping[str, Json]) -> ToolFinding:
    return ToolFinding(
        rule=as_text(found.get("id")) or "no advisory",
        severity=Severity.UNKNOWN,
        title=as_text(found.get("description"))[:500],
        component=as_text(dependency.get("name")),
        version=as_text(dependency.get("version")),
    )
