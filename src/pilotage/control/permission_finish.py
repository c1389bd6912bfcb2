"""The end of a permission suite: its tally becomes verdict, evidence and, for a leak, an incident."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.evaluation_finish import ACTOR, write_end
from pilotage.control.fail_evaluation import fail_evaluation, failed_before
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.control.sealed_golden import Plan
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.evaluation.conclude import Conclusion
from pilotage.evaluation.permissions import Leak, Tally, report, verdict_of
from pilotage.evaluation.run import EvaluationRun
from pilotage.evaluation.unreached import unreached_reason
from pilotage.incident.records import Severity
from pilotage.space.settings import Tier
from pilotage.store.routes import read_route

CAUSE: Final = "permission leak"


def finish_permissions(instance: Instance, plan: Plan, tally: Tally) -> Conclusion:
    """Write the end of a permission run."""
    found = conclude_permissions(plan, tally)
    with instance.engine.begin() as connection:
        unreached = unreached_reason(
            plan.run.id,
            found.verdict,
            failures=tally.errors,
            asked=tally.probes,
            failed_before=failed_before(connection, plan.run.id),
            is_whole=True,
        )
        if unreached is not None:
            fail_evaluation(instance, connection, plan.run, unreached)
            return found
        write_end(instance, connection, plan, found, {})
        if tally.leaks:
            _open_incident(instance, connection, plan, tally)
    return found


def conclude_permissions(plan: Plan, tally: Tally) -> Conclusion:
    """Return verdict, report and claims. A difference counts as a leak: something hidden had an effect."""
    verdict, texts = verdict_of(tally)
    reasons = tuple(Reason(code=f"PERMISSIONS_{verdict.upper()}", text=text) for text in texts)
    body = report(tally, plan.run.as_of)
    leaks = len(tally.leaks) + len(tally.differences)
    return Conclusion(
        verdict=verdict,
        body={**body, "verdict": verdict, "reasons": [reason.as_json() for reason in reasons]},
        claims={
            "scored": float(tally.scored),
            "unscored": float(tally.failed),
            "leaks": float(leaks),
            "critical_failures": float(leaks + len(tally.withheld)),
        },
        summary=f"{leaks} leaks over {tally.probes:,} probes by {len(tally.clusters):,} kinds of pair",
        scored=tally.scored,
        unscored=tally.failed,
        reasons=reasons,
        regressions=tuple(_reason(one) for one in (*tally.leaks, *tally.differences, *tally.withheld)),
    )


def _reason(one: Leak) -> Reason:
    text = f"{one.surface}: {one.persona or 'somebody'} and {one.document or 'a hidden document'}"
    return Reason(code="PERMISSION_LEAK", text=text, where=one.probe or one.document)


def _open_incident(instance: Instance, connection: Connection, plan: Plan, tally: Tally) -> None:
    """Open it where the release serves: a leak there is a breach; found before anybody was served, it is none."""
    run, places = plan.run, _served(connection, instance, plan.run)
    is_breach = any(instance.workspace.spaces[name].tier is Tier.PRODUCTION for name in places)
    surfaces = ", ".join(sorted({leak.surface for leak in tally.leaks}))
    trouble = Trouble(
        workflow=run.workflow,
        space=run.space or "",
        spaces=places,
        release=run.release,
        cause=CAUSE,
        severity=Severity.SEV1 if is_breach else Severity.SEV3,
        summary=(
            f"The permission suite found {len(tally.leaks)} leaks in {run.release[:19]} ({surfaces})."
            f" See `pilotage evaluate report {run.id}`."
        ),
    )
    open_incident(connection, instance, trouble, Deed(actor=ACTOR, at=instance.clock.now()))


def _served(connection: Connection, instance: Instance, run: EvaluationRun) -> tuple[SpaceName, ...]:
    return tuple(
        name
        for name in instance.workspace.spaces
        if run.release in {(route := read_route(connection, name, run.workflow)).stable, route.candidate}
    )
