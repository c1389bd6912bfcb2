"""The drift detector: what serving processes hold against what was approved (gates.md 5.4).

Each look compares every process's newest report with the deployment record and the sealed bytes, and takes over what
watch_models.py found of the models behind them. A difference opens a row; content that differs in two reports takes a
process of production out of the routing, and when none is left clean the release is rolled back. Rule: rows, ledger
entries, incident and rollback commit together. Fail mode: a process that is silent for 180 s, or whose reports speak of
another moment for as long, is DRIFT_UNKNOWN, and so is a provider's model that nobody looked at for 180 s: it stops
increases, and never evicts or rolls back; what was seen before stays true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.control.accepted_models import accepted_models
from pilotage.control.gate_roster import notice_engine
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.record_entry import record
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import Deed
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import CorpusName, WorkflowName
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind
from pilotage.monitoring.held import Approved, CorpusState, Drift, Part, Settings, behind, drifts
from pilotage.release.content import ReleaseContent
from pilotage.release.fingerprint import fingerprints
from pilotage.release.model import Provider
from pilotage.retrieval.root import root_of
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.deployments import Deployment, deployments_of
from pilotage.store.drift import (
    UNKNOWN_AFTER,
    Held,
    StoredDrift,
    close_drift,
    evict,
    held_in,
    is_resumed,
    keep_lags,
    mark_looked,
    open_drift,
    put_drift,
)
from pilotage.store.evidence import good_under
from pilotage.store.index_rows import accepted_versions, count_chunks_of, generation_of, live_revisions
from pilotage.store.model_identity import looked_at, open_identities
from pilotage.store.releases import load_release
from pilotage.store.routes import Route, read_route
from pilotage.store.space_health import served_spaces, workflows_in

MACHINE: Final = "system:drift-watch"
CAUSE: Final = "content drift"
PROVIDER: Final = Held(process="provider", at=None, age_s=None, holds={})
LOOKS: Final = 3
"""How often a corpus that moves under the look is read again before it is left to the next look."""


def watch_drift(connection: Connection, instance: Instance) -> tuple[StoredDrift, ...]:
    """Look at every routed space once; return the rows that are open now."""
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    notice_engine(connection, deed.at)
    for name in served_spaces(connection):
        space = instance.workspace.spaces.get(name)
        if space is None:
            continue
        _Look(connection=connection, instance=instance, space=space, deed=deed).run()
        mark_looked(connection, name)
    return open_drift(connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lag:
    """Of what other moment a process's reports speak, and for how long already."""

    what: str
    lasted: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    connection: Connection
    instance: Instance
    space: Space
    deed: Deed

    def run(self) -> None:
        """Compare every workflow of the space with every process."""
        held = held_in(self.connection, self.space.name)
        before = {_key(row): row for row in open_drift(self.connection, space=self.space.name)}
        approved = {
            workflow: self._approved(read_route(self.connection, self.space.name, workflow))
            for workflow in workflows_in(self.connection, self.space.name)
        }
        lags = self._lags(held, approved)
        now: dict[tuple[str, ...], StoredDrift] = {}
        for workflow, wanted in approved.items():
            for process in held:
                for found in self._found(process, workflow, wanted, lags.get((process.process, workflow))):
                    row = self._put(process, found, workflow)
                    now[_key(row)] = row
            for found in self._identities(WorkflowName(workflow), wanted):
                row = self._put(PROVIDER, found, workflow)
                now[_key(row)] = row
            for process, found in self._unseen_models(wanted):
                row = self._put(process, found, workflow)
                now[_key(row)] = row
        for key, row in before.items():
            is_unknown = row.part is Part.UNKNOWN
            is_waiting = not is_unknown and ((row.process, row.workflow) in lags or self._is_waiting(row, held))
            if key not in now and not is_waiting:
                close_drift(self.connection, row)
                self._record(EntryKind.DEPLOYMENT_DRIFT_ENDED, row)
        self._act(tuple(now.values()), held)

    def _identities(self, workflow: WorkflowName, approved: Approved) -> Iterator[Drift]:
        """Yield what a provider answers as, did not first and nobody accepts, of the releases that are routed."""
        for known in open_identities(self.connection, workflow, self.space.name):
            if known.place.release not in approved.parts:
                continue
            accepted = accepted_models(self.connection, self.instance, known, self.space)
            open_ones = [change.identity for change in known.changes if change.identity not in accepted]
            if open_ones:
                observed = ", ".join(str(identity) for identity in open_ones)
                wanted = ", ".join(str(identity) for identity in sorted(known.reference))
                yield Drift(part=Part.IDENTITY, release=known.place.release, observed=observed, approved=wanted)

    def _unseen_models(self, approved: Approved) -> Iterator[tuple[Held, Drift]]:
        """Yield that nobody looked for 180 s at which model answers, where a provider answers at all.

        The first look after a standstill leaves it to the next: the look at models is as late as this one, and due.
        """
        last = looked_at(self.connection)
        age = None if last is None else self.deed.at - last
        is_fresh = age is not None and age <= UNKNOWN_AFTER
        if approved.stable is None or is_fresh or is_resumed(self.connection, self.space.name):
            return
        contents = [self._content(Digest(digest)) for digest in approved.parts]
        if all(one is not None and one.model.provider is Provider.EXTRACTIVE for one in contents):
            return
        observed = "never" if age is None else f"for {age.total_seconds():.0f} s"
        process = replace(PROVIDER, process="model watch", at=last)
        yield process, Drift(part=Part.UNKNOWN, release=approved.stable, observed=observed, approved="within 180 s")

    def _lags(self, held: tuple[Held, ...], approved: dict[str, Approved]) -> dict[tuple[str, str], _Lag]:
        """Return whose newest report of which workflow cannot be compared."""
        found = {
            (process.process, workflow): (process.at, what)
            for process in held
            for workflow, wanted in approved.items()
            if not process.is_unknown and (what := behind(process.holds.get(workflow), wanted)) is not None
        }
        times = {key: at for key, (at, _) in found.items() if at is not None}
        lasted = keep_lags(self.connection, self.space.name, times)
        return {key: _Lag(what=found[key][1], lasted=lasted[key]) for key in times}

    @staticmethod
    def _found(process: Held, workflow: str, approved: Approved, lag: _Lag | None) -> tuple[Drift, ...]:
        report = None if process.is_unknown else process.holds.get(workflow)
        found = () if report is None else drifts(report, approved)
        observed = None
        if process.is_unknown:
            observed = "never" if process.age_s is None else f"for {process.age_s:.0f} s"
        elif lag is not None and lag.lasted >= UNKNOWN_AFTER:
            observed = f"for {lag.lasted.total_seconds():.0f} s, only {lag.what}"
        if observed is None or approved.stable is None:
            return found
        unknown = Drift(part=Part.UNKNOWN, release=approved.stable, observed=observed, approved="within 180 s")
        return (*found, unknown)

    @staticmethod
    def _is_waiting(row: StoredDrift, held: tuple[Held, ...]) -> bool:
        """Whether the row's process has not reported since; until it does, what was seen stays true."""
        return any(one.process == row.process and one.at == row.report_at for one in held)

    def _put(self, process: Held, found: Drift, workflow: str) -> StoredDrift:
        row, is_new = put_drift(
            self.connection, process, found, space=self.space.name, workflow=workflow, at=self.deed.at
        )
        if is_new:
            self._record(EntryKind.DEPLOYMENT_DRIFT_FOUND, row)
        return row

    def _approved(self, route: Route) -> Approved:
        digests = [digest for digest in (route.stable, route.candidate) if digest is not None]
        records = [
            one
            for one in deployments_of(self.connection, WorkflowName(route.workflow), releases=digests)
            if one.space == self.space.name
        ]
        contents = {digest: found for digest in digests if (found := self._content(digest)) is not None}
        newest = {one.release: one for one in records}
        is_free = self.space.tier is Tier.SANDBOX
        return Approved(
            generation=route.generation,
            stable=route.stable,
            is_authorised=is_free or route.stable in {one.release for one in records if one.state != "waiting"},
            engine=__version__,
            parts={digest: fingerprints(content) for digest, content in contents.items()},
            engines={} if is_free else self._engines(newest),
            corpora={
                digest: state for digest, content in contents.items() if (state := self._corpus(content)) is not None
            },
            settings=None if is_free else self._settings(route, records),
        )

    def _engines(self, newest: dict[Digest, Deployment]) -> dict[Digest, str]:
        """Return the engine each release was approved with: the recorded one, or this one once a run of it was GO."""
        good = good_under(self.connection, list(newest), __version__)
        return {digest: __version__ if digest in good else one.engine for digest, one in newest.items()}

    def _settings(self, route: Route, records: list[Deployment]) -> Settings | None:
        """Return the settings of the newest record that bound some; the declared ones where none did."""
        for one in reversed(records):
            if one.space_config:
                return Settings(release=one.release, digest=one.space_config)
        newest = route.candidate or route.stable
        return None if newest is None else Settings(release=newest, digest=space_digest(self.space))

    def _content(self, digest: Digest) -> ReleaseContent | None:
        try:
            return load_release(self.connection, digest)
        except PilotageError:
            return None  # the detector of hard events speaks of releases that do not verify

    def _corpus(self, content: ReleaseContent) -> CorpusState | None:
        pin = content.corpora.get(self.space.data_stage)
        if pin is None:
            return None
        name = CorpusName(pin.name)
        generation = generation_of(self.connection, name)
        for _ in range(LOOKS):
            state = self._corpus_at(name, pin.version, generation)
            # Each statement sees what has committed by then: only an unmoved generation makes them one moment.
            before, generation = generation, generation_of(self.connection, name)
            if generation == before:
                return state
        return None

    def _corpus_at(self, name: CorpusName, number: int, generation: int | None) -> CorpusState | None:
        version = accepted_versions(self.connection, name).get(number)
        if generation is None or version is None:
            return None
        kept = version & live_revisions(self.connection, name)
        return CorpusState(
            generation=generation, root=root_of(kept), chunks=count_chunks_of(self.connection, name, kept)
        )

    def _act(self, rows: tuple[StoredDrift, ...], held: tuple[Held, ...]) -> None:
        """Take drifted processes of production out; roll back what no clean process is left for."""
        if self.space.tier is not Tier.PRODUCTION:
            return
        content = [row for row in rows if row.part.is_content]
        for row in content:
            if row.is_sure and not row.evicts:
                self._incident(row)
                evict(self.connection, row)
        sure = [row for row in content if row.is_sure]
        reporting = {one.process for one in held if not one.is_unknown}
        for workflow, release in sorted({(row.workflow, row.release) for row in sure}):
            out = {row.process for row in sure if (row.workflow, row.release) == (workflow, release)}
            if reporting and reporting <= out:
                self._roll_back(workflow, Digest(release))

    def _roll_back(self, workflow: str, release: Digest) -> None:
        route = read_route(self.connection, self.space.name, workflow)
        if release not in {route.stable, route.candidate}:
            return
        reason = f"No process of {self.space.name} holds what was approved of {release[:19]}."
        request = RollbackRequest(workflow=workflow, reason=reason, space=self.space.name, release=release, cause=CAUSE)
        take_out(self.connection, self.instance, request=request, deed=self.deed)

    def _incident(self, row: StoredDrift) -> None:
        trouble = Trouble(
            workflow=row.workflow,
            space=self.space.name,
            spaces=(self.space.name,),
            release=row.release,
            cause="drift",
            severity=Severity.SEV3,
            summary=row.reason.text,
        )
        open_incident(self.connection, self.instance, trouble, self.deed)

    def _record(self, kind: EntryKind, row: StoredDrift) -> None:
        data: dict[str, Json] = {
            "process": row.process,
            "workflow": row.workflow,
            "release": row.release,
            "part": row.part.value,
            "observed": row.observed,
            "approved": row.approved,
        }
        subject, space = f"{self.space.name}/{row.workflow}", self.space.name
        record(self.connection, kind, actor=MACHINE, at=self.deed.at, subject=subject, space=space, data=data)


def _key(row: StoredDrift) -> tuple[str, ...]:
    return (row.process, row.workflow, row.release, row.part.value)
