"""Profile: how do pages look for me? The zone of times, shortcuts and the look; and which roles I hold.

Rule: it changes no right. The look is kept by the browser, the rest by the account, wherever it signs in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.change_profile import change_profile
from pilotage.core.reason import Refusal
from pilotage.core.zones import zone_names

_REGIONS: Final = (
    *("Africa", "America", "Antarctica", "Arctic", "Asia"),
    *("Atlantic", "Australia", "Europe", "Indian", "Pacific"),
)


def show_profile(visit: Visit) -> Page:
    """Show what the person chose, and everything there is to choose from."""
    kept = {"zone": visit.settings.zone or "", "shortcuts": "on" if visit.settings.shortcuts else ""}
    chosen = {name: visit.typed(name) for name in kept} if visit.form else kept
    offered = zones_by_region()
    listed = {one for zones in offered.values() for one in zones}
    values = {
        "chosen": chosen,
        "workspace_zone": visit.instance.workspace.timezone,
        "regions": offered,
        "other": [one for one in dict.fromkeys(("UTC", kept["zone"])) if one and one not in listed],
    }
    return Page(template="profile.html", title="Profile", values=values)


def choose(visit: Visit) -> Reply | Refusal:
    """Keep what the form says: an empty zone is the workspace's, an unticked box switches shortcuts off."""
    done = change_profile(
        visit.instance, actor=visit.actor, zone=visit.typed("zone"), shortcuts=visit.typed("shortcuts") == "on"
    )
    return done if isinstance(done, Refusal) else Redirect(to="/profile")


@cache
def zones_by_region() -> Mapping[str, Sequence[str]]:
    """Return the zones that are named by a city, in each part of the world."""
    return {region: sorted(one for one in zone_names() if one.startswith(f"{region}/")) for region in _REGIONS}
