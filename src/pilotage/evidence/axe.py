"""axe-core results: reporters v1 and v2, and the list of pages the CLI writes (github.com/dequelabs/axe-core).

Rule: a violation counts once per rule and page, by its impact; `rules_run` is the smallest number of results over the
pages. Fail mode: fewer than 50 is EV_PARTIAL, the raw reporter is EV_UNSUPPORTED, an unknown impact counts as critical.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_text, maps_in
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import earliest, file_time

_FEWEST_RULES = 50
_OUTCOMES = ("violations", "passes", "incomplete", "inapplicable")
_SEVERITIES = {
    "critical": Severity.CRITICAL,
    "serious": Severity.HIGH,
    "moderate": Severity.MEDIUM,
    "minor": Severity.LOW,
}


def is_axe(content: Content) -> bool:
    """Tell whether the JSON is axe's: a page, a list of pages, or the raw list of rules."""
    if not isinstance(content, JsonContent):
        return False
    first = as_map(content.value) or as_map(next(iter(as_list(content.value)), None))
    return {"violations", "passes"} <= first.keys() and ("testEngine" in first or _is_raw(first))


def read_axe(source: Source, _context: ReadContext) -> Reading:
    """Read axe results as `accessibility`."""
    value = source.json
    pages: Sequence[Mapping[str, Json]] = [value] if isinstance(value, Mapping) else list(maps_in(value))
    if any(_is_raw(page) for page in pages):
        raise Unreadable("EV_UNSUPPORTED", "This is axe's raw reporter; export with reporter v1 or v2.")
    if len(pages) != len(as_list(value) or [value]) or any(not set(_OUTCOMES) <= page.keys() for page in pages):
        raise Unreadable("EV_PARTIAL", "A page lacks one of violations, passes, incomplete and inapplicable.")
    rules_run = min(sum(len(as_list(page[outcome])) for outcome in _OUTCOMES) for page in pages)
    if rules_run < _FEWEST_RULES:
        text = f"Only {rules_run} rule(s) ran on a page; run axe with its full rule set."
        raise Unreadable("EV_PARTIAL", text, observed=f"{rules_run} rules", limit=f"{_FEWEST_RULES} rules")
    findings = tuple(_finding(page, rule) for page in pages for rule in maps_in(page["violations"]))
    counts = Counter(finding.severity for finding in findings)
    claims = {
        "critical": counts[Severity.CRITICAL],
        "serious": counts[Severity.HIGH],
        "moderate": counts[Severity.MEDIUM],
        "minor": counts[Severity.LOW],
        "incomplete": sum(len(as_list(page["incomplete"])) for page in pages),
        "rules_run": rules_run,
        "pages": len({as_text(page.get("url")) for page in pages}),
    }
    return Reading(
        kind=source.kind,
        reader="axe",
        claims=claims,
        summary=f"{claims['critical']} critical, {claims['serious']} serious, {claims['moderate']} moderate, "
        f"{claims['minor']} minor over {claims['pages']} page(s), {rules_run} rules",
        produced_at=earliest(file_time(as_text(page.get("timestamp"))) for page in pages),
        findings=findings,
        refs={"target_url": as_text(pages[0].get("url"))},
        names={"pages": tuple(as_text(page.get("url")) for page in pages)},
    )


def _is_raw(page: Mapping[str, Json]) -> bool:
    return "pageLevel" in page or "result" in page


def _finding(page: Mapping[str, Json], rule: Mapping[str, Json]) -> ToolFinding:
    return ToolFinding(
        rule=as_text(rule.get("id")),
        severity=_SEVERITIES.get(as_text(rule.get("impact")), Severity.CRITICAL),
        title=as_text(rule.get("help"))[:300],
        location=as_text(page.get("url"))[:500],
    )
