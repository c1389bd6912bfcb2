"""The end of a run that did not reach its release: no verdict, no evidence, no attempt; whoever asked hears of it.

Fail mode: a run that is no longer `running` is left alone.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.control.evaluation_alerts import MACHINE, tell_unreached
from pilotage.control.instance import Instance
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evaluation.run import EvaluationRun, RunState
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.evaluation_runs import move_run
from pilotage.store.ledger_entries import append
from pilotage.store.ledger_said import said_about


def failed_before(connection: Connection, run: str) -> int:
    """Return how often a run has failed."""
    said = said_about(connection, [run]).get(run, ())
    ends = [one.data.get("state") for one in said if one.kind == EntryKind.EVALUATION_FINISHED]
    return ends.count(RunState.FAILED.value)


def fail_evaluation(instance: Instance, connection: Connection, run: EvaluationRun, reason: Reason) -> None:
    """End a run as failed, with its ledger entry and what is told of it."""
    now = instance.clock.now()
    if not move_run(connection, run.id, RunState.FAILED, expected=(RunState.RUNNING,), at=now, note=reason.text):
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
            "unscored": int(reason.observed or 0),
        },
    )
    append(connection, entry)
    tell_unreached(connection, instance, run, reason)
