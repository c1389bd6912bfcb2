"""What scheduled evaluation runs tell people: that a release in service got worse, and that none has been run lately.

Rule: a NO-GO of a scheduled run pages, one incident per workflow and metric; anything else but GO warns the owner, and
so does a workflow with a schedule that serves and had no completed run for 8 days, once a week (evaluation.md 8). Fail
mode: the notice commits with the end of the run, or is repeated with the look.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_and_tell
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evaluation.conclude import Conclusion
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import Cause, EvaluationRun, RunKind
from pilotage.incident.records import Severity
from pilotage.rollout.transitions import Notify
from pilotage.store.evaluation_runs import last_completed, stable_release
from pilotage.store.gate_facts import last_stated, state_fact
from pilotage.store.releases import find_release

MACHINE: Final = "system:evaluation"
OVERDUE: Final = "evaluation_overdue"
CAUSE: Final = "evaluation: "
"""How the cause of an incident begins that a run opened; the metric follows."""

_AFTER: Final = timedelta(days=8)
_EVERY: Final = timedelta(days=7)


def tell_result(connection: Connection, instance: Instance, run: EvaluationRun, found: Conclusion) -> None:
    """Tell what a scheduled run found of a release that serves, in the transaction that ends the run."""
    is_told = run.cause is Cause.SCHEDULE and run.kind is RunKind.EVALUATION and run.space is not None
    if not is_told or found.verdict == Verdict.GO.value:
        return
    if found.verdict == Verdict.NO_GO.value:
        _page(connection, instance, run, found)
        return
    notice = Notice(
        title=f"{run.workflow}: the scheduled evaluation is {found.verdict or 'not concluded'}",
        text=f"{found.summary}. See `pilotage evaluate report {run.id}`.",
        links={"release": run.release},
        facts={"run": run.id},
    )
    send(connection, instance, (Notify.OWNER,), notice, at=instance.clock.now())


def tell_unreached(connection: Connection, instance: Instance, run: EvaluationRun, reason: Reason) -> None:
    """Tell the owner of a run that nobody watches and that did not reach its release."""
    if run.cause is Cause.COMMAND:
        return
    notice = Notice(
        title=f"{run.workflow}: the {run.kind.value} run of {run.release[:19]} did not reach its release",
        text=reason.text,
        links={"release": run.release},
        facts={"run": run.id},
    )
    send(connection, instance, (Notify.OWNER,), notice, at=instance.clock.now())


def _page(connection: Connection, instance: Instance, run: EvaluationRun, found: Conclusion) -> None:
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    why = found.regressions or found.reasons
    report = f"`pilotage evaluate report {run.id}`"
    metrics = dict.fromkeys(one.where or one.code for one in why) or {"verdict": None}
    for metric in metrics:
        text = next((one.text for one in why if (one.where or one.code) == metric), found.summary)
        trouble = Trouble(
            workflow=run.workflow,
            space=run.space or "",
            spaces=() if run.space is None else (run.space,),
            release=run.release,
            cause=f"{CAUSE}{metric}",
            severity=Severity.SEV3,
            summary=f"The scheduled evaluation of what serves is NO-GO: {text} See {report}.",
        )
        opened = open_and_tell(connection, instance, trouble, deed)
        if opened.is_told:
            notice = Notice(
                title=f"{run.workflow}: {metric} got worse",
                text=trouble.summary,
                links={"incident": opened.incident.id, "release": run.release},
                facts={"run": run.id, "metric": metric, "severity": str(opened.incident.severity)},
            )
            send(connection, instance, (Notify.PAGE,), notice, at=deed.at)


def watch_overdue(connection: Connection, instance: Instance) -> tuple[WorkflowName, ...]:
    """Warn the owner of each workflow whose runs do not come; return those told of now."""
    now = instance.clock.now()
    told: list[WorkflowName] = []
    for name, workflow in instance.workspace.workflows.items():
        if workflow.evaluation.schedule is None or not _serves_since(connection, instance, name, now - _AFTER):
            continue
        last, said = last_completed(connection, name), last_stated(connection, OVERDUE, name)
        if (last is not None and last > now - _AFTER) or (said is not None and said > now - _EVERY):
            continue
        state_fact(connection, OVERDUE, workflow=name, by_person=MACHINE, at=now)
        since = "never" if last is None else f"on {last:%Y-%m-%d}"
        notice = Notice(
            title=f"{name}: {OVERDUE}",
            text=f"The last evaluation run of it ended {since}. Run `pilotage evaluate`, and look at the worker.",
            facts={"workflow": name},
        )
        send(connection, instance, (Notify.OWNER,), notice, at=now)
        told.append(name)
    return tuple(told)


def _serves_since(connection: Connection, instance: Instance, workflow: WorkflowName, at: datetime) -> bool:
    """Tell whether a release that was sealed before `at` serves the workflow anywhere."""
    for space in instance.workspace.spaces:
        stable: Digest | None = stable_release(connection, SpaceName(space), workflow)
        stored = None if stable is None else find_release(connection, stable)
        if stored is not None and stored.sealed_at < at:
            return True
    return False
