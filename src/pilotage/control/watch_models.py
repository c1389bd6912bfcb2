"""Whether the model behind a release is still the one that answered first after its promotion (gates.md 1.4).

The first 20 answers in a space fix what the provider calls its model. Another name or fingerprint afterwards is
MODEL_IDENTITY_CHANGED: an open drift (watch_drift.py) that holds the release's rollouts and gates, a page, and a run of
the golden set. A gating run there that began after the change, was answered by the new identity and ends GO makes it
one of the reference. Rule: rows, ledger entries, incident and run commit together. Fail mode: a look that fails is
repeated from where the last ended, and what nobody looked at for 180 s is unknown (watch_drift.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.record_entry import record
from pilotage.control.rollout_moves import Deed
from pilotage.control.scheduled_runs import ask_for_run
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.evaluation.answering_model import finding_of
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import EvaluationRun, RunKind
from pilotage.incident.records import Severity
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.transitions import Notify
from pilotage.store.evaluation_runs import runs_of
from pilotage.store.model_identity import (
    FIRST,
    Answered,
    Change,
    Identities,
    answered_in,
    answered_now,
    identities_of,
    open_identities,
    put_identities,
)

MACHINE: Final = "system:model-watch"
CAUSE: Final = "the provider's model changed"


def watch_models(connection: Connection, instance: Instance) -> tuple[Change, ...]:
    """Look once at what answered since the look before; return the changes that are new."""
    watch = _Watch(connection=connection, instance=instance, deed=Deed(actor=MACHINE, at=instance.clock.now()))
    for known in open_identities(connection):
        watch.judge(known)
    found: list[Change] = []
    for place, answers in answered_now(connection, watch.deed.at):
        found += watch.compare(identities_of(connection, place), answers)
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    connection: Connection
    instance: Instance
    deed: Deed

    def compare(self, before: Identities, answers: tuple[Answered, ...]) -> tuple[Change, ...]:
        """Count the first answers of a place, and find what answered later and not among them."""
        known, changes = set(before.reference), list[Change]()
        counted = before.answers
        for answer in answers:
            seen = known | {change.identity for change in (*before.changes, *changes)}
            if counted < FIRST:
                known.add(answer.identity)
                counted += 1
            elif answer.identity not in seen:
                changes.append(Change(at=self.deed.at, interaction=answer.interaction, identity=answer.identity))
        after = replace(before, answers=counted, reference=frozenset(known), changes=(*before.changes, *changes))
        if after != before:
            put_identities(self.connection, after)
        if before.answers < FIRST <= counted:
            said: list[Json] = [str(identity) for identity in sorted(known)]
            self._record(EntryKind.DEPLOYMENT_IDENTITY_FIXED, after, {"identities": said})
        for change in changes:
            self._raise(after, change)
        return tuple(changes)

    def judge(self, before: Identities) -> None:
        """Take what a run judged since into the reference."""
        runs = list(runs_of(self.connection, release=before.place.release, kind=RunKind.EVALUATION))
        judged = {change: run for change in before.changes if (run := self._good(before, change, runs)) is not None}
        if not judged:
            return
        after = replace(
            before,
            reference=before.reference | {change.identity for change in judged},
            changes=tuple(change for change in before.changes if change not in judged),
        )
        put_identities(self.connection, after)
        for change, run in judged.items():
            data: dict[str, Json] = {"identity": str(change.identity), "run": run.id}
            self._record(EntryKind.DEPLOYMENT_IDENTITY_ACCEPTED, after, data)

    def _good(self, before: Identities, change: Change, runs: list[EvaluationRun]) -> EvaluationRun | None:
        """Return a GO that can speak of what answers now: begun since, and answered by that model."""
        for run in runs:
            is_later = run.started_at is not None and run.started_at >= change.at
            is_good = run.counts and is_later and run.space == before.place.space and run.verdict == Verdict.GO.value
            if is_good and change.identity in answered_in(self.connection, run.id):
                return run
        return None

    def _raise(self, found: Identities, change: Change) -> None:
        place, short = found.place, found.place.release[:19]
        data: dict[str, Json] = {"identity": str(change.identity), "interaction": change.interaction}
        self._record(EntryKind.DEPLOYMENT_IDENTITY_CHANGED, found, data)
        why = ask_for_run(self.connection, self.instance, place.release, place.space)
        run = "A run of the golden set is asked for." if why is None else f"No run could be asked for: {why}"
        summary = (
            f"MODEL_IDENTITY_CHANGED: {short} in {place.space} is answered by {change.identity} since interaction"
            f" {change.interaction}, and was not in its first {FIRST} answers. {run} Its rollouts are held, and so are"
            f" those under way that compare with it, until `pilotage evaluate {short} --space {place.space}` is GO and"
            f" answered by {change.identity}; --repeat 25 asks more often where that model answers rarely. Where no run"
            f" meets it, risk-management may accept the finding `{finding_of(change.identity)}` at a gate into"
            f" {place.space}, of severity medium or more: `pilotage gate accept-risk {short} --gate NAME --file FILE`."
        )
        trouble = Trouble(
            workflow=place.workflow,
            space=place.space,
            spaces=(place.space,),
            release=place.release,
            cause=CAUSE,
            severity=Severity.SEV3,
            summary=summary,
        )
        incident = open_incident(self.connection, self.instance, trouble, self.deed)
        notice = Notice(
            title=f"{place.workflow}: {CAUSE}",
            text=summary,
            links={"incident": incident.id, "release": place.release},
            facts={
                "workflow": place.workflow,
                "severity": str(incident.severity),
                "spaces": [place.space],
                "model": str(change.identity),
            },
        )
        send(self.connection, self.instance, (Notify.PAGE,), notice, at=self.deed.at)

    def _record(self, kind: EntryKind, found: Identities, data: dict[str, Json]) -> None:
        place = found.place
        record(
            self.connection,
            kind,
            actor=MACHINE,
            at=self.deed.at,
            subject=f"{place.space}/{place.workflow}",
            space=place.space,
            data={"release": place.release, **data},
        )
