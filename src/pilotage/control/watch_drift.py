"""The drift detector: what serving processes hold against what was approved (gates.md 5.4).

Each look compares every process's newest report with the deployment record and the sealed bytes. A difference opens a
row; content that differs in two reports takes a process of production out of the routing, and when none is left clean
the release is rolled back. Rule: rows, ledger entries, incident and rollback commit together. Fail mode: a process that
is silent for 180 s is DRIFT_UNKNOWN, which stops increases, and never evicts or rolls back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from pilotage import __version__
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
from pilotage.monitoring.held import Approved, CorpusState, Drift, Part, drifts
from pilotage.release.content import ReleaseContent
from pilotage.release.fingerprint import fingerprints
from pilotage.retrieval.root import root_of
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.deployments import Deployment, deployments_of
from pilotage.store.drift import (
    Held,
    StoredDrift,
    close_drift,
    evict,
    held_in,
    mark_looked,
    open_drift,
    put_drift,
)
from pilotage.store.index_rows import accepted_versions, count_chunks_of, generation_of, live_revisions
from pilotage.store.releases import load_release
from pilotage.store.routes import Route, read_route
from pilotage.store.space_health import served_spaces, workflows_in

MACHINE: Final = "system:drift-watch"
CAUSE: Final = "content drift"
SEEN: Final = 2
"""Reports in which content must differ before a process is taken out: one may have been on its way."""


def watch_drift(connection: Connection, instance: Instance) -> tuple[StoredDrift, ...]:
    """Look at every routed space once; return the rows that are open now."""
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    for name in served_spaces(connection):
        space = instance.workspace.spaces.get(name)
        if space is None:
            continue
        _Look(connection=connection, instance=instance, space=space, deed=deed).run()
        mark_looked(connection, name)
    return open_drift(connection)


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
        now: dict[tuple[str, ...], StoredDrift] = {}
        for workflow in workflows_in(self.connection, self.space.name):
            route = read_route(self.connection, self.space.name, workflow)
            approved = self._approved(route)
            for process in held:
                for found in self._found(process, workflow, approved):
                    row = self._put(process, found, workflow)
                    now[_key(row)] = row
        for key, row in before.items():
            if key not in now and not self._is_waiting(row, held):
                close_drift(self.connection, row)
                self._record(EntryKind.DEPLOYMENT_DRIFT_ENDED, row)
        self._act(tuple(now.values()), held)

    @staticmethod
    def _found(process: Held, workflow: str, approved: Approved) -> tuple[Drift, ...]:
        if process.is_unknown:
            observed = "never" if process.age_s is None else f"for {process.age_s:.0f} s"
            if approved.stable is None:
                return ()
            return (Drift(part=Part.UNKNOWN, release=approved.stable, observed=observed, approved="within 180 s"),)
        report = process.holds.get(workflow)
        return () if report is None else drifts(report, approved)

    @staticmethod
    def _is_waiting(row: StoredDrift, held: tuple[Held, ...]) -> bool:
        """Whether the row's process has not reported since; until it does, what was seen stays true."""
        return any(
            one.process == row.process and one.at == row.report_at and row.part is not Part.UNKNOWN for one in held
        )

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
        settings = next((one.space_config for one in reversed(records) if one.space_config), None)
        is_free = self.space.tier is Tier.SANDBOX
        return Approved(
            generation=route.generation,
            stable=route.stable,
            is_authorised=is_free or route.stable in {one.release for one in records if one.state != "waiting"},
            engine=__version__,
            parts={digest: fingerprints(content) for digest, content in contents.items()},
            engines={} if is_free else _engines(newest),
            corpora={
                digest: state for digest, content in contents.items() if (state := self._corpus(content)) is not None
            },
            settings=None if is_free else settings or space_digest(self.space),
        )

    def _content(self, digest: Digest) -> ReleaseContent | None:
        try:
            return load_release(self.connection, digest)
        except PilotageError:
            return None  # the detector of hard events speaks of releases that do not verify

    def _corpus(self, content: ReleaseContent) -> CorpusState | None:
        pin = content.corpora.get(self.space.data_stage)
        if pin is None:
            return None
        generation = generation_of(self.connection, CorpusName(pin.name))
        version = accepted_versions(self.connection, pin.name).get(pin.version)
        if generation is None or version is None:
            return None
        kept = version & live_revisions(self.connection, pin.name)
        chunks = count_chunks_of(self.connection, pin.name, kept)
        return CorpusState(generation=generation, root=root_of(kept), chunks=chunks)

    def _act(self, rows: tuple[StoredDrift, ...], held: tuple[Held, ...]) -> None:
        """Take drifted processes of production out; roll back what no clean process is left for."""
        if self.space.tier is not Tier.PRODUCTION:
            return
        content = [row for row in rows if row.part.is_content]
        for row in content:
            self._incident(row)
            if row.seen >= SEEN and not row.evicts:
                evict(self.connection, row)
        sure = [row for row in content if row.seen >= SEEN]
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
        if row.seen > 1:
            return
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


def _engines(newest: dict[Digest, Deployment]) -> dict[Digest, str]:
    return {digest: one.engine for digest, one in newest.items()}
