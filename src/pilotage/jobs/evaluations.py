"""Evaluation runs as jobs: queued runs are driven, the weekly run starts on time, a sealed release gets its first run.

Rule: whoever drives a run holds its lock, so a run that a person watches is left to them; a run whose driver died is
picked up here. Fail mode: a run that was cancelled or is over is left alone; a missed week runs once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pilotage.control.driven_run import Driven
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.instance import Instance
from pilotage.control.run_evaluation import run_named
from pilotage.control.scheduled_runs import ask_uncapped, serving, tell_why
from pilotage.core.errors import Conflict
from pilotage.core.ids import WorkflowName
from pilotage.corpus.cadence import next_due, parse_cadence
from pilotage.evaluation.run import Cause, RunKind, RunState
from pilotage.jobs.lease import Lease
from pilotage.release.seal import ReleaseState
from pilotage.store.evaluation_runs import runs_of
from pilotage.store.releases import head_of
from pilotage.store.runs import Again, Done, Outcome, Run, find_run, request_run

WEEKLY: Final = "evaluation_weekly"
ON_SEAL: Final = "evaluation_on_seal"
_LOOK_EVERY: Final = timedelta(minutes=10)
"""Equal triggers within this time become one run."""

_AGAIN: Final = timedelta(minutes=1)

Drive = Callable[[Instance, str], Driven]
"""Takes a run as far as it goes in this process."""


class DriveEvaluation:
    """Drives one queued run."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive

    def __call__(self, instance: Instance, lease: Lease) -> Outcome:
        """Drive it, or look again in a minute while another process does."""
        if run_named(instance, lease.run.key).state not in {RunState.QUEUED, RunState.RUNNING}:
            return Done()
        try:
            driven = self._drive(instance, lease.run.key)
        except Conflict:  # another process drives it, or it ended meanwhile
            return Again(at=instance.clock.now() + _AGAIN)
        return Again(at=instance.clock.now() + _AGAIN) if driven.is_interrupted else Done()


def schedule_evaluations(instance: Instance) -> None:
    """Ask for the recurring runs of every workflow that declares a schedule; asking again changes nothing."""
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        for workflow in instance.workspace.workflows.values():
            due = _next(instance, workflow.name)
            if due is None:
                continue
            if find_run(connection, WEEKLY, workflow.name) is None:
                request_run(connection, kind=WEEKLY, key=workflow.name, due_at=due.at)
            if find_run(connection, ON_SEAL, workflow.name) is None:
                request_run(connection, kind=ON_SEAL, key=workflow.name, due_at=now + _LOOK_EVERY)


def _next(instance: Instance, workflow: str) -> Again | None:
    declared = instance.workspace.workflows.get(WorkflowName(workflow))
    if declared is None or declared.evaluation.schedule is None:
        return None
    zone = ZoneInfo(instance.workspace.timezone)
    due = next_due(parse_cadence(declared.evaluation.schedule), last=instance.clock.now(), zone=zone)
    return None if due is None else Again(at=due)


def evaluate_weekly(instance: Instance, connection: Connection, run: Run) -> Outcome:
    """Evaluate every release that serves the workflow anywhere; one that cannot be is told to the owner."""
    for release, space in serving(connection, instance, WorkflowName(run.key)).items():
        why = ask_uncapped(connection, instance, release, space)
        if why is not None:
            title = f"{run.key}: there is no scheduled evaluation run of what serves in {space}"
            text = f"{why} Run `pilotage evaluate {release[:19]} --space {space}` once that is mended."
            tell_why(connection, instance, release, title=title, text=text)
    return _next(instance, run.key) or Done()


def evaluate_sealed(instance: Instance, connection: Connection, run: Run) -> Outcome:
    """Evaluate the newest sealed release of the workflow, when nobody has yet."""
    head = head_of(connection, WorkflowName(run.key))
    if head is not None and head.state is ReleaseState.SEALED:
        is_known = runs_of(connection, release=head.digest, kind=RunKind.EVALUATION, limit=1)
        if not is_known:
            start_evaluation(instance, actor=None, request=EvaluationRequest(release=head.digest, cause=Cause.SEAL))
    if _next(instance, run.key) is None:
        return Done()
    return Again(at=instance.clock.now() + _LOOK_EVERY)
