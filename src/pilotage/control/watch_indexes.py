"""An index that could not be renewed: the older one serves on, and people are told (corpus-and-ledger.md 3.6).

Rule: a SEV3 that pages, once while its incident is open. Fail mode: a look that fails is repeated; a process that
says nothing for 180 s is the health check's matter.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble
from pilotage.control.rollout_moves import Deed
from pilotage.control.standing_trouble import page_once
from pilotage.incident.records import Severity
from pilotage.store.space_health import RefusedIndex, refused_indexes

MACHINE: Final = "system:indexes"
CAUSE: Final = "index not renewed"


def watch_indexes(connection: Connection, instance: Instance) -> tuple[RefusedIndex, ...]:
    """Look at what every process reports; return what is told now."""
    return tuple(one for one in refused_indexes(connection) if _tell(connection, instance, one))


def _tell(connection: Connection, instance: Instance, one: RefusedIndex) -> bool:
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
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    return page_once(connection, instance, trouble, deed, facts={"space": one.space})
