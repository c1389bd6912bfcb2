"""An index that could not be renewed: the older one serves on, and people are told (corpus-and-ledger.md 3.6).

Rule: a SEV3 that pages, once while its incident is open. Fail mode: a look that fails is repeated; a process that
says nothing for 180 s is the health check's matter.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.incident.records import Severity
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import list_incidents
from pilotage.store.space_health import RefusedIndex, refused_indexes

MACHINE: Final = "system:indexes"
CAUSE: Final = "index not renewed"


def watch_indexes(connection: Connection, instance: Instance) -> tuple[RefusedIndex, ...]:
    """Look at what every process reports; return what is told now."""
    told: list[RefusedIndex] = []
    for one in refused_indexes(connection):
        known = list_incidents(connection, workflow=one.workflow, only_open=True)
        if not any(found.cause == CAUSE and found.space == one.space for found in known):
            _tell(connection, instance, one)
            told.append(one)
    return tuple(told)


def _tell(connection: Connection, instance: Instance, one: RefusedIndex) -> None:
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    text = (
        f"The documents of {one.workflow} moved on and its index in {one.space} could not: {one.why} "
        "The older index serves under current permissions."
    )
    trouble = Trouble(
        workflow=one.workflow,
        space=one.space,
        spaces=(one.space,),
        release=None,
        cause=CAUSE,
        severity=Severity.SEV3,
        summary=text,
    )
    found = open_incident(connection, instance, trouble, deed)
    notice = Notice(
        title=f"{one.workflow}: {CAUSE}",
        text=text,
        links={"incident": found.id},
        facts={"workflow": one.workflow, "space": one.space},
    )
    send(connection, instance, (Notify.PAGE,), notice, at=deed.at)
