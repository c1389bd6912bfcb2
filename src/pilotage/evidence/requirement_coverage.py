"""Requirement coverage of a workflow without code (gates.md 2.5), as Pilotage's own JSON report.

`{"basis": "requirements", "generated_at": TIME, "requirements": [{"id": "intent:refund", "scored_cases": 3}, ...]}`.
Rule: a declared intent or requirement is covered by at least one scored golden case. Fail mode: none declared is
EV_EMPTY, an id that stands twice is EV_INCONSISTENT.
"""

from __future__ import annotations

from pilotage.evidence.coverage_lines import LineHits, uncovered_paths
from pilotage.evidence.json_values import as_map, as_number, as_text, maps_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import file_time


def is_requirement_report(content: Content) -> bool:
    """Tell whether the JSON says that its basis is requirements."""
    return isinstance(content, JsonContent) and as_map(content.value).get("basis") == "requirements"


def read_requirement_report(source: Source, context: ReadContext) -> Reading:
    """Read a requirement report as `coverage`; `line_rate` is covered requirements / declared ones."""
    report = as_map(source.json)
    rows = list(maps_in(report.get("requirements")))
    if not rows:
        raise Unreadable("EV_EMPTY", "The report declares no requirement.", observed="0 requirements")
    ids = [as_text(row.get("id")) for row in rows]
    if len(set(ids)) != len(ids) or not all(ids):
        raise Unreadable("EV_INCONSISTENT", "A requirement has no id, or one id stands twice.")
    uncovered = tuple(
        name for name, row in zip(ids, rows, strict=True) if (as_number(row.get("scored_cases")) or 0) < 1
    )
    rate = 1 - len(uncovered) / len(ids)
    claims: dict[str, float] = {"line_rate": rate, "lines_valid": len(ids), "missing_critical": 0}
    paths = uncovered_paths(context, LineHits())
    if context.critical_paths:
        claims["critical_rate"] = 1 - len(paths) / len(context.critical_paths)
    return Reading(
        kind=source.kind,
        reader="requirements",
        claims=claims,
        summary=f"{len(ids) - len(uncovered)} of {len(ids)} requirements have a scored case",
        produced_at=file_time(as_text(report.get("generated_at"))),
        refs={"basis": "requirements"},
        names={"uncovered_requirements": uncovered, "uncovered_paths": paths},
    )
