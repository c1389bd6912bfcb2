"""Incidents: what now? Open and closed ones, filtered by the address, fifty at a time.

Fail mode: a value of the address that names nothing is ignored, and the page says so.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from pilotage.console.pages.sorting import Sorting, sorting_of
from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.control.view_incidents import MOST_COUNTED, view_incidents
from pilotage.incident.records import UNRESOLVED, IncidentState, Severity
from pilotage.store.incidents import IncidentFilter, IncidentOrder

NOT_OVER: Final = "unresolved"
"""The word of the address for every state before `resolved`."""


ORDERS: Final = {
    IncidentOrder.NEWEST.value: "newest first",
    IncidentOrder.OLDEST.value: "oldest first",
    IncidentOrder.WORST.value: "the worst first",
    IncidentOrder.MILDEST.value: "the mildest first",
}


def show_incidents(visit: Visit) -> Page:
    """Show a page of incidents, newest first."""
    asked = {name: visit.query.get(name, "") for name in ("state", "severity", "workflow")}
    known = {
        "state": [NOT_OVER, *IncidentState],
        "severity": [*Severity],
        "workflow": sorted(visit.instance.workspace.workflows),
    }
    ignored = [f"{name} {value[:60]}" for name, value in asked.items() if value and value not in known[name]]
    chosen = {name: value for name, value in asked.items() if value in known[name]}
    sorting, unsorted = sorting_of(visit, tuple(ORDERS), chosen)
    view = view_incidents(visit.reading, _filter(chosen, sorting, visit.query.get("page")))
    values = {
        "view": view,
        "total": "more than 1,000" if view.counts.total > MOST_COUNTED else f"{view.counts.total:,}",
        "chosen": chosen,
        "known": known,
        "ignored": [*ignored, *unsorted],
        "sorting": sorting,
        "orders": ORDERS,
        "more": urlencode({**chosen, **sorting.asked, "page": view.more}) if view.more else "",
    }
    return Page(template="incidents.html", title="Incidents", values=values)


def _filter(chosen: dict[str, str], sorting: Sorting, before: str | None) -> IncidentFilter:
    state, severity = chosen.get("state"), chosen.get("severity")
    states = UNRESOLVED if state == NOT_OVER else None if state is None else frozenset({IncidentState(state)})
    return IncidentFilter(
        workflow=chosen.get("workflow"),
        severity=None if severity is None else Severity(severity),
        states=states,
        before=before,
        order=IncidentOrder(sorting.value),
    )
