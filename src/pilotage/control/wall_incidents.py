"""What the last wall caught becomes an incident that people see (serving.md 6.6).

The process that met it records it in the ledger and answers nobody; it calls no one. Each firing is made an incident
here, joined by workflow, space and release, and its line names the interaction. Rule: a firing is told once, and again
after its incident was resolved only when it fires again. Fail mode: a look that fails is repeated and finds it again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.incident.records import Severity
from pilotage.store.hard_signs import Window
from pilotage.store.wall_firings import CAUSE, untold_firings

ACTOR: Final = "system:permission-wall"


def open_wall_incidents(connection: Connection, instance: Instance, window: Window) -> int:
    """Open or join an incident for each firing that no incident names yet; return how many there were."""
    firings = untold_firings(connection, window)
    for one in firings:
        trouble = Trouble(
            workflow=one.workflow,
            space=one.space,
            spaces=(one.space,),
            release=one.release,
            cause=CAUSE,
            severity=Severity.SEV1,
            summary=(
                f"The index ranked passages for interaction {one.interaction} that its asker may not see. No text left."
                " Compare the index with the store before this release answers on."
            ),
        )
        open_incident(connection, instance, trouble, Deed(actor=ACTOR, at=instance.clock.now()))
    return len(firings)
