"""The end of a run that did not reach its release: no verdict, no evidence, no attempt; whoever asked hears of it.

A release that cannot be opened is not reached, nor is one whose run its job gave up. Fail mode: a run that is over is
left alone.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from pilotage.control.evaluation_alerts import MACHINE, tell_unreached
from pilotage.control.instance import Instance
from pilotage.core.errors import PilotageError
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evaluation.run import EvaluationRun, Progress, RunState
from pilotage.evaluation.unreached import UNREACHED
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.evaluation_lock import keep_others_off
from pilotage.store.evaluation_runs import GOING, given_up_runs, move_run
from pilotage.store.evaluation_tasks import progress_of
from pilotage.store.ledger_entries import append
from pilotage.store.ledger_said import said_about


def failed_before(connection: Connection, run: str) -> int:
    """Return how often a run has failed."""
    said = said_about(connection, [run]).get(run, ())
    ends = [one.data.get("state") for one in said if one.kind == EntryKind.EVALUATION_FINISHED]
    return ends.count(RunState.FAILED.value)


def fail_unopened(instance: Instance, run: EvaluationRun, why: PilotageError) -> None:
    """End a run whose release cannot be opened."""
    text = f"The release {run.release[:19]} cannot be opened ({why.code}): {why}"
    with instance.engine.begin() as connection:
        fail_evaluation(instance, connection, run, _nothing(run, text))


def end_given_up(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """End the runs that nobody drives and whose job was given up; return those ended now."""
    found = [one for one in given_up_runs(connection) if keep_others_off(connection, one.run.id)]
    for one in found:
        reason = _nothing(one.run, f"Its job was given up, which ended with: {one.why.rstrip('.')}.")
        fail_evaluation(instance, connection, one.run, reason, expected=GOING)
    return tuple(one.run.id for one in found)


def _nothing(run: EvaluationRun, why: str) -> Reason:
    text = (
        f"{why} The run says nothing of its release and is no attempt. Once that is mended, go on with it:"
        f" pilotage evaluate resume {run.id}."
    )
    return Reason(code=UNREACHED, text=text, where=run.release)


def fail_evaluation(
    instance: Instance,
    connection: Connection,
    run: EvaluationRun,
    reason: Reason,
    *,
    expected: Collection[RunState] = (RunState.RUNNING,),
) -> None:
    """End a run as failed, with its ledger entry and what is told of it."""
    now = instance.clock.now()
    if not move_run(connection, run.id, RunState.FAILED, expected=expected, at=now, note=reason.text):
        return
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.EVALUATION_FINISHED,
        at=now,
        actor=MACHINE,
        subject=run.id,
        space=run.space or "",
        data={
            "suite": run.kind.value,
            "workflow": run.workflow,
            "release": run.release,
            "golden": run.golden_digest,
            "verdict": None,
            "state": RunState.FAILED.value,
            "unscored": int(reason.observed or _unanswered(progress_of(connection, run.id))),
        },
    )
    append(connection, entry)
    tell_unreached(connection, instance, run, reason)


def _unanswered(progress: Progress) -> int:
    return progress.total - progress.done + progress.errors
