"""From what a scanner found to a reading: findings made distinct, counted by severity, nothing hidden (gates.md 2.6).

Rule: a finding suppressed by the tool stays counted and is added to `suppressed`; two findings are one only when rule,
component, version, location, message and severity agree. Fail mode: a number the tool does not give is an absent
claim; a clean result that nothing proves is marked `unproven_clean` in `refs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pilotage.core.digest import digest_of
from pilotage.evidence.records import Reading, Severity, ToolFinding
from pilotage.evidence.source import Unreadable

UNPROVEN = "unproven_clean"
"""Key in `Reading.refs`: no finding, and nothing in the file shows that anything was looked at. A criterion over
such evidence is inconclusive at trust `claimed` (EV_UNPROVEN_CLEAN)."""

SECRETS = "scan.secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What one file of a scanner says.

    `targets`: things looked at (files, dependencies, hosts, checks); `unaudited`: things it says it could not look
    at; `hidden`: suppressions without a listed finding; `verified`: keys of secrets the tool proved to be live;
    `is_proven`: the file shows that something was looked at.
    """

    tools: tuple[str, ...]
    findings: tuple[ToolFinding, ...]
    targets: int | None = None
    unaudited: int | None = None
    exploitable: int | None = None
    hidden: int = 0
    verified: frozenset[tuple[str, str, str, str]] = frozenset()
    is_proven: bool = True
    produced_at: datetime | None = None
    refs: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scan_reading(kind: str, reader: str, result: ScanResult) -> Reading:
    """Return the reading of a scan of any kind; for `scan.secrets` the claims are about secrets."""
    findings = distinct(result.findings)
    claims = _secret_claims(result, findings) if kind == SECRETS else _scan_claims(result, findings)
    refs = dict(result.refs)
    if not findings and not result.is_proven:
        refs[UNPROVEN] = "EV_UNPROVEN_CLEAN"
    return Reading(
        kind=kind,
        reader=reader,
        claims=claims,
        summary=_summary(result, findings),
        produced_at=result.produced_at,
        findings=findings,
        refs=refs,
        notes=result.notes,
    )


def distinct(findings: Iterable[ToolFinding]) -> tuple[ToolFinding, ...]:
    """Return the findings without repetitions, in order of first appearance.

    Findings that share a key but not message and severity are several, so one more never lowers a count; each then
    carries a mark of both in `location`, so keys are unique and do not depend on the order in the file.
    """
    groups: dict[tuple[str, str, str, str], dict[tuple[str, Severity], ToolFinding]] = {}
    for finding in findings:
        group = groups.setdefault(finding.key, {})
        said = (finding.title, finding.severity)
        known = group.get(said)
        group[said] = finding if known is None else replace(known, suppressed=known.suppressed or finding.suppressed)
    kept: list[ToolFinding] = []
    for group in groups.values():
        kept += group.values() if len(group) == 1 else (_marked(finding) for finding in group.values())
    return tuple(kept)


def severity_claims(findings: Iterable[ToolFinding]) -> dict[str, float]:
    """Return the number of findings by severity, all five named."""
    counted = Counter(finding.severity for finding in findings)
    return {severity.value: float(counted[severity]) for severity in Severity}


def nothing_scanned(reader: str, what: str) -> Unreadable:
    """Return the refusal of a report in which nothing was looked at."""
    return Unreadable("EV_EMPTY", f"This {reader} report holds no {what}: nothing was scanned.", observed="0")


def _marked(finding: ToolFinding) -> ToolFinding:
    said = f"{finding.severity.value} {finding.title}"
    mark = digest_of(said.encode("utf-8", "surrogatepass")).removeprefix("sha256:")[:8]
    return replace(finding, location=f"{finding.location} ({mark})".lstrip())


def _scan_claims(result: ScanResult, findings: tuple[ToolFinding, ...]) -> dict[str, float]:
    claims = severity_claims(findings)
    claims["suppressed"] = float(sum(finding.suppressed for finding in findings) + result.hidden)
    claims["tools"] = float(len(set(result.tools)))
    optional = {"targets": result.targets, "unaudited": result.unaudited, "exploitable": result.exploitable}
    return claims | {name: float(value) for name, value in optional.items() if value is not None}


def _secret_claims(result: ScanResult, findings: tuple[ToolFinding, ...]) -> dict[str, float]:
    verified = min(len(result.verified), len(findings))
    claims = {"verified": float(verified), "unverified": float(len(findings) - verified)}
    return claims if result.targets is None else claims | {"files_scanned": float(result.targets)}


def _summary(result: ScanResult, findings: tuple[ToolFinding, ...]) -> str:
    counted = severity_claims(findings)
    parts = [f"{int(count)} {name}" for name, count in counted.items() if count]
    suppressed = sum(finding.suppressed for finding in findings) + result.hidden
    tail = f", {suppressed} suppressed by the tool" if suppressed else ""
    where = "" if result.targets is None else f" over {result.targets:,} targets"
    return f"{', '.join(result.tools)}: {len(findings)} findings{where} ({', '.join(parts) or 'none'}){tail}"
