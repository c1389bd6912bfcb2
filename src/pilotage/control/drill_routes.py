"""The routing row during a drill: its arm beside what serves, and the way back whatever happened.

A full drill sends users to the release before and back; `home` is what served, `away` where they are meanwhile. Rule:
each change is a new generation, with a ledger entry where users move. Fail mode: a row that somebody else moved, or a
release that may not serve any more, is not brought back; users stay with what is authorised.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from pilotage.control.flip_traffic import is_quarantined_here
from pilotage.control.record_entry import record
from pilotage.control.rollout_moves import Deed
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.store.drills import StoredDrill
from pilotage.store.incidents import incident_freezes
from pilotage.store.releases import find_release
from pilotage.store.routes import Route, read_route, write_route


def write_drill(connection: Connection, before: Route, wish: Route, deed: Deed) -> Route:
    """Write a row for a drill; Conflict when it moved."""
    after = write_route(connection, before, wish, fence=before.fence, at=deed.at)
    if after is None:
        raise Conflict("ROUTE_MOVED", "The routing row moved while the drill ran.", hint="Run the drill again.")
    if after.stable != before.stable:
        record(
            connection,
            EntryKind.ROUTE_CHANGED,
            actor=deed.actor,
            at=deed.at,
            subject=f"{after.space}/{after.workflow}",
            space=after.space,
            data={
                "workflow": after.workflow,
                "release": after.stable,
                "withdrawn": None,
                "generation": after.generation,
                "rollout": None,
                "reason": after.reason,
            },
        )
    return after


def is_held_by(route: Route, drill: StoredDrill) -> bool:
    """Tell whether the row still carries this drill."""
    return route.drill is not None and route.drill.get("drill") == drill.id


def hand_back(connection: Connection, drill: StoredDrill, deed: Deed) -> Route:
    """Take the drill out of its row, users home with it; return the row as it is now.

    Users stay away from a release that was withdrawn meanwhile, and wherever they are when an incident freezes traffic.
    """
    before = read_route(connection, drill.space, drill.workflow, lock=True)
    if not is_held_by(before, drill) or before.drill is None:
        return before
    home, away = before.drill.get("home"), before.drill.get("away")
    stable = before.stable
    if home is not None and before.stable == away and _may_serve(connection, before, Digest(home)):
        stable = Digest(home)
    wish = replace(before, drill=None, stable=stable, reason=f"drill {drill.id} over")
    return write_drill(connection, before, wish, deed)


def _may_serve(connection: Connection, route: Route, release: Digest) -> bool:
    stored = find_release(connection, release)
    if stored is None or stored.state in {ReleaseState.REVOKED, ReleaseState.QUARANTINED}:
        return False
    is_left = is_quarantined_here(connection, route.space, route.workflow, release)
    return not is_left and not incident_freezes(connection, route.workflow)
