"""Takes a run from wherever it stands to its end: the use case behind `evaluate`, `suite`, `resume` and the jobs.

Rule: one process drives a run at a time; being stopped leaves it `running` with everything answered so far, and
resuming is the same attempt. Fail mode: a run whose release cannot be opened has failed; Conflict when another process
drives it; a run of another state is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Final, assert_never

from sqlalchemy import Connection

from pilotage.control.driven_run import Driven
from pilotage.control.evaluation_drive import Driver, Means, Scoring, Watch
from pilotage.control.evaluation_finish import finish_cases
from pilotage.control.evaluation_scoring import make_scoring
from pilotage.control.fail_evaluation import fail_unopened
from pilotage.control.fairness_finish import SCORERS as FAIRNESS
from pilotage.control.instance import Instance
from pilotage.control.kept_cases import kept_of
from pilotage.control.open_candidate import CandidateUnopened
from pilotage.control.permission_finish import finish_permissions
from pilotage.control.permission_suite import run_permission_suite
from pilotage.control.redteam_suite import RedTeamScoring, stage_attacks
from pilotage.control.sealed_golden import Plan, plan_of, sealed_golden
from pilotage.core.errors import Conflict, NotFound, PilotageError
from pilotage.evaluation.run import EvaluationRun, Progress, RunKind, RunState
from pilotage.evaluation.target import Targets
from pilotage.store.evaluation_lock import drive_lock
from pilotage.store.evaluation_runs import find_run, move_run
from pilotage.store.evaluation_tasks import ask_unanswered, progress_of

_ENDED: Final = (RunState.COMPLETED, RunState.OVER_BUDGET, RunState.FAILED)
_MAY_RUN: Final = (RunState.QUEUED, RunState.RUNNING, RunState.CANCELLED, RunState.FAILED)


def run_named(instance: Instance, identifier: str) -> EvaluationRun:
    """Return a run; raise NotFound with what to do."""
    with instance.engine.connect() as connection:
        return _found(connection, identifier)


def _found(connection: Connection, identifier: str, *, lock: bool = False) -> EvaluationRun:
    found = find_run(connection, identifier, lock=lock)
    if found is None:
        raise NotFound("RUN_UNKNOWN", f"There is no evaluation run {identifier!r}.", hint="See `evaluate status`.")
    return found


async def drive_run(
    instance: Instance, identifier: str, targets: Targets, watch: Watch, *, scoring: Scoring | None = None
) -> Driven:
    """Run what is left of a run, and finish it when nothing is. `scoring` None takes the release's own scorers."""
    with drive_lock(instance.engine, identifier) as held:
        if not held:
            message = f"Another process drives the run {identifier}."
            raise Conflict("RUN_BUSY", message, hint=f"Watch it: pilotage evaluate status {identifier}.")
        plan = await asyncio.to_thread(_begin, instance, identifier)
        try:
            progress = await _alone(_go(instance, plan, targets, watch, scoring))
        except CandidateUnopened as unopened:
            progress = await asyncio.to_thread(_unopened, instance, plan, unopened)
    run = run_named(instance, identifier)
    is_interrupted = watch.stop.is_set() and run.state not in _ENDED
    if is_interrupted and watch.by_person:
        # Whoever stopped it goes on with it; a job must not do so behind their back.
        with instance.engine.begin() as connection:
            move_run(
                connection,
                identifier,
                RunState.CANCELLED,
                expected=(RunState.RUNNING,),
                at=instance.clock.now(),
                note="Interrupted; it can be resumed.",
            )
        run = run_named(instance, identifier)
    return Driven(run=run, progress=progress, is_interrupted=is_interrupted)


async def _go(instance: Instance, plan: Plan, targets: Targets, watch: Watch, scoring: Scoring | None) -> Progress:
    match plan.run.kind:
        case RunKind.PERMISSIONS:
            return await _permissions(instance, plan, targets, watch)
        case RunKind.EVALUATION | RunKind.FAIRNESS | RunKind.REDTEAM:
            return await _cases(instance, plan, _means(instance, plan, targets, scoring), watch)
        case _:
            assert_never(plan.run.kind)


async def _alone(going: Awaitable[Progress]) -> Progress:
    """Wait for it; of errors that come together from its tasks, the first of ours is raised."""
    try:
        return await going
    except BaseExceptionGroup as group:
        ours = group.subgroup(PilotageError)
        if ours is None:
            raise
        why: BaseException = ours
        while isinstance(why, BaseExceptionGroup):
            why = why.exceptions[0]
        raise why from group


def _unopened(instance: Instance, plan: Plan, why: CandidateUnopened) -> Progress:
    fail_unopened(instance, plan.run, why)
    with instance.engine.connect() as connection:
        return progress_of(connection, plan.run.id)


def _means(instance: Instance, plan: Plan, targets: Targets, scoring: Scoring | None) -> Means:
    match plan.run.kind:
        case RunKind.REDTEAM:
            stage = stage_attacks(instance, plan)
            return Means(
                targets=targets,
                scoring=scoring or RedTeamScoring(stage=stage),
                overlay=stage.overlay,
                stage=stage.ask,
                may_reuse=False,
            )
        case RunKind.FAIRNESS:
            return Means(targets=targets, scoring=scoring or make_scoring(replace(plan.settings, scorers=FAIRNESS)))
        case RunKind.EVALUATION | RunKind.PERMISSIONS:
            return Means(targets=targets, scoring=scoring or make_scoring(plan.settings))
    assert_never(plan.run.kind)


async def _permissions(instance: Instance, plan: Plan, targets: Targets, watch: Watch) -> Progress:
    tally = await run_permission_suite(instance, plan, targets, watch)
    if tally is None:
        return Progress(done=0, total=1)
    await asyncio.to_thread(finish_permissions, instance, plan, tally)
    return Progress(done=tally.probes, total=tally.probes, errors=tally.failed, answers=tally.scored)


async def _cases(instance: Instance, plan: Plan, means: Means, watch: Watch) -> Progress:
    progress = await Driver(instance, plan, means, watch).run()
    if progress.done == progress.total:
        await asyncio.to_thread(finish_cases, instance, plan, means.scoring, progress)
    return progress


def _begin(instance: Instance, identifier: str) -> Plan:
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        found = _found(connection, identifier, lock=True)
        if not move_run(connection, identifier, RunState.RUNNING, expected=_MAY_RUN, at=now):
            message = f"The run {identifier} is {found.state.value}; only one that is not over can run."
            raise Conflict("RUN_OVER", message, hint=f"See it: pilotage evaluate report {identifier}.")
        if found.state is RunState.FAILED:
            ask_unanswered(connection, identifier, due_at=now)
        run = _found(connection, identifier)
        golden = sealed_golden(connection, run.release)
        return plan_of(golden, run, kept_of(connection, golden, run))
