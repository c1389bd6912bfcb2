"""Checkov's JSON, one framework or a list of them (gates.md 2.6).

Rule: a skipped check stays a finding, marked suppressed; stated counts are recounted. Open-source Checkov rates
nothing, so its findings are of severity unknown. Fail mode: no check run at all is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text
from pilotage.evidence.records import ReadContext, Reading, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import highest, of_word
from pilotage.evidence.shapes import check_total, count_of, mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source

READER = "Checkov"


def is_checkov(content: Content) -> bool:
    """Tell Checkov's report by `check_type`, or by the bare counts of a run without resources."""
    if not isinstance(content, JsonContent):
        return False
    value = content.value
    first = value if isinstance(value, Mapping) else as_map(next(iter(as_list(value)), None))
    return bool({"check_type", "checkov_version"} & first.keys())


def read_checkov(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all frameworks; raise Unreadable as the module says."""
    del context
    value = source.json
    reports = [mapped(value, "the file")] if isinstance(value, Mapping) else objects(value, "reports")
    findings: list[ToolFinding] = []
    checks = unaudited = 0
    for report in reports:
        failed, skipped = _listed(report, "failed"), _listed(report, "skipped")
        passed = max(len(_listed(report, "passed")), _stated(report, "passed") or 0)
        checks += len(failed) + len(skipped) + passed
        unaudited += max(len(_listed(report, "parsing_errors")), _stated(report, "parsing_errors") or 0)
        findings += [_finding(one, suppressed=False) for one in failed]
        findings += [_finding(one, suppressed=True) for one in skipped]
    if not checks:
        raise nothing_scanned(READER, "check")
    result = ScanResult(tools=(READER,), findings=tuple(findings), targets=checks, unaudited=unaudited)
    return scan_reading(source.kind, READER, result)


def _stated(report: Mapping[str, Json], name: str) -> int | None:
    summary = report.get("summary", report)
    return count_of(mapped(summary, "summary").get(name), f"summary.{name}")


def _listed(report: Mapping[str, Json], name: str) -> Sequence[Json]:
    results = mapped(report.get("results"), "results")
    if name == "parsing_errors":
        return as_list(results.get(name))
    listed = objects(results.get(f"{name}_checks"), f"{name}_checks")
    # `--quiet` leaves the passed checks out, so only what counts against the release must agree.
    if name != "passed":
        check_total(len(listed), _stated(report, name), f"{name} checks")
    return listed


def _finding(one: Json, *, suppressed: bool) -> ToolFinding:
    check = as_map(one)
    lines = "-".join(str(line) for line in as_list(check.get("file_line_range")) if isinstance(line, int))
    return ToolFinding(
        rule=as_text(check.get("check_id")) or "no check id",
        severity=highest([of_word(as_text(check.get("severity")))]),
        title=as_text(check.get("check_name"))[:500],
        component=as_text(check.get("resource")),
        location=f"{as_text(check.get('file_path'))}:{lines}".rstrip(":"),
        suppressed=suppressed,
    )
