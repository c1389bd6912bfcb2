"""Everything read for one release's gates, once: votes, evidence, roster, authors, attempts.

Rule: nothing here is kept; the connection that decides reads every input, so a decision and what it leads to stand on
one snapshot. Fail mode: what cannot be read raises, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of
from pilotage.control.gate_facts import Claims
from pilotage.control.gate_pack import PackState
from pilotage.control.gate_reading import Reading
from pilotage.control.gate_roster import notice_changes, roster_of, seen_policy, seen_roster
from pilotage.control.instance import Instance
from pilotage.control.ledger_match import ledger_mismatches, mitigation_mismatches, standard_mismatches
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason
from pilotage.evaluation.mitigation import Mitigation
from pilotage.evidence.records import Evidence
from pilotage.gate.emergency import Emergency
from pilotage.gate.records import GateInput, ReleaseFacts, RiskAcceptance, Roster, Vote
from pilotage.gate.report import GateReport
from pilotage.gate.standard import StandardChange, StandardTemplate, Standing
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import Role
from pilotage.release.authorship import persons
from pilotage.release.manifest import Manifest
from pilotage.release.seal import source_of
from pilotage.store.gate_votes import Attempt
from pilotage.store.releases import StoredRelease
from pilotage.workspace.workflow import Workflow


@dataclass(slots=True, kw_only=True)
class Chain:
    """Everything read for one release, and the reports made so far. `reading` may hold other releases too.

    `changes` are the standard changes it was declared as, `templates` what they name, by id; `standard` how the one
    that counts was judged.
    """

    reading: Reading
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
    emergencies: tuple[Emergency, ...] = ()
    reports: dict[tuple[str, Half], GateReport] = field(default_factory=dict)
    inputs: dict[tuple[str, Half], GateInput] = field(default_factory=dict)
    facts: dict[tuple[str, str], Claims] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    packs: dict[str, PackState] = field(default_factory=dict)
    reached: dict[tuple[str, SpaceName | None], bool] = field(default_factory=dict)
    unrecorded: tuple[Reason, ...] = ()
    changes: tuple[StandardChange, ...] = ()
    templates: Mapping[str, StandardTemplate] = field(default_factory=dict)
    standard: Standing | None = None

    @property
    def connection(self) -> Connection:
        """The transaction that everything is read in."""
        return self.reading.connection

    @property
    def instance(self) -> Instance:
        """What the release is decided in."""
        return self.reading.instance

    @property
    def now(self) -> datetime:
        """When."""
        return self.reading.now

    @property
    def mitigations(self) -> tuple[Mitigation, ...]:
        """Those of the workflow's fairness findings."""
        return tuple(one for one in self.reading.snapshot.mitigations if one.workflow == self.stored.workflow)

    @property
    def editors(self) -> Mapping[PersonId, datetime]:
        """Who changed roster or policy lately."""
        return self.reading.snapshot.editors

    @property
    def flags(self) -> tuple[str, ...]:
        """What of the difference to its parent somebody must look at."""
        return self.reading.flags.get(self.stored.digest, ())


def open_chain(connection: Connection, instance: Instance, stored: StoredRelease, now: datetime) -> Chain:
    """Read once what every gate of a release is decided from, and compare it with the ledger.

    `open_chains` is for lists that people look at; whatever acts on a release opens its one chain, and so compares.
    """
    return open_chains(connection, instance, [stored], now, compared=True)[0]


def open_to_look(connection: Connection, instance: Instance, stored: StoredRelease, now: datetime) -> Chain:
    """Read as `open_chain` does; a roster or policy not seen before is noted first, and everything read again."""
    return open_all_to_look(connection, instance, [stored], now, compared=True)[0]


def open_all_to_look(
    connection: Connection,
    instance: Instance,
    releases: Sequence[StoredRelease],
    now: datetime,
    *,
    compared: bool = False,
) -> tuple[Chain, ...]:
    """Read as `open_chains` does, with the same care as `open_to_look`; nothing is read for no release."""
    if not releases:
        return ()
    chains = open_chains(connection, instance, releases, now, compared=compared)
    declared = {seen_roster(instance.workspace).digest, seen_policy(instance.workspace).digest}
    if declared <= chains[0].reading.snapshot.known:
        return chains
    notice_changes(connection, instance, now)
    return open_chains(connection, instance, releases, now, compared=compared)


def open_chains(
    connection: Connection,
    instance: Instance,
    releases: Sequence[StoredRelease],
    now: datetime,
    *,
    compared: bool = False,
) -> tuple[Chain, ...]:
    """Read once, for all of them, what every gate of these releases is decided from; `compared` with the ledger."""
    reading = Reading(connection, instance, releases, now, compared=compared)
    roster = roster_of(instance.workspace, reading.snapshot.tenures, reading.snapshot.delegations)
    chains = tuple(_chain(reading, stored, roster) for stored in releases)
    for chain in chains if compared else ():
        chain.unrecorded = _unrecorded(reading, chain)
    return chains


def _unrecorded(reading: Reading, chain: Chain) -> tuple[Reason, ...]:
    said = reading.snapshot.said
    return (
        *ledger_mismatches(
            said, chain.stored, votes=chain.votes, evidence=chain.evidence, acceptances=chain.acceptances
        ),
        *standard_mismatches(said, chain.stored, chain.changes, chain.templates.values()),
        *mitigation_mismatches(said, chain.mitigations),
    )


def _chain(reading: Reading, stored: StoredRelease, roster: Roster) -> Chain:
    snapshot, digest = reading.snapshot, stored.digest
    manifest = reading.manifests[digest]
    about = [(kind, name) for kind, names in subjects_of(stored).items() for name in names]
    changes = tuple(one for one in snapshot.standards if one.release == digest)
    rejections = snapshot.rejections.get(stored.parts_digest, ())
    return Chain(
        reading=reading,
        stored=stored,
        manifest=manifest,
        workflow=reading.workflows[stored.workflow],
        release=_release_facts(reading, stored, manifest),
        evidence=reading.evidence_about(about),
        votes=tuple(vote for vote in snapshot.votes if vote.release == digest),
        elsewhere=tuple(vote for vote in rejections if vote.release != digest),
        acceptances=tuple(risk for risk in snapshot.acceptances if risk.release == digest),
        attempts={one.gate: one for one in snapshot.attempts if one.release == digest},
        roster=roster,
        recused={
            (gate, attempt): seats for (release, gate, attempt), seats in snapshot.recused.items() if release == digest
        },
        emergencies=tuple(one for one in snapshot.emergencies if one.release == digest),
        changes=changes,
        templates={one.template: snapshot.templates[one.template] for one in changes},
    )


def _release_facts(reading: Reading, stored: StoredRelease, manifest: Manifest) -> ReleaseFacts:
    authors = reading.snapshot.authors
    production = reading.instance.workspace.production_spaces
    before = {one.release for space in production for one in reading.snapshot.served.get((space, stored.workflow), ())}
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
        source_tree=source_of(stored.seal).tree or None,
        is_first=not before - {stored.digest},
    )
