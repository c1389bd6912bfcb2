"""The end of a permission suite: its tally becomes verdict, evidence and, for a leak, an incident entry."""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.control.evaluation_finish import ACTOR, write_end
from pilotage.control.instance import Instance
from pilotage.control.sealed_golden import Plan
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evaluation.conclude import Conclusion
from pilotage.evaluation.permissions import Leak, Tally, report, verdict_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_entries import append


def finish_permissions(instance: Instance, plan: Plan, tally: Tally) -> Conclusion:
    """Write the end of a permission run."""
    found = conclude_permissions(plan, tally)
    with instance.engine.begin() as connection:
        write_end(instance, connection, plan, found, {})
        if tally.leaks:
            _open_incident(instance, connection, plan, tally)
    return found


def conclude_permissions(plan: Plan, tally: Tally) -> Conclusion:
    """Return verdict, report and claims. A difference counts as a leak: something hidden had an effect."""
    verdict, texts = verdict_of(tally)
    reasons = tuple(Reason(code=f"PERMISSIONS_{verdict.upper()}", text=text) for text in texts)
    body = report(tally, plan.run.as_of)
    scored, unscored = tally.probes - len(tally.errors), len(tally.errors)
    leaks = len(tally.leaks) + len(tally.differences)
    return Conclusion(
        verdict=verdict,
        body={**body, "verdict": verdict, "reasons": [reason.as_json() for reason in reasons]},
        claims={
            "scored": float(scored),
            "unscored": float(unscored),
            "leaks": float(leaks),
            "critical_failures": float(leaks + len(tally.withheld)),
        },
        summary=f"{leaks} leaks over {tally.probes:,} probes by {len(tally.clusters):,} kinds of pair",
        scored=scored,
        unscored=unscored,
        reasons=reasons,
        regressions=tuple(_reason(one) for one in (*tally.leaks, *tally.differences, *tally.withheld)),
    )


def _reason(one: Leak) -> Reason:
    text = f"{one.surface}: {one.persona or 'somebody'} and {one.document or 'a hidden document'}"
    return Reason(code="PERMISSION_LEAK", text=text, where=one.probe or one.document)


def _open_incident(instance: Instance, connection: Connection, plan: Plan, tally: Tally) -> None:
    now = instance.clock.now()
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.INCIDENT_OPENED,
        at=now,
        actor=ACTOR,
        subject=plan.run.id,
        space=plan.run.space or "",
        data={
            "cause": "permission_suite",
            "leaks": len(tally.leaks),
            "release": plan.run.release,
            "severity": "SEV1",
        },
    )
    append(connection, entry)
