"""Workflows: where is each one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.core.digest import Digest
from pilotage.space.settings import Tier
from pilotage.store.releases import StoredRelease, releases_of
from pilotage.store.served import Served, all_served
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

_PHASES = {
    Tier.SANDBOX: "Pilot in the sandbox",
    Tier.DEV: "In development",
    Tier.QA: "In quality assurance",
    Tier.STAGING: "In acceptance testing",
    Tier.PRODUCTION: "In production",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A space on the way to production. `route` is None where nothing of the workflow is served."""

    name: str
    tier: str
    route: Served | None


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
    """Show one card per workflow."""
    workspace = visit.instance.workspace
    with visit.reading.engine.connect() as connection:
        routes = all_served(connection)
        releases = releases_of(connection)
    cards = [_card(workspace, workflow, routes, releases) for _, workflow in sorted(workspace.workflows.items())]
    return Page(template="workflows.html", title="Workflows", values={"cards": cards})


def _card(
    workspace: Workspace, workflow: Workflow, routes: Sequence[Served], releases: Sequence[StoredRelease]
) -> Card:
    own = [release for release in releases if release.workflow == workflow.name]
    served = {route.space: route for route in routes if route.workflow == workflow.name}
    places = [
        Place(name=name, tier=str(workspace.spaces[name].tier), route=served.get(name)) for name in workspace.order
    ]
    tiers = [workspace.spaces[name].tier for name in workspace.order if name in served]
    phase = _PHASES[tiers[-1]] if tiers else ("Sealed, not served yet" if own else "Declared, not sealed yet")
    return Card(workflow=workflow, phase=phase, newest=own[0] if own else None, releases=len(own), places=places)
