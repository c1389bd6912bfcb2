"""Close interactions that a crash left open: what reached the asker is unknown, and is said to be (serving.md 7.2).

A stream is open between its opening record and its final one. Whatever is open for longer than the longest stream has
lost its process. Fail mode: what cannot be closed now is closed by the next run; nothing is closed twice.
"""

from __future__ import annotations

from datetime import timedelta

from pilotage.control.instance import Instance
from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.interactions import close_as_unknown, open_interactions
from pilotage.store.ledger_entries import append

ACTOR = "system:interaction-reconciler"
_MARGIN_S = 60.0


def close_lost_interactions(instance: Instance) -> int:
    """Close what is open for too long, one transaction each; return how many were closed."""
    now = instance.clock.now()
    longest = instance.workspace.gateway.limits.stream_s + _MARGIN_S
    with instance.engine.connect() as connection:
        lost = open_interactions(connection, before=now - timedelta(seconds=longest))
    closed = 0
    for interaction in lost:
        with instance.engine.begin() as connection:
            if not close_as_unknown(connection, interaction.id, at=now):
                continue
            entry = encode_entry(
                id=new_ulid(now),
                kind=EntryKind.INTERACTION_CLOSED,
                at=now,
                actor=ACTOR,
                subject=interaction.id,
                space=interaction.space,
                data={"outcome": "lost", "state": "delivery_unknown", "workflow": interaction.workflow},
            )
            append(connection, entry)
            closed += 1
    return closed
