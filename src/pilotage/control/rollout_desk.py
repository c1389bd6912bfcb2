"""How a person's command meets a rollout: found, locked, and with a token that overtakes the reconciler's.

Rule: one transaction per command; a command that is not legal in this state changes nothing. Fail mode: NotFound for an
unknown id, a Refusal for everything that may not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed, Move, move_rollout, person_deed
from pilotage.control.typed_text import checked_text
from pilotage.core.errors import NotFound
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.rollout.transitions import Actor
from pilotage.store.rollouts import StoredRollout, find_rollout, overtake


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One command under way: the locked rollout, the open transaction, and whose deed it is."""

    connection: Connection
    instance: Instance
    rollout: StoredRollout
    deed: Deed

    @property
    def tier(self) -> str:
        """The tier of the space it stands in, for permissions."""
        space = self.instance.workspace.spaces.get(self.rollout.space)
        return "production" if space is None else space.tier.value

    def move(self, move: Move) -> StoredRollout | Refusal:
        """Move the rollout."""
        return move_rollout(self.connection, self.instance, self.rollout, move, self.deed)


def find_named(connection: Connection, identifier: str) -> StoredRollout:
    """Return a rollout; raise NotFound for an id that names none."""
    found = find_rollout(connection, identifier)
    if found is None:
        message = f"There is no rollout {identifier!r}."
        raise NotFound("ROLLOUT_UNKNOWN", message, hint="See `pilotage rollout status`.")
    return found


@contextmanager
def at_desk(
    instance: Instance, identifier: str, actor: Principal, *, kind: Actor = Actor.PERSON, note: str = ""
) -> Iterator[Desk]:
    """Give the command its desk inside one transaction; an exception rolls it back."""
    checked_text(note, "note")
    with instance.engine.begin() as connection:
        find_named(connection, identifier)
        now = instance.clock.now()
        overtake(connection, identifier)
        locked = find_rollout(connection, identifier, lock=True)
        if locked is None:
            message = f"Rollout {identifier} is gone."
            raise NotFound("ROLLOUT_UNKNOWN", message)
        deed = person_deed(connection, actor, at=now, kind=kind, note=note)
        yield Desk(connection=connection, instance=instance, rollout=locked, deed=deed)


Permission = Callable[[Principal, str], Refusal | None]
"""`permission(actor, tier)`: None when the actor may."""
