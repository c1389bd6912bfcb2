"""Workflows: where is each one, what keeps it there and for how long, and who answers for it now.

Rule: gates are decided at the moment the page is made. Fail mode: a database error; a gate nobody reached has no state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotage.console.pages.spaces import chosen_space
from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.control.on_call_now import OnCall, on_call_now
from pilotage.control.view_workflows import GateStop, gates_on_the_way
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.space.settings import Tier
from pilotage.store.deployments import first_deployed
from pilotage.store.releases import StoredRelease, counts_of, newest_of
from pilotage.store.served import Served, all_served
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

MOST_ROWS: Final = 20
"""Cards on one page: the gates of each are decided for it."""

_PHASES = {
    Tier.SANDBOX: "Pilot in the sandbox",
    Tier.DEV: "In development",
    Tier.QA: "In quality assurance",
    Tier.STAGING: "In acceptance testing",
    Tier.PRODUCTION: "In production",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A space on the way to production. `route` is None where nothing of the workflow was ever served."""

    name: str
    tier: str
    route: Served | None

    @property
    def serves(self) -> bool:
        """Whether any release answers there: a row that names none serves nobody."""
        return self.route is not None and (self.route.stable is not None or self.route.candidate is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One workflow. `phase` is the furthest tier that serves it, in words, `since` when; `newest` its newest release.

    `gates` are those of the newest release, side by side where they are decided together.
    """

    workflow: Workflow
    phase: str
    since: datetime | None
    newest: StoredRelease | None
    releases: int
    places: Sequence[Place]
    gates: Sequence[Sequence[GateStop]]
    on_call: OnCall

    @property
    def waits_at(self) -> GateStop | None:
        """The first gate that is open."""
        return next((gate for side in self.gates for gate in side if gate.is_open), None)

    @property
    def live(self) -> Digest | None:
        """The release of the furthest space that serves."""
        served = [place.route for place in self.places if place.route is not None and place.route.stable is not None]
        return served[-1].stable if served else None


def show_workflows(visit: Visit) -> Page:
    """Show one card per workflow, or per workflow served in a space, so many to a page; `page`: the name before."""
    workspace, after = visit.instance.workspace, visit.query.get("page", "")
    space, ignored = chosen_space(visit)
    with visit.reading.engine.begin() as connection:
        routes = _by_workflow(all_served(connection))
        known = [name for name in sorted(workspace.workflows) if _is_in(routes.get(name, {}), space)]
        waiting = [name for name in known if name > after]
        names = waiting[:MOST_ROWS]
        newest = newest_of(connection, names)
        counts = counts_of(connection)
        first = first_deployed(connection, names)
        gates = gates_on_the_way(connection, visit.reading, list(newest.values()))
    cards = [
        _card(
            workspace,
            workspace.workflows[name],
            _Found(
                served=routes.get(name, {}),
                newest=newest.get(name),
                releases=counts.get(name, 0),
                gates=gates.get(name, ()),
                first={space: at for (workflow, space), at in first.items() if workflow == name},
            ),
            visit.now,
        )
        for name in names
    ]
    more = names[-1] if len(waiting) > len(names) else None
    values = {
        "cards": cards,
        "total": len(known),
        "more": more,
        "filter_spaces": workspace.order,
        "space": space,
        "ignored": ignored,
    }
    return Page(template="workflows.html", title="Workflows", values=values)


def _is_in(routes: Mapping[SpaceName, Served], space: SpaceName | None) -> bool:
    """Tell whether a workflow is served in a space; in None every one is."""
    if space is None:
        return True
    route = routes.get(space)
    return route is not None and (route.stable is not None or route.candidate is not None)


def _by_workflow(routes: Sequence[Served]) -> dict[WorkflowName, dict[SpaceName, Served]]:
    found: dict[WorkflowName, dict[SpaceName, Served]] = {}
    for one in routes:
        found.setdefault(one.workflow, {})[one.space] = one
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    served: Mapping[SpaceName, Served]
    newest: StoredRelease | None
    releases: int
    gates: Sequence[Sequence[GateStop]]
    first: Mapping[SpaceName, datetime]


def _card(workspace: Workspace, workflow: Workflow, found: _Found, now: datetime) -> Card:
    places = [
        Place(name=name, tier=str(workspace.spaces[name].tier), route=found.served.get(name))
        for name in workspace.order
    ]
    phase, since = _phase(workspace, [place for place in places if place.serves], found)
    return Card(
        workflow=workflow,
        phase=phase,
        since=since,
        newest=found.newest,
        releases=found.releases,
        places=places,
        gates=found.gates,
        on_call=on_call_now(workspace, workflow, now),
    )


def _phase(workspace: Workspace, serving: Sequence[Place], found: _Found) -> tuple[str, datetime | None]:
    """Return how far a workflow is, and since when: the first time that its furthest tier held a release of it."""
    if not serving:
        newest = found.newest
        return ("Sealed, not served yet", newest.sealed_at) if newest else ("Declared, not sealed yet", None)
    tier = workspace.spaces[SpaceName(serving[-1].name)].tier
    spaces = [place.name for place in serving if place.tier == str(tier)]
    reached = [at for space, at in found.first.items() if space in spaces]
    return _PHASES[tier], min(reached, default=None)
