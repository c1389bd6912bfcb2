"""Everything read for one release's gates, once: votes, evidence, roster, authors, attempts.

Rule: nothing here is kept; the connection that decides reads every input, so a decision and what it leads to stand on
one snapshot. Fail mode: what cannot be read raises, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of, workflow_of
from pilotage.control.gate_facts import Claims
from pilotage.control.gate_pack import PackState
from pilotage.control.gate_roster import EDITOR_SPAN, seen_roster
from pilotage.control.instance import Instance
from pilotage.control.release_reports import diff_on
from pilotage.core.canonical import parse_json
from pilotage.core.ids import PersonId
from pilotage.evidence.records import Evidence
from pilotage.gate.emergency import Emergency
from pilotage.gate.records import GateInput, ReleaseFacts, RiskAcceptance, Roster, SeatAt, Tenure, Vote
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import Role
from pilotage.release.authorship import persons
from pilotage.release.manifest import Manifest, read_manifest
from pilotage.space.settings import Tier
from pilotage.store.emergencies import emergencies_of
from pilotage.store.evidence import evidence_about
from pilotage.store.gate_people import acceptances_of, delegations, editors, tenures
from pilotage.store.gate_votes import Attempt, attempts_of, recusals_of, rejections_elsewhere, votes_of
from pilotage.store.releases import StoredRelease, authors_of_parts, find_release
from pilotage.store.routes import served_before
from pilotage.workspace.workflow import Workflow


@dataclass(slots=True, kw_only=True)
class Chain:
    """Everything read for one release, and the reports made so far."""

    connection: Connection
    instance: Instance
    stored: StoredRelease
    manifest: Manifest
    workflow: Workflow
    release: ReleaseFacts
    evidence: tuple[Evidence, ...]
    votes: tuple[Vote, ...]
    elsewhere: tuple[Vote, ...]
    acceptances: tuple[RiskAcceptance, ...]
    attempts: Mapping[str, Attempt]
    roster: Roster
    recused: Mapping[tuple[str, int], Mapping[Role, PersonId]]
    editors: Mapping[PersonId, datetime]
    now: datetime
    emergencies: tuple[Emergency, ...] = ()
    flags: tuple[str, ...] = ()
    reports: dict[tuple[str, Half], GateReport] = field(default_factory=dict)
    inputs: dict[tuple[str, Half], GateInput] = field(default_factory=dict)
    facts: dict[tuple[str, str], Claims] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    packs: dict[str, PackState] = field(default_factory=dict)


def open_chain(connection: Connection, instance: Instance, stored: StoredRelease, now: datetime) -> Chain:
    """Read once what every gate of a release is decided from."""
    workflow = workflow_of(instance, stored.workflow)
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    flags: tuple[str, ...] = ()
    if stored.parent is not None and find_release(connection, stored.parent) is not None:
        flags = tuple(str(flag) for flag in diff_on(connection, stored.parent, stored.digest).flags)
    return Chain(
        connection=connection,
        instance=instance,
        stored=stored,
        manifest=manifest,
        workflow=workflow,
        release=_release_facts(connection, instance, stored, manifest),
        evidence=evidence_about(connection, subjects_of(stored)),
        votes=votes_of(connection, stored.digest),
        elsewhere=rejections_elsewhere(connection, stored.parts_digest, stored.digest),
        acceptances=acceptances_of(connection, stored.digest),
        attempts=attempts_of(connection, stored.digest),
        roster=_roster(connection, instance),
        recused=recusals_of(connection, stored.digest),
        editors=editors(connection, since=now - EDITOR_SPAN),
        now=now,
        emergencies=emergencies_of(connection, stored.digest),
        flags=flags,
    )


def _release_facts(
    connection: Connection, instance: Instance, stored: StoredRelease, manifest: Manifest
) -> ReleaseFacts:
    authors = authors_of_parts(connection, manifest.parts.values())
    production = [space.name for space in instance.workspace.spaces.values() if space.tier is Tier.PRODUCTION]
    before = {one for space in production for one in served_before(connection, space, stored.workflow)}
    return ReleaseFacts(
        digest=stored.digest,
        parts_digest=stored.parts_digest,
        workflow=stored.workflow,
        parts={str(kind): digest for kind, digest in manifest.parts.items()},
        state=str(stored.state),
        is_verified=manifest.digest == stored.digest,
        authors={str(kind): persons(authors[digest]) for kind, digest in manifest.parts.items()},
        sealer=PersonId(stored.sealed_by),
        sealed_at=stored.sealed_at,
        source_tree=_source_tree(stored),
        is_first=not before - {stored.digest},
    )


def _source_tree(stored: StoredRelease) -> str | None:
    seal = parse_json(stored.seal)
    source = seal.get("source") if isinstance(seal, Mapping) else None
    tree = source.get("tree") if isinstance(source, Mapping) else None
    return tree if isinstance(tree, str) and tree else None


def _roster(connection: Connection, instance: Instance) -> Roster:
    known: tuple[Tenure, ...] = tenures(connection)
    people = instance.workspace.people.values()
    return Roster(
        version=seen_roster(instance.workspace).digest,
        tenures=known,
        seats=tuple(
            SeatAt(role=seat.role, holder=seat.holder, alternates=seat.alternates) for seat in instance.workspace.seats
        ),
        reports_to={one.id: one.reports_to for one in people if one.reports_to is not None},
        delegations=delegations(connection),
    )
