"""Semgrep's JSON, for code, supply chain and secrets (gates.md 2.6).

Rule: an ignored result stays a finding, marked suppressed; a rule or file Semgrep failed on is unaudited. Fail mode: no
result and no scanned path is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text, at
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import WORDS, highest, of_word
from pilotage.evidence.shapes import listed, mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source

READER = "Semgrep"


def is_semgrep(content: Content) -> bool:
    """Tell Semgrep's output by an array of results beside errors or paths, each result with a `check_id`."""
    if not isinstance(content, JsonContent):
        return False
    report = as_map(content.value)
    results = report.get("results")
    if isinstance(results, Mapping) or "results" not in report or "metrics" in report:
        return False
    first = as_map(next(iter(as_list(results)), None))
    return ("errors" in report or "paths" in report) and (not first or "check_id" in first)


def read_semgrep(source: Source, context: ReadContext) -> Reading:
    """Return the findings; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    results = objects(report.get("results"), "results")
    scanned = listed(at(report, "paths", "scanned"), "paths.scanned")
    if not results and not scanned:
        raise nothing_scanned(READER, "scanned path")
    found = [(one, _finding(one)) for one in results]
    result = ScanResult(
        tools=(READER,),
        findings=tuple(finding for _, finding in found),
        targets=len(scanned) or None,
        unaudited=sum(as_map(one).get("level", "error") == "error" for one in as_list(report.get("errors"))),
        verified=frozenset(
            finding.key for one, finding in found if at(one, "extra", "validation_state") == "CONFIRMED_VALID"
        ),
    )
    return scan_reading(source.kind, READER, result)


def _finding(one: Mapping[str, Json]) -> ToolFinding:
    extra = mapped(one.get("extra"), "extra")
    dependency = as_map(at(extra, "sca_info", "dependency_match", "found_dependency"))
    return ToolFinding(
        rule=as_text(one.get("check_id")) or "no rule",
        severity=highest([of_word(as_text(extra.get("severity")), WORDS)]),
        title=as_text(extra.get("message"))[:500],
        component=as_text(dependency.get("package")),
        version=as_text(dependency.get("version")),
        location=f"{as_text(one.get('path'))}:{at(one, 'start', 'line')}:{at(one, 'start', 'col')}",
        suppressed=extra.get("is_ignored") is True,
    )
