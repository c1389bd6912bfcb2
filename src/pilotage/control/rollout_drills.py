"""Which rollback drills a rollout stands on: one of this release in staging, one in its production space.

Rule: a drill counts while its time lasts, and for these settings of the space only. Fail mode: no drill, no rollout; a
first release has nothing to go back to, so it needs none and says so.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.reason import Reason
from pilotage.space.digest import space_digest
from pilotage.space.settings import Tier
from pilotage.store.drills import valid_drills
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route


def drill_reasons(
    connection: Connection, instance: Instance, stored: StoredRollout, *, now: datetime
) -> tuple[Reason, ...]:
    """Return what is missing; only production asks for drills, and nobody starts while a drill holds the users."""
    held = read_route(connection, stored.space, stored.workflow).drill
    if held is not None and held.get("away") is not None:
        text = f"Full drill {held['drill']} has moved the users of {stored.space}. Start when it has ended."
        return (Reason(code="DRILL_RUNNING", text=text, where=stored.space),)
    space = instance.workspace.spaces[stored.space]
    if space.tier is not Tier.PRODUCTION:
        return ()
    drills = valid_drills(connection, stored.workflow, now=now)
    found: list[Reason] = []
    tiers: dict[str, Tier] = {str(name): one.tier for name, one in instance.workspace.spaces.items()}
    if not any(one.release == stored.release and tiers.get(one.space) is Tier.STAGING for one in drills):
        text = f"No rollback drill of {stored.release} in staging is valid; run `pilotage drill rollback` there."
        found.append(Reason(code="DRILL_MISSING", text=text, where="staging", limit="30 days"))
    settings = space_digest(space)
    if not any(one.space == stored.space and one.space_digest == settings for one in drills):
        text = f"No rollback drill in {stored.space} is valid; run `pilotage drill rollback {stored.workflow}` there."
        found.append(Reason(code="DRILL_MISSING", text=text, where=stored.space, limit="90 days"))
    return tuple(found)
