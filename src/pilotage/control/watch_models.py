"""Whether the model behind a release is still the one that answered first after its promotion (gates.md 1.4).

The first 20 answers fix what the provider calls its model. Another name or fingerprint afterwards is
MODEL_IDENTITY_CHANGED: an open drift (watch_drift.py) that holds the release's rollouts and gates, a page, and a run of
the golden set. A run asked for after the change that ends GO makes the new identity one of the reference. Rule: facts,
ledger entries, incident and run commit together. Fail mode: a look that fails is repeated from where the last ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble
from pilotage.control.record_entry import record
from pilotage.control.rollout_moves import Deed
from pilotage.control.scheduled_runs import ask_for_run
from pilotage.control.standing_trouble import page_once
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import RunKind, RunState
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind
from pilotage.store.deployments import Deployment, deployments_of
from pilotage.store.evaluation_runs import runs_of
from pilotage.store.hard_signs import looked_until, mark_look
from pilotage.store.model_identity import (
    FIRST,
    Change,
    Identities,
    answered_since,
    first_answers,
    identities_in,
    state_identities,
)
from pilotage.store.routes import read_route
from pilotage.store.space_health import served_spaces, workflows_in

MACHINE: Final = "system:model-watch"
CAUSE: Final = "the provider's model changed"
_LOOK: Final = "models"
_MARGIN: Final = timedelta(seconds=60)


def watch_models(connection: Connection, instance: Instance) -> tuple[Change, ...]:
    """Look at every routed release once; return the changes that are new."""
    now = instance.clock.now()
    limits = instance.workspace.gateway.limits
    looked = looked_until(connection, _LOOK) or now
    since = looked - timedelta(seconds=max(limits.stream_s, limits.request_s)) - _MARGIN
    found: list[Change] = []
    for space in served_spaces(connection):
        for workflow in workflows_in(connection, space):
            watch = _Watch(connection=connection, instance=instance, since=since, deed=Deed(actor=MACHINE, at=now))
            found += watch.look(WorkflowName(workflow), space)
    mark_look(connection, _LOOK, until=now)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    connection: Connection
    instance: Instance
    since: datetime
    deed: Deed

    def look(self, workflow: WorkflowName, space: SpaceName) -> Iterator[Change]:
        """Compare what answered for each routed release with its reference."""
        known = identities_in(self.connection, workflow, space)
        for one in self._routed(workflow, space):
            before = known.get(one.id) or self._fixed(one)
            if before is None:
                continue
            after = self._judged(before)
            new = self._new(one, after, since=self.since if one.id in known else one.at)
            # A run judges it when it was asked for after this look: earlier ones reuse answers of the model before.
            after = replace(after, changes=(*after.changes, *(replace(change, at=self.deed.at) for change in new)))
            if after != before:
                state_identities(self.connection, one, after, by=MACHINE, at=self.deed.at)
            for change in new:
                self._raise(one, change)
                yield change

    def _routed(self, workflow: WorkflowName, space: SpaceName) -> tuple[Deployment, ...]:
        route = read_route(self.connection, space, workflow)
        releases = [digest for digest in (route.stable, route.candidate) if digest is not None]
        newest = {
            one.release: one
            for one in deployments_of(self.connection, workflow, releases=releases)
            if one.space == space and one.state in {"active", "waiting"}
        }
        return tuple(newest.values())

    def _fixed(self, one: Deployment) -> Identities | None:
        """Note what answered first; None while too few did."""
        first = first_answers(self.connection, one)
        if len(first) < FIRST:
            return None
        found = Identities(deployment=one.id, release=one.release, reference=frozenset(first))
        state_identities(self.connection, one, found, by=MACHINE, at=self.deed.at)
        record(
            self.connection,
            EntryKind.DEPLOYMENT_IDENTITY_FIXED,
            actor=MACHINE,
            at=self.deed.at,
            subject=one.id,
            space=one.space,
            data={"release": one.release, "identities": [str(identity) for identity in sorted(found.reference)]},
        )
        return found

    def _new(self, one: Deployment, known: Identities, *, since: datetime) -> tuple[Change, ...]:
        """Return what answered since then, and neither first nor before."""
        seen = known.reference | {change.identity for change in known.changes}
        return tuple(change for change in answered_since(self.connection, one, since) if change.identity not in seen)

    def _judged(self, before: Identities) -> Identities:
        """Return the same, where a run asked for after a change ended GO with that identity in the reference."""
        if not before.changes:
            return before
        runs = runs_of(self.connection, release=before.release, kind=RunKind.EVALUATION)
        good = [
            run.requested_at
            for run in runs
            if run.state is RunState.COMPLETED and run.verdict == Verdict.GO.value and run.voided_at is None
        ]
        judged = {change for change in before.changes if any(asked >= change.at for asked in good)}
        return replace(
            before,
            reference=before.reference | {change.identity for change in judged},
            changes=tuple(change for change in before.changes if change not in judged),
        )

    def _raise(self, one: Deployment, change: Change) -> None:
        why = ask_for_run(self.connection, self.instance, one.release, one.space)
        run = "A run of the golden set is asked for." if why is None else f"No run could be asked for: {why}"
        summary = (
            f"MODEL_IDENTITY_CHANGED: {one.release[:19]} in {one.space} is answered by {change.identity} since"
            f" interaction {change.interaction}, and was not in its first {FIRST} answers. {run} Its rollouts are held"
            f" until `pilotage evaluate {one.release[:19]} --space {one.space}` is GO."
        )
        trouble = Trouble(
            workflow=one.workflow,
            space=one.space,
            spaces=(one.space,),
            release=one.release,
            cause=CAUSE,
            severity=Severity.SEV3,
            summary=summary,
            started_at=change.at,
        )
        page_once(self.connection, self.instance, trouble, self.deed, facts={"model": str(change.identity)})
