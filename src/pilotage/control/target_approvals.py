"""The warning that a rollback went back to a release whose approvals no longer hold (rollouts.md 8.2).

Rule: asked once nobody meets the withdrawn release any more, so that it delays and blocks nothing; a closed door needs
no gate. Fail mode: gates that cannot be evaluated are a warning too.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.store.rollouts import StoredRollout
from pilotage.store.routes import read_route

LOG: Final = logging.getLogger("pilotage.rollout")
CODE: Final = "TARGET_NOT_APPROVED"


def target_warnings(
    connection: Connection, instance: Instance, ports: RolloutPorts, stored: StoredRollout, deed: Deed
) -> tuple[Reason, ...]:
    """Return one warning for each space that went back to a release whose gates do not hold now."""
    found: list[Reason] = []
    for space in stored.flipped:
        target = read_route(connection, space, stored.workflow).stable
        against = target and _against(connection, instance, ports, at=(space, target), deed=deed)
        if target and against:
            text = f"{space} is back on {target[:19]}, whose approvals no longer hold: {against} Renew them."
            found.append(Reason(code=CODE, text=text, where=space, observed=target))
    return tuple(found)


def _against(
    connection: Connection,
    instance: Instance,
    ports: RolloutPorts,
    *,
    at: tuple[SpaceName, Digest],
    deed: Deed,
) -> str | None:
    """Return what no longer holds of a release in a space; None when all does."""
    space, release = at
    try:
        with connection.begin_nested():
            reasons = ports.gate(connection, instance, release=release, space=space, now=deed.at)
    except PilotageError as error:
        LOG.warning("The gates of %s in %s cannot be evaluated: %s", release, space, error.code)
        return "its gates cannot be evaluated."
    return " ".join(reason.text for reason in reasons[:3]) or None
