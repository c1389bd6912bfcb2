"""What the last wall caught becomes an incident that people see (serving.md 6.6).

The process that met it records it in the ledger and answers nobody; it calls no one. Each firing is made an incident
here, joined by workflow, space and release. Rule: a firing is told once; a look adds one line to an incident, however
many fired, and only a wide look adds to one that is open already: at most one a minute. What comes after an incident
was resolved opens another. Fail mode: a look that fails is repeated and finds it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed
from pilotage.core.digest import Digest
from pilotage.incident.records import Severity
from pilotage.store.hard_signs import Window
from pilotage.store.wall_firings import CAUSE, Firing, mark_told, untold_firings

ACTOR: Final = "system:permission-wall"
NAMED: Final = 5
"""How many interactions a line names; the ledger and `wall_firing` hold every one."""


def open_wall_incidents(connection: Connection, instance: Instance, window: Window, *, is_wide: bool) -> int:
    """Open or join incidents for the firings that none tells of yet; return how many firings were told."""
    firings = untold_firings(connection, window, joins=is_wide)
    together: dict[tuple[str, str, Digest], list[Firing]] = {}
    for one in firings:
        together.setdefault((one.workflow, one.space, one.release), []).append(one)
    for (workflow, space, release), fired in together.items():
        trouble = Trouble(
            workflow=workflow,
            space=space,
            spaces=(space,),
            release=release,
            cause=CAUSE,
            severity=Severity.SEV1,
            summary=(
                f"The index ranked passages for {_named(fired)} that the asker may not see. No text left."
                " Compare the index with the store before this release answers on."
            ),
        )
        told = open_incident(connection, instance, trouble, Deed(actor=ACTOR, at=instance.clock.now()))
        mark_told(connection, fired, incident=told.id)
    return len(firings)


def _named(fired: Sequence[Firing]) -> str:
    """Return the interactions in words: the first by name, the others by their number."""
    if len(fired) == 1:
        return f"interaction {fired[0].interaction}"
    names = ", ".join(one.interaction for one in fired[:NAMED])
    more = f" and {len(fired) - NAMED} more" if len(fired) > NAMED else ""
    return f"{len(fired)} interactions ({names}{more})"
