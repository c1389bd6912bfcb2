"""The look at mitigations that an acceptance closed: one whose acceptance does not hold any more is open again.

Rule: it holds as it must to close one; what made it not hold may pass, the mitigation stays open. Only rows that are
opened are locked, and judged by what closes them then. Fail mode: one whose acceptance cannot be judged is open again.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.mitigate import held_problems
from pilotage.control.record_entry import record
from pilotage.control.send_messages import Notice, send
from pilotage.core.errors import PilotageError
from pilotage.core.reason import Reason
from pilotage.evaluation.mitigation import Mitigation
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.transitions import Notify
from pilotage.store.gate_people import acceptance_by_id
from pilotage.store.mitigations import closed_by_acceptance, find_mitigation, reopen_mitigation
from pilotage.store.releases import named_release

LOG: Final = logging.getLogger("pilotage.mitigations")
MACHINE: Final = "system:mitigations"


def reopen_mitigations(connection: Connection, instance: Instance) -> tuple[str, ...]:
    """Open again what is not accepted any more, and tell the owner; return those opened now."""
    now = instance.clock.now()
    notice_changes(connection, instance, now)
    found: list[str] = []
    for one in closed_by_acceptance(connection, now):
        try:
            with connection.begin_nested():
                problems = _problems(connection, instance, one)
        except PilotageError as error:
            LOG.warning("The acceptance that closed mitigation %s cannot be judged: %s", one.id, error.code)
            problems = (Reason(code=error.code, text=f"It cannot be judged: {error.message}", where=one.id),)
        if problems and _is_as_judged(connection, one):
            _reopen(connection, instance, one, problems[0])
            found.append(one.id)
    return tuple(found)


def _is_as_judged(connection: Connection, one: Mitigation) -> bool:
    """Lock the row, and tell whether the same still closes it."""
    held = find_mitigation(connection, one.id)
    return held is not None and held.closing == one.closing


def _problems(connection: Connection, instance: Instance, one: Mitigation) -> tuple[Reason, ...]:
    name = "" if one.closing is None else one.closing.acceptance or ""
    risk = acceptance_by_id(connection, name)
    if risk is None or risk.gate not in instance.workspace.gates:
        return (Reason(code="RISK_BLANKET", text=f"The gate of acceptance {name} is gone.", where=name),)
    chain = open_chain(connection, instance, named_release(connection, risk.release), instance.clock.now())
    return held_problems(chain, risk)


def _reopen(connection: Connection, instance: Instance, one: Mitigation, why: Reason) -> None:
    now = instance.clock.now()
    reopen_mitigation(connection, one.id, now)
    record(
        connection,
        EntryKind.EVALUATION_MITIGATION_REOPENED,
        actor=MACHINE,
        at=now,
        subject=one.id,
        data={"code": why.code, "acceptance": None if one.closing is None else one.closing.acceptance},
        opened={"reason": why.text},
    )
    notice = Notice(
        title=f"{one.workflow}: mitigation_reopened",
        text=f"{one.finding.text} The acceptance that closed its mitigation does not hold any more: {why.text}"
        f" {one.owner} is to mitigate it by {one.due}.",
        links={"release": one.release_before},
        facts={"workflow": one.workflow, "mitigation": one.id, "people": one.owner},
    )
    send(connection, instance, (Notify.OWNER,), notice, at=now)
