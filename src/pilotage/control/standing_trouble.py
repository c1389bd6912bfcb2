"""Trouble that stands until somebody mends it: one incident of its cause in its place, told once while that is open.

Rule: whoever looks again and again calls this each time. Fail mode: a look that fails is repeated by its caller.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.rollout.transitions import Notify
from pilotage.store.incidents import StoredIncident, list_incidents


def open_once(connection: Connection, instance: Instance, trouble: Trouble, deed: Deed) -> StoredIncident | None:
    """Open the incident; None while one of this cause is open in this place."""
    known = list_incidents(connection, workflow=trouble.workflow, only_open=True)
    if any(one.cause == trouble.cause and one.space == trouble.space for one in known):
        return None
    return open_incident(connection, instance, trouble, deed)


def page_once(
    connection: Connection, instance: Instance, trouble: Trouble, deed: Deed, *, facts: Mapping[str, Json]
) -> bool:
    """Open the incident and page, which a SEV3 by itself does not; tell whether people are told now."""
    found = open_once(connection, instance, trouble, deed)
    if found is None:
        return False
    notice = Notice(
        title=f"{trouble.workflow}: {trouble.cause}",
        text=trouble.summary,
        links={"incident": found.id},
        facts={"workflow": trouble.workflow, "severity": str(found.severity), **facts},
    )
    send(connection, instance, (Notify.PAGE,), notice, at=deed.at)
    return True
