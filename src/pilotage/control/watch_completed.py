"""Late regressions of a release whose rollout completed: counted and judged while it serves (rollouts.md 6.4).

An alarm is a trip like any other: the release leaves that space for the last one that may serve there, with incident,
freeze and quarantine. Rule: sums, verdict and rollback are one transaction, and a record counts once, by its number.
Fail mode: sums that do not read fail the look, which is tried again for ever and pages; a rollback that is refused is
asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.analysis.judge import judge_late
from pilotage.analysis.limits import Context
from pilotage.analysis.verdict import Effect, Subject, Verdict
from pilotage.control.begin_watch import RUN_KIND, begin_watch
from pilotage.control.flip_traffic import home_of
from pilotage.control.instance import Instance
from pilotage.control.recorded_requests import (
    COUNTED,
    caps_of,
    is_answer,
    latency_limits,
    latency_ms,
    pinned_in,
    ungrounded,
)
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import machine_deed
from pilotage.control.rollout_verdict import analysis_alphas, analysis_limits
from pilotage.core.reason import Refusal
from pilotage.rollout.assignment import Arm
from pilotage.rollout.late_watch import LateSums, grown, late_counters, watch
from pilotage.rollout.machine import Place
from pilotage.rollout.observation import Observation, is_observation
from pilotage.store.observation_rows import RecordRow, read_rows
from pilotage.store.release_watches import (
    LEFT,
    REGRESSION,
    ReleaseWatch,
    open_watches,
    put_watch,
    unwatched,
    watches_of,
)
from pilotage.store.rollout_verdicts import add_verdict
from pilotage.store.rollouts import StoredRollout, find_rollout, waves_of
from pilotage.store.routes import Route, read_route, served_before
from pilotage.store.runs import RunState, find_run, request_run
from pilotage.workspace.plan import Step

LOG: Final = logging.getLogger("pilotage.rollout")
EVERY: Final = timedelta(seconds=1)
STEP: Final = "completed"
_HOUR: Final = timedelta(hours=1)


def watch_completed(connection: Connection, instance: Instance, rollout: str) -> bool:
    """Look at every space of a rollout that completed; tell whether any is still watched."""
    stored = find_rollout(connection, rollout)
    if stored is None:
        return False
    open_ones = [one for one in watches_of(connection, rollout, lock=True) if one.ended_at is None]
    looked = [_Look(connection=connection, instance=instance, stored=stored, watch=one).run() for one in open_ones]
    return any(looked)


def watch_unwatched(connection: Connection, instance: Instance) -> None:
    """Begin with what completed under an older version or serves again, and ask for every look that is not due."""
    now = instance.clock.now()
    for rollout, number in unwatched(connection):
        stored = find_rollout(connection, rollout)
        if stored is not None:
            begin_watch(connection, stored, waves_of(connection, rollout)[number], at=now, anew=True)
    for rollout in open_watches(connection):
        run = find_run(connection, RUN_KIND, rollout)
        if run is None or run.state is not RunState.DUE:
            request_run(connection, kind=RUN_KIND, key=rollout, due_at=now)


def late_verdict(stored: StoredRollout, found: ReleaseWatch) -> Verdict:
    """Return the verdict over what was counted since completion; raise ValueError for sums that do not read."""
    step = _step(stored, found)
    context = Context(
        subject=Subject(
            plan=stored.plan_digest,
            release=found.release,
            space=found.space,
            step=STEP,
            ledger_from=found.counted_from,
            ledger_to=max(found.cursor, 0),
        ),
        attempt=stored.attempt,
        requests_per_year=found.per_year,
    )
    counters = late_counters(LateSums.read(found.sums))
    return judge_late(counters, analysis_limits(step.limits), analysis_alphas(stored.plan.alpha), context)


def _step(stored: StoredRollout, found: ReleaseWatch) -> Step:
    return stored.plan.waves[found.wave].steps[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at one space."""

    connection: Connection
    instance: Instance
    stored: StoredRollout
    watch: ReleaseWatch

    def run(self) -> bool:
        """Count what is new and act on it; tell whether the release is watched on."""
        now, found = self.instance.clock.now(), self.watch
        route = read_route(self.connection, found.space, found.workflow)
        if found.release not in {route.stable, home_of(route)}:
            put_watch(self.connection, replace(found, ended_at=now, ended_why=LEFT))
            return False
        rows, upto = read_rows(
            self.connection, found.space, found.workflow, after=found.cursor, since=found.since - _HOUR
        )
        counted = replace(self._counted(rows, route) if rows else found, cursor=upto)
        verdict = late_verdict(self.stored, counted)
        if verdict.effect is Effect.ROLLBACK:
            return self._take_back(counted, verdict, now)
        if upto != found.cursor:
            put_watch(self.connection, counted)
        return True

    def _counted(self, rows: tuple[RecordRow, ...], route: Route) -> ReleaseWatch:
        sums, step = LateSums.read(self.watch.sums), _step(self.stored, self.watch)
        batch = tuple(self._observations(rows, route))
        watch(sums, batch, caps=caps_of(self.stored.plan), limits=latency_limits(step))
        return replace(self.watch, sums=sums.as_json(), per_year=grown(sums, self.watch.per_year))

    def _observations(self, rows: tuple[RecordRow, ...], route: Route) -> Iterator[Observation]:
        """Yield what users met of the release, and records whose release nobody knows, which count as lost."""
        pinned = pinned_in(self.connection, route)
        others = {route.candidate, route.stable, route.shadow, home_of(route)}
        others |= set(served_before(self.connection, self.watch.space, self.watch.workflow))
        for row in rows:
            if row.kind != "user" or row.principal in pinned or not row.arm or not is_observation(row.outcome):
                continue
            is_ours = row.release == self.watch.release
            if not is_ours and row.release is not None and row.release in others:
                continue
            hours = max(0, (row.at - self.watch.since) // _HOUR)
            yield Observation(
                seq=row.seq,
                step=STEP,
                day=hours // 24,
                hour=hours % 24,
                arm=Arm(row.arm) if row.arm in COUNTED else Arm.STABLE,
                principal=row.principal,
                outcome=row.outcome,
                latency_ms=latency_ms(row),
                ungrounded=ungrounded(row),
                is_answer=is_answer(row),
                is_cached=row.detail.get("cached") is True,
                is_known=is_ours and row.arm in COUNTED and isinstance(row.detail.get("generation"), int),
            )

    def _take_back(self, counted: ReleaseWatch, verdict: Verdict, now: datetime) -> bool:
        deed = machine_deed(now)
        request = RollbackRequest(
            workflow=counted.workflow,
            reason=verdict.reasons[0].text,
            space=counted.space,
            release=counted.release,
            cause="statistical trip",
            verdict=verdict,
        )
        done = take_out(self.connection, self.instance, request=request, deed=deed)
        if isinstance(done, Refusal):
            LOG.error("Release %s regressed in %s and stays: %s", counted.release, counted.space, done.reasons[0].text)
            put_watch(self.connection, counted)
            return True
        place = Place(wave=counted.wave, step=len(self.stored.plan.waves[counted.wave].steps) - 1)
        add_verdict(self.connection, self.stored.id, verdict, place=place, at=now, is_decision=True)
        carried = next((one.id for one in done if counted.space in one.flipped), None)
        put_watch(self.connection, replace(counted, ended_at=now, ended_why=REGRESSION, rollback=carried))
        return False
