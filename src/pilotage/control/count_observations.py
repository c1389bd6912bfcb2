"""Counting what the records say of a wave: new records in, running sums out, in the caller's transaction.

Only user traffic of eligible principals counts, by the arm and step it was admitted in; pinned testers stay outside.
Rule: the cursor moves with the sums, so a record counts once whatever dies in between. Fail mode: records that lag, or
sums that do not read, are blockers, which make the verdict INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.analysis.counters import Counters, Metric
from pilotage.control.instance import Instance
from pilotage.control.recorded_requests import (
    COUNTED,
    caps_of,
    is_answer,
    ladder_of,
    latency_ms,
    pinned_in,
    ungrounded,
)
from pilotage.control.rollout_ports import Observed
from pilotage.control.rollout_verdict import planned_requests
from pilotage.core.reason import Reason
from pilotage.rollout import course
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import Ladder
from pilotage.rollout.observation import LatencyLimits, Observation, is_observation
from pilotage.rollout.plan_form import read_plan
from pilotage.rollout.tally import (
    Totals,
    advance_cusums,
    counters,
    fold,
    note_look,
    note_records,
    rated_count,
    standing_alarms,
    unrecorded,
    without_sums,
)
from pilotage.store.excuses import Excuse, excused_of
from pilotage.store.observation_rows import (
    RecordRow,
    carry_over,
    earlier_attempt,
    keep_books,
    lag_seconds,
    last_number,
    ratings_of,
    read_books,
    read_rows,
)
from pilotage.store.rollout_course import add_course
from pilotage.store.rollouts import StoredRollout, StoredStep, StoredWave, save_wave, steps_of
from pilotage.store.routes import admissions_of, database_time, read_route
from pilotage.workspace.plan import Plan, Step

MOST_LAG_S: Final = 10.0
_HOUR = timedelta(hours=1)
_UNNAMED: Final = frozenset({Metric.SLOW.value, Metric.STALLED.value})
"""Sums by latencies as older versions named them, whichever limits the steps had."""


def count_observations(
    connection: Connection, _instance: Instance, rollout: StoredRollout, wave: StoredWave, now: datetime
) -> Observed:
    """Count what is new in a wave and return its totals (`control.rollout_ports.Observations`)."""
    steps = tuple(step for step in steps_of(connection, rollout.id) if step.wave == wave.number)
    if not steps:
        return Observed(counters=Counters())
    try:
        opened = _opened(connection, rollout, wave)
        excused = excused_of(connection, rollout.id, wave.number)
        return Counting(connection=connection, rollout=rollout, wave=opened, steps=steps, excused=excused).run(now)
    except ValueError as error:
        reason = Reason(code="internal_error", text=f"The sums of {wave.space} do not read: {error}", where=wave.space)
        return Observed(counters=Counters(), blockers=(reason,), is_readable=False)


def _opened(connection: Connection, rollout: StoredRollout, wave: StoredWave) -> StoredWave:
    """Begin counting at the ledger's end, with the sums of an earlier attempt of the same release."""
    if wave.counted_from is not None:
        return wave
    totals = _carried(connection, rollout, wave)
    last = last_number(connection)
    own = {"looks": [], "zeroed": [], **wave.totals}  # not taken over: they are of this attempt's requests
    return replace(wave, cursor=last, counted_from=last + 1, totals={**totals, **own})


def _carried(connection: Connection, rollout: StoredRollout, wave: StoredWave) -> dict[str, Any]:
    """Take over what an earlier attempt counted, but for latencies that it judged by other limits."""
    earlier = earlier_attempt(
        connection, rollout=rollout.id, workflow=rollout.workflow, space=wave.space, release=rollout.release
    )
    if earlier is None:
        return {}
    judged, ladder = ladder_at(read_plan(earlier.plan), earlier.wave), ladder_at(rollout.plan, wave.number)
    is_same = _latencies(judged) == _latencies(ladder)
    dropped = frozenset[str]() if is_same else judged.latency_names() | _UNNAMED
    carry_over(connection, earlier, rollout=rollout.id, wave=wave.number, without=dropped)
    kept = without_sums(earlier.totals, dropped)
    return {**kept, "cusums": standing_alarms(kept["cusums"], ladder)}


def ladder_at(plan: Plan, wave: int, step: int = 0) -> Ladder:
    """Return the limits that the steps of a space judge by; it stands in `step`."""
    steps = plan.waves[wave].steps
    return ladder_of(steps, steps[step])


def _latencies(ladder: Ladder) -> set[LatencyLimits]:
    return {one.latency for one in ladder.every}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """The counting of one space of a rollout. `excused`: windows that count for neither arm."""

    connection: Connection
    rollout: StoredRollout
    wave: StoredWave
    steps: tuple[StoredStep, ...]
    excused: tuple[Excuse, ...] = ()

    def run(self, now: datetime) -> Observed:
        """Read on, fold, keep, and return the totals."""
        totals = Totals.read(self.wave.totals)
        totals.cusums |= standing_alarms(totals.cusums, self._ladder())
        since = self.steps[0].started_at - _HOUR
        rows, upto = read_rows(
            self.connection, self.wave.space, self.rollout.workflow, after=self.wave.cursor, since=since
        )
        routed = admissions_of(self.connection, self.wave.space, self.rollout.workflow, self.rollout.release)
        clock = database_time(self.connection).timestamp()
        self._fold(totals, rows)
        if upto >= last_number(self.connection):  # a look that is behind the ledger would miss what is only unread
            note_look(totals, at=now.timestamp(), clock=clock, admitted=routed.admitted)
        ratings = self._ratings(since)
        sums = {release: (sum(n for n, _ in each), sum(x for _, x in each)) for release, each in ratings.items()}
        save_wave(self.connection, replace(self.wave, cursor=upto, totals=totals.as_json(), ratings=sums))
        return Observed(
            counters=self._counters(totals, ratings, clock),
            ledger_from=self.wave.counted_from or 0,
            ledger_to=max(upto, 0),
            blockers=self._blockers(now),
            excused=tuple(one.id for one in self.excused),
        )

    def _fold(self, totals: Totals, rows: tuple[RecordRow, ...]) -> None:
        known = self.observations(rows)
        batch = [seen for _, seen in known]
        if not batch:
            return
        note_records(totals, [row.at.timestamp() for row, seen in known if seen.arm is Arm.CANDIDATE])
        ladder, caps = self._ladder(), caps_of(self.rollout.plan)
        names = list(dict.fromkeys(seen.principal for seen in batch))
        books = read_books(self.connection, self.rollout.id, self.wave.number, names)
        planned = planned_requests(self.rollout, self.wave.number)
        advance_cusums(totals, books, batch, caps=caps, ladder=ladder, planned_requests=planned)
        fold(totals, books, batch, caps=caps, ladder=ladder)
        keep_books(self.connection, self.rollout.id, self.wave.number, {name: books[name] for name in names})
        length = course.slot_length(self.rollout.plan.waves[self.wave.number])
        timed = [(row.at, seen) for row, seen in known]
        add_course(self.connection, self.rollout.id, self.wave.number, course.count(timed, length, ladder.now.latency))

    def observations(self, rows: tuple[RecordRow, ...]) -> list[tuple[RecordRow, Observation]]:
        """Return the records that say something of this rollout, with what they say."""
        pinned = pinned_in(self.connection, read_route(self.connection, self.wave.space, self.rollout.workflow))
        return [(row, seen) for row in rows if (seen := self._observation(row, pinned)) is not None]

    def _observation(self, row: RecordRow, pinned: frozenset[str]) -> Observation | None:
        """Return what a record says, None when it says nothing of this rollout.

        No record of a routed request is dropped because it cannot be true: it counts as lost, where it says it was,
        else with the candidate in the newest step.
        """
        if row.kind != "user" or row.principal in pinned or not row.arm or not is_observation(row.outcome):
            return None
        is_placed = isinstance(row.detail.get("generation"), int)
        began = self._admitted(row) if is_placed else self.steps[-1]
        if began is None:  # it was admitted before the rollout came here
            return None
        arm = Arm(row.arm) if row.arm in COUNTED else Arm.CANDIDATE
        if arm is Arm.STABLE and ((is_placed and self._is_zeroed(row)) or not _may_meet(self._step(began).cohort, row)):
            return None
        expected = self.rollout.release if arm is Arm.CANDIDATE else self.wave.stable
        hours = max(0, (row.at - began.started_at) // _HOUR)
        return Observation(
            seq=row.seq,
            step=step_key(self.rollout, began),
            day=hours // 24,
            hour=hours % 24,
            arm=arm,
            principal=row.principal,
            outcome=row.outcome,
            latency_ms=latency_ms(row),
            ungrounded=ungrounded(row),
            is_answer=is_answer(row),
            is_cached=row.detail.get("cached") is True,
            is_known=is_placed and row.arm in COUNTED and row.release == expected,
            is_excused=any(one.holds(row.at) for one in self.excused),
        )

    def _admitted(self, row: RecordRow) -> StoredStep | None:
        """Return the step whose routing row the request was admitted with."""
        generation = row.detail.get("generation")
        if not isinstance(generation, int):
            return None
        return next((step for step in reversed(self.steps) if generation >= step.generation), None)

    def _is_zeroed(self, row: RecordRow) -> bool:
        """Tell whether the request was admitted at weight 0, where stable says nothing of the router's fraction."""
        generation = row.detail["generation"]
        spans = self.wave.totals.get("zeroed", ())
        return any(first <= generation and (after is None or generation < after) for first, after in spans)

    def _ladder(self) -> Ladder:
        return ladder_at(self.rollout.plan, self.wave.number, self.steps[-1].step)

    def _step(self, began: StoredStep) -> Step:
        return self.rollout.plan.waves[began.wave].steps[began.step]

    def _ratings(self, since: datetime) -> Mapping[str, tuple[tuple[int, int], ...]]:
        releases = [self.rollout.release, *([] if self.wave.stable is None else [self.wave.stable])]
        without = [(one.from_at, one.to_at) for one in self.excused]
        return ratings_of(
            self.connection,
            self.wave.space,
            self.rollout.workflow,
            releases=releases,
            since=since,
            without=without,
        )

    def _counters(self, totals: Totals, ratings: Mapping[str, tuple[tuple[int, int], ...]], clock: float) -> Counters:
        fractions = {step_key(self.rollout, step): step.fraction_ppm for step in self.steps}
        rated = ratings.get(self.rollout.release, ())
        return counters(
            totals,
            ladder=self._ladder(),
            step=step_key(self.rollout, self.steps[-1]),
            fractions=fractions,
            admitted=totals.recorded + unrecorded(totals, clock=clock),
            feedback=rated_count(rated, caps_of(self.rollout.plan)),
        )

    def _blockers(self, _now: datetime) -> tuple[Reason, ...]:
        lag = lag_seconds(self.connection)
        if lag <= MOST_LAG_S:
            return ()
        text = f"A record has waited {lag:.1f} s for its number in the ledger; counts are behind."
        return (Reason(code="record_lag", text=text, observed=f"{lag:.1f} s", limit=f"{MOST_LAG_S:g} s"),)


def _may_meet(cohort: tuple[str, ...], row: RecordRow) -> bool:
    return not cohort or not frozenset(cohort).isdisjoint(row.groups or ())


def step_key(rollout: StoredRollout, step: StoredStep) -> str:
    """Return the name of a step in the sums; a later attempt's steps have names of their own."""
    return f"{rollout.attempt}.{step.step}"
