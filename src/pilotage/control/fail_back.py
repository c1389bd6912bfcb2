"""`pilotage space fail-back`: a person brings the askers of a space home before the 15 minutes are over.

Rule: the space must be healthy now; who may roll back may fail back. Twice: the second finds it done. Fail mode: a
Refusal, nothing changed.
"""

from __future__ import annotations

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import person_deed
from pilotage.control.watch_spaces import Moved, move_askers
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.space.health import HealthState
from pilotage.store.space_health import StoredHealth, read_health


def fail_back(instance: Instance, *, actor: Principal, space: str) -> StoredHealth | Refusal:
    """Bring the askers home, or say why they stay with the partner."""
    refusal = may(actor.roles, Action.ROLL_BACK)
    if refusal is not None:
        return refusal
    name = SpaceName(space)
    if name not in instance.workspace.spaces:
        known = ", ".join(sorted(instance.workspace.spaces))
        raise NotFound("SPACE_UNKNOWN", f"There is no space {space!r}.", hint=f"Declared: {known}.")
    with instance.engine.begin() as connection:
        found = read_health(connection, name, lock=True)
        is_known = found is not None and found.is_fresh and not found.is_blind
        if found is None or not is_known or found.state is not HealthState.HEALTHY:
            state = found.state.value if found is not None and is_known else "unknown"
            text = f"{name} is {state}, so nobody is sent back to it. See `pilotage space status`."
            return Refusal(reasons=(Reason(code="SPACE_UNHEALTHY", text=text, where=name, observed=state),))
        deed = person_deed(connection, actor, at=instance.clock.now())
        return move_askers(connection, instance, found, Moved(down=False), deed)
