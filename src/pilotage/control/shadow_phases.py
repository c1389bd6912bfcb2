"""The phases before a rollout's first user: replay, then shadow, each with its own verdict (rollouts.md 9).

Every sampled request is known from its record; five of a principal and day count, in ledger order, and one whose pair
does not come within five minutes is lost. Rule: a phase is over when its time is, every record was read and nothing is
waited for; a NO_GO ends it at once. Fail mode: records that lag keep it open; without pairs it is INCONCLUSIVE.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.analysis.limits import Context
from pilotage.analysis.pairs import judge_pairs
from pilotage.analysis.verdict import Code, Judgement, Subject, Verdict
from pilotage.control.count_observations import MOST_LAG_S
from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed, reasons_json, record_entry
from pilotage.control.rollout_traffic import written
from pilotage.control.rollout_verdict import analysis_alphas
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of_json
from pilotage.core.readers import nano_units
from pilotage.core.reason import Reason
from pilotage.evaluation.pair_scorer import SupportScorer
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.assignment import PPM
from pilotage.rollout.pairing import PAIRS_PER_DAY, Label, phase_to_begin
from pilotage.rollout.transitions import Notify
from pilotage.store.observation_rows import RecordRow, lag_seconds, last_number, read_rows
from pilotage.store.rollout_verdicts import add_verdict
from pilotage.store.rollouts import StoredRollout, save_rollout
from pilotage.store.routes import read_route
from pilotage.store.runs import request_run
from pilotage.store.shadow_pairs import (
    Expected,
    PairTally,
    StoredPhase,
    add_phase,
    cost_of,
    count_pairs,
    counted_by_day,
    expect_pairs,
    results_of,
    save_phase,
    stored_phases,
)

REPLAY_KIND: Final = "rollout_replay"
SETTLE: Final = timedelta(minutes=5)
"""How long a pair may take from its record to its result; a process gives it up after one minute."""

_EARLIER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phases:
    connection: Connection
    instance: Instance
    stored: StoredRollout
    deed: Deed

    def begin(self, label: Label) -> None:
        """Begin a phase: its row, the routing row, and its entry."""
        stored, shadow = self.stored, self.stored.plan.shadow
        route = read_route(self.connection, stored.space, stored.workflow, lock=True)
        if route.stable is None:
            return
        phase = StoredPhase(
            rollout=stored.id,
            label=label,
            workflow=stored.workflow,
            space=stored.space,
            release=stored.release,
            stable=route.stable,
            scorer=SupportScorer().version,
            sample_ppm=round(PPM * shadow.sample),
            cap_nano=cap_of(self.instance, stored),
            started_at=self.deed.at,
            cursor=last_number(self.connection),
        )
        add_phase(self.connection, phase)
        self.sample(phase.sample_ppm if label is Label.SHADOW else 0)
        self.enter(EntryKind.ROLLOUT_PHASE_STARTED, phase, {"sample_ppm": phase.sample_ppm, "cap_nano": phase.cap_nano})
        if label is Label.REPLAY:
            request_run(self.connection, kind=REPLAY_KIND, key=stored.id, due_at=self.deed.at)

    def sample(self, ppm: int) -> None:
        """Let the processes sample so much of the traffic."""
        before = read_route(self.connection, self.stored.space, self.stored.workflow, lock=True)
        if before.shadow == self.stored.release and before.shadow_ppm == ppm:
            return
        reason = f"rollout {self.stored.id} shadows {ppm} ppm"
        wish = replace(before, shadow=self.stored.release, shadow_ppm=ppm, reason=reason)
        written(self.connection, before, wish, self.stored, self.deed)

    def enter(self, kind: EntryKind, phase: StoredPhase, data: dict[str, Json]) -> None:
        """Write an entry about a phase."""
        named: dict[str, Json] = {
            "label": phase.label.value,
            "workflow": phase.workflow,
            "release": phase.release,
            "stable": phase.stable,
            "scorer": phase.scorer,
        }
        record_entry(self.connection, self.stored, kind, self.deed, data={**named, **data})

    def advance(self, phase: StoredPhase) -> StoredRollout:
        """Read on, judge, and end the phase when it is over."""
        scorer = SupportScorer().version
        if phase.scorer != scorer:
            phase = replace(phase, scorer=scorer, started_at=self.deed.at)
            self.enter(EntryKind.ROLLOUT_PHASE_STARTED, phase, {"sample_ppm": phase.sample_ppm})
        phase, is_read = self._read_on(phase)
        save_phase(self.connection, phase)
        tally = count_pairs(self.connection, phase, self.deed.at)
        verdict = judge_phase(self.stored, phase, tally)
        if verdict.outcome is Judgement.NO_GO or (is_read and self._is_over(phase, tally)):
            return self._end(phase, tally, verdict)
        return self.stored

    def _read_on(self, phase: StoredPhase) -> tuple[StoredPhase, bool]:
        """Expect the pairs of the records that are new; tell whether every record there is was read."""
        if phase.label is not Label.SHADOW:
            return phase, True
        since = phase.started_at - _EARLIER
        rows, upto = read_rows(self.connection, phase.space, phase.workflow, after=phase.cursor, since=since)
        sampled = [row for row in rows if _is_sampled(row, phase)]
        expect_pairs(self.connection, phase, self._within_cap(phase, sampled), due=self.deed.at + SETTLE)
        is_read = upto >= last_number(self.connection) and lag_seconds(self.connection) <= MOST_LAG_S
        return replace(phase, cursor=upto), is_read

    def _within_cap(self, phase: StoredPhase, sampled: list[RecordRow]) -> list[Expected]:
        """Return the requests that are among the first five of their principal and day, in ledger order."""
        taken = counted_by_day(self.connection, phase, {row.principal for row in sampled})
        found: list[Expected] = []
        for row in sampled:
            key = (row.principal, row.at.date())
            taken[key] += 1
            if taken[key] <= PAIRS_PER_DAY:
                found.append(Expected(interaction=row.id, principal=row.principal, day=row.at.date()))
        return found

    def _is_over(self, phase: StoredPhase, tally: PairTally) -> bool:
        """Tell whether nothing more is to come; sampling stops when the phase's time is over."""
        if phase.label is Label.REPLAY:
            return phase.listed_at is not None and tally.waiting == 0
        ends = phase.started_at + timedelta(seconds=self.stored.plan.shadow.duration_s)
        if self.deed.at >= ends:
            self.sample(0)
        return self.deed.at >= ends + SETTLE and tally.waiting == 0

    def _end(self, phase: StoredPhase, tally: PairTally, verdict: Verdict) -> StoredRollout:
        """Keep the verdict, stop sampling, and say it where it is not GO."""
        self.sample(0)
        add_verdict(
            self.connection, self.stored.id, verdict, place=self.stored.place, at=self.deed.at, is_decision=True
        )
        save_phase(
            self.connection,
            replace(phase, ended_at=self.deed.at, outcome=verdict.outcome, verdict=verdict.digest),
        )
        data: dict[str, Json] = {
            "outcome": verdict.outcome.value,
            "verdict": verdict.digest,
            "pairs": tally.counters.every.n,
            "worse": tally.counters.worse,
            "better": tally.counters.better,
            "lost": tally.counters.lost,
            "skipped": tally.skipped,
            "cost_nano": cost_of(self.connection, phase),
            "results": digest_of_json(dict(results_of(self.connection, phase))),
            "reasons": reasons_json(verdict.reasons),
        }
        self.enter(EntryKind.ROLLOUT_PHASE_ENDED, phase, data)
        after = replace(self.stored, why=verdict.reasons)
        save_rollout(self.connection, after)
        if verdict.outcome is not Judgement.GO:
            self._tell(phase, verdict)
        return after

    def _tell(self, phase: StoredPhase, verdict: Verdict) -> None:
        why = " ".join(reason.text for reason in verdict.reasons[:3])
        text = f"{phase.label.value} of {phase.release[:19]} in {phase.space} ended {verdict.outcome.value}. {why}"
        notice = Notice(
            title=f"{phase.workflow}: {phase.label.value} {verdict.outcome.value.replace('_', ' ')}",
            text=text,
            links={"rollout": self.stored.id},
            facts={"workflow": phase.workflow, "space": phase.space, "release": phase.release},
        )
        send(self.connection, self.instance, (Notify.OWNER, Notify.ON_CALL), notice, at=self.deed.at)


def _is_sampled(row: RecordRow, phase: StoredPhase) -> bool:
    return row.kind == "user" and row.release == phase.stable and row.detail.get("shadowed_for") == phase.rollout


def advance_phases(connection: Connection, instance: Instance, stored: StoredRollout, deed: Deed) -> StoredRollout:
    """Move the phases of a shadowing rollout on; return the rollout with why it waits."""
    phases = _Phases(connection=connection, instance=instance, stored=stored, deed=deed)
    known = stored_phases(connection, stored.id)
    running = next((phase for phase in known if phase.ended_at is None), None)
    if running is not None:
        return phases.advance(running)
    label = phase_to_begin(stored.plan, {phase.label: phase.outcome for phase in known})
    if label is not None:
        phases.begin(label)
    return stored


def sample_again(connection: Connection, instance: Instance, stored: StoredRollout, deed: Deed, *, zero: bool) -> None:
    """Stop the sampling of a paused rollout, or take it up again."""
    phases = _Phases(connection=connection, instance=instance, stored=stored, deed=deed)
    for phase in stored_phases(connection, stored.id):
        if phase.ended_at is None and phase.label is Label.SHADOW:
            phases.sample(0 if zero else phase.sample_ppm)


def judge_phase(stored: StoredRollout, phase: StoredPhase, tally: PairTally) -> Verdict:
    """Return the verdict over a phase's pairs. Whether the gate holds is asked by the start itself, at its moment."""
    subject = Subject(
        plan=stored.plan_digest,
        release=phase.release,
        space=phase.space,
        step=phase.label.value,
        ledger_from=0,
        ledger_to=max(phase.cursor, 0),
    )
    context = Context(
        subject=subject, bake_over=True, gate_holds=True, attempt=stored.attempt, blockers=_capped(phase, tally)
    )
    return judge_pairs(tally.counters, analysis_alphas(stored.plan.alpha), context)


def _capped(phase: StoredPhase, tally: PairTally) -> tuple[Reason, ...]:
    if not tally.skipped:
        return ()
    text = (
        f"{tally.skipped:,} sampled requests were not asked: the day's cost of {(phase.cap_nano or 0) / 1e9:g} was"
        " reached. Raise shadow.max_cost_per_day, or lower shadow.sample."
    )
    return (Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, observed=f"{tally.skipped:,}"),)


def cap_of(instance: Instance, stored: StoredRollout) -> int | None:
    """Return what the candidate's answers may cost on one day: the lower of the plan's and the workflow's limit."""
    workflow = instance.workspace.workflows.get(stored.workflow)
    budget = None if workflow is None else workflow.budgets.shadow_day_nano
    declared = stored.plan.shadow.max_cost_per_day
    limits: list[Any] = [budget, None if declared is None else nano_units(declared)]
    return min((limit for limit in limits if limit is not None), default=None)
