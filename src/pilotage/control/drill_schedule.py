"""Drills on schedule: what is repeated when, and what was let slip (rollouts.md 10, 11).

A person drills a production space first; from then on the machine repeats the drill two weeks before it runs out. One
that ran out, or failed, leaves the workflow without proof: a SEV3 to its owner, and no rollout starts there. Rule: a
drill of the machine moves no user. Fail mode: a drill that fails is tried again after a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.drill_finish import MACHINE, OVERDUE
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble
from pilotage.control.rollout_moves import Deed
from pilotage.control.standing_trouble import open_once
from pilotage.incident.records import Severity
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.drills import LastDrill, StoredDrill, drills_in, last_drills
from pilotage.store.routes import Route, read_route

EARLY: Final = timedelta(days=14)
AGAIN: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillDue:
    """A drill to repeat now."""

    workflow: str
    space: str


def look_at_drills(connection: Connection, instance: Instance) -> tuple[DrillDue, ...]:
    """Return the drills to repeat now, and open an incident for each that is overdue.

    Settings that changed ask for a drill; they are told of only when that one fails.
    """
    now = instance.clock.now()
    due: list[DrillDue] = []
    for space in instance.workspace.spaces.values():
        if space.tier is not Tier.PRODUCTION:
            continue
        for workflow in instance.workspace.workflows:
            route = read_route(connection, space.name, workflow)
            found = drills_in(connection, workflow, space.name, kind="rollback")
            if route.stable is None or not found:
                continue
            is_asked = is_due(found, space, now)
            if is_asked:
                due.append(DrillDue(workflow=workflow, space=space.name))
            if is_overdue(found, space, now) and (not is_asked or _ran_out(found, now)):
                _tell(connection, instance, route, found[0], now)
    return tuple(due)


def next_drill(connection: Connection) -> tuple[LastDrill, datetime] | None:
    """Return what the machine drills next, at the latest; None where no person has drilled yet."""
    found = [
        (one, max((one.until or one.started_at) - EARLY, one.started_at + AGAIN)) for one in last_drills(connection)
    ]
    return min(found, key=lambda pair: pair[1], default=None)


def is_due(found: tuple[StoredDrill, ...], space: Space, now: datetime) -> bool:
    """Tell whether a drill is to be repeated; `found` are those of a workflow in its space, newest first."""
    newest = found[0]
    if newest.state == "running" or newest.started_at > now - AGAIN:
        return False
    return not any(_counts(one, space, now + EARLY) for one in found)


def is_overdue(found: tuple[StoredDrill, ...], space: Space, now: datetime) -> bool:
    """Tell whether no drill counts any more, where one was held."""
    return found[0].state != "running" and not any(_counts(one, space, now) for one in found)


def _ran_out(found: tuple[StoredDrill, ...], now: datetime) -> bool:
    """Tell whether the last that passed is too old, not only held under other settings than now."""
    until = next((one.valid_until for one in found if one.state == "passed"), None)
    return until is not None and until <= now


def _counts(one: StoredDrill, space: Space, at: datetime) -> bool:
    is_valid = one.state == "passed" and one.valid_until is not None and one.valid_until > at
    return is_valid and one.space_digest == space_digest(space)


def _tell(connection: Connection, instance: Instance, route: Route, last: StoredDrill, now: datetime) -> None:
    """Open the incident once; it stays one while it is open."""
    text = (
        f"No rollback drill of {route.workflow} in {route.space} counts; the last one began {last.started_at:%Y-%m-%d}"
        f" and {last.state}. Run `pilotage drill rollback {route.workflow} --space {route.space}`."
    )
    trouble = Trouble(
        workflow=route.workflow,
        space=route.space,
        spaces=(route.space,),
        release=route.stable,
        cause=OVERDUE,
        severity=Severity.SEV3,
        summary=text,
    )
    open_once(connection, instance, trouble, Deed(actor=MACHINE, at=now))
