"""Requirement coverage of a workflow without code, from an evaluation run (gates.md 2.5), as attested evidence.

Rule: a requirement is covered by a scored case tagged `req:<requirement>`; a critical path by at least one passing and
no failing case with one of its tags. Fail mode: nothing declared gives no claim, so its criterion is inconclusive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.attach_evidence import workflow_of
from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.evidence.records import Evidence
from pilotage.store.releases import find_release
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow

_TAG = "req:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A completed run as coverage needs it: the sealed cases it asked, and which of them passed and failed."""

    release: Digest
    cases: tuple[GoldenCase, ...]
    passed: frozenset[str]
    failed: frozenset[str]
    at: datetime


def attach_coverage(connection: Connection, instance: Instance, scored: Scored) -> Evidence | None:
    """Attach `coverage` evidence for a workflow whose coverage is by requirements; None for one with code."""
    release, cases, passed, failed, at = scored.release, scored.cases, scored.passed, scored.failed, scored.at
    stored = find_release(connection, release)
    if stored is None:
        return None
    workflow = workflow_of(instance, stored.workflow)
    if workflow.code or not workflow.requirements:
        return None
    rows = requirement_rows(workflow, cases, passed | failed)
    paths = covered_paths(workflow, cases, passed=passed, failed=failed)
    covered = sum(1 for _, count in rows if count)
    claims = {"line_rate": covered / len(rows), "lines_valid": float(len(rows)), "missing_critical": 0.0}
    if workflow.critical_paths:
        claims["critical_rate"] = len(paths) / len(workflow.critical_paths)
        claims["missing_critical"] = float(len(workflow.critical_paths) - len(paths))
    body: Json = {
        "basis": "requirements",
        "release": release,
        "requirements": [{"id": name, "scored_cases": count} for name, count in rows],
        "critical_paths": sorted(paths),
    }
    run = OwnRun(
        kind="coverage",
        claims=claims,
        body=canonical_bytes(body),
        produced_at=at,
        summary=f"{covered} of {len(rows)} requirements have a scored case; "
        f"{len(paths)} of {len(workflow.critical_paths)} critical paths hold.",
        suite="requirements",
    )
    return attach_own_run(connection, instance, release=release, run=run)


def requirement_rows(
    workflow: Workflow, cases: Iterable[GoldenCase], scored: Collection[str]
) -> tuple[tuple[str, int], ...]:
    """Return each declared requirement with its number of scored cases."""
    listed = [case for case in cases if case.id in scored]
    return tuple((name, sum(1 for case in listed if f"{_TAG}{name}" in case.tags)) for name in workflow.requirements)


def covered_paths(
    workflow: Workflow, cases: Iterable[GoldenCase], *, passed: Collection[str], failed: Collection[str]
) -> frozenset[str]:
    """Return the critical paths with at least one passing and no failing case; those without case tags are not."""
    listed = tuple(cases)
    held: set[str] = set()
    for path in workflow.critical_paths:
        mine = {case.id for case in listed if set(case.tags) & set(path.cases)}
        if path.cases and mine & set(passed) and not mine & set(failed):
            held.add(path.id)
    return frozenset(held)
