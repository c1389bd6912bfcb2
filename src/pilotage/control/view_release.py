"""A release as its page shows it: lineage, authors, where it serves, its evidence and every gate, on one connection.

Rule: reads only, apart from noting a roster or policy not seen before. Fail mode: NotFound for an unknown release; a
workflow that is declared no more has no gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of
from pilotage.control.decided_gates import Decided, Entered, decided_gates, entered_spaces
from pilotage.control.gate_case import open_to_look
from pilotage.control.gate_status import all_reports
from pilotage.control.instance import Instance
from pilotage.control.way_ahead import Ahead, gate_ahead
from pilotage.core.digest import Digest
from pilotage.evaluation.mitigation import Mitigation, MitigationState
from pilotage.evidence.records import Evidence
from pilotage.gate.report import GateReport
from pilotage.release.authorship import Author
from pilotage.store.evidence import evidence_about
from pilotage.store.gates_then import served_and_then
from pilotage.store.lineage import Ancestor, lineage_of
from pilotage.store.mitigations import list_mitigations
from pilotage.store.releases import StoredRelease, authors_of_parts, named_release
from pilotage.store.served import Served


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """Everything of the page. `line`: the release first, then its ancestors; `served`: routes of the same content.

    `reports` are gates as they are decided now, `decided` what was decided at them, `ahead` the first not passed yet;
    `mitigations` are open, and of what was found in the release or its ancestors.
    """

    release: StoredRelease
    line: Sequence[Ancestor]
    authors: Mapping[Digest, Sequence[Author]]
    served: Sequence[Served]
    evidence: Sequence[Evidence]
    reports: Sequence[GateReport]
    decided: Mapping[str, Sequence[Decided]]
    ahead: Ahead | None
    mitigations: Sequence[Mitigation] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Now:
    """What holds at the gates now; without gates where the workflow is not declared any more."""

    authors: Mapping[Digest, Sequence[Author]]
    evidence: Sequence[Evidence]
    reports: Sequence[GateReport] = ()
    ahead: Ahead | None = None
    mitigations: Sequence[Mitigation]


def view_release(instance: Instance, name: str) -> ReleaseView:
    """Return the release that a digest or its prefix names, with its gates as they are decided now."""
    with instance.engine.begin() as connection:
        stored, now = named_release(connection, name), instance.clock.now()
        line = lineage_of(connection, stored.digest)
        served, then = served_and_then(connection, stored.digest, stored.parts_digest, now)
        decided = decided_gates(then)
        found = _now(connection, instance, stored, line[0], decided, entered_spaces(then.passed))
        releases = {one.digest for one in line}
        return ReleaseView(
            release=stored,
            line=line,
            authors=found.authors,
            served=served,
            evidence=found.evidence,
            reports=found.reports,
            decided=decided,
            ahead=found.ahead,
            mitigations=[
                one
                for one in found.mitigations
                if one.release_before in releases and one.state(now) is not MitigationState.CLOSED
            ],
        )


def _now(
    connection: Connection,
    instance: Instance,
    stored: StoredRelease,
    this: Ancestor,
    decided: Mapping[str, Sequence[Decided]],
    entered: Sequence[Entered],
) -> _Now:
    if stored.workflow not in instance.workspace.workflows:
        return _Now(
            authors=authors_of_parts(connection, this.manifest.parts.values()),
            evidence=evidence_about(connection, subjects_of(stored)),
            mitigations=list_mitigations(connection, stored.workflow),
        )
    chain = open_to_look(connection, instance, stored, instance.clock.now())
    return _Now(
        authors=chain.reading.snapshot.authors,
        evidence=chain.evidence,
        reports=all_reports(chain),
        ahead=gate_ahead(chain, decided, entered),
        mitigations=chain.mitigations[::-1],
    )
