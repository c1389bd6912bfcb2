"""Workflows: where is each one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.space.settings import Tier
from pilotage.store.releases import StoredRelease, counts_of, newest_of
from pilotage.store.served import Served, all_served
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

MOST_ROWS: Final = 50
"""Cards on one page."""

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
    """One workflow. `phase` is the furthest tier that serves it, in words; `newest` its newest release."""

    workflow: Workflow
    phase: str
    newest: StoredRelease | None
    releases: int
    places: Sequence[Place]

    @property
    def live(self) -> Digest | None:
        """The release of the furthest space that serves."""
        served = [place.route for place in self.places if place.route is not None and place.route.stable is not None]
        return served[-1].stable if served else None


def show_workflows(visit: Visit) -> Page:
    """Show one card per workflow, so many to a page; `page` is the name they begin after."""
    workspace, after = visit.instance.workspace, visit.query.get("page", "")
    waiting = [name for name in sorted(workspace.workflows) if name > after]
    names = waiting[:MOST_ROWS]
    with visit.reading.engine.connect() as connection:
        routes = _by_workflow(all_served(connection))
        newest = newest_of(connection, names)
        counts = counts_of(connection)
    cards = [
        _card(workspace, workspace.workflows[name], routes.get(name, {}), newest.get(name), counts.get(name, 0))
        for name in names
    ]
    more = names[-1] if len(waiting) > len(names) else None
    values = {"cards": cards, "total": len(workspace.workflows), "more": more}
    return Page(template="workflows.html", title="Workflows", values=values)


def _by_workflow(routes: Sequence[Served]) -> dict[WorkflowName, dict[SpaceName, Served]]:
    found: dict[WorkflowName, dict[SpaceName, Served]] = {}
    for one in routes:
        found.setdefault(one.workflow, {})[one.space] = one
    return found


def _card(
    workspace: Workspace,
    workflow: Workflow,
    served: Mapping[SpaceName, Served],
    newest: StoredRelease | None,
    releases: int,
) -> Card:
    places = [
        Place(name=name, tier=str(workspace.spaces[name].tier), route=served.get(name)) for name in workspace.order
    ]
    tiers = [workspace.spaces[SpaceName(place.name)].tier for place in places if place.serves]
    phase = _PHASES[tiers[-1]] if tiers else ("Sealed, not served yet" if newest else "Declared, not sealed yet")
    return Card(workflow=workflow, phase=phase, newest=newest, releases=releases, places=places)
