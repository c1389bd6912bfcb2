"""`pilotage space status`: every routed space with its health, and where its askers are."""

from __future__ import annotations

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.space.health import Report
from pilotage.store.space_health import StoredHealth, list_health, reports_of


def space_status(instance: Instance) -> list[Json]:
    """Return the spaces by name, each with what its processes reported."""
    with instance.engine.connect() as connection:
        return [health_json(instance, one, reports_of(connection, one.space)) for one in list_health(connection)]


def health_json(instance: Instance, found: StoredHealth, reports: tuple[Report, ...] = ()) -> dict[str, Json]:
    """Return one space."""
    space = instance.workspace.spaces.get(found.space)
    return {
        **found.as_json(),
        "partner": None if space is None else space.availability.partner,
        "processes": [
            {
                "process": report.process,
                "age_s": round(report.age_s, 1),
                "failures": report.failures,
                "successes": report.successes,
            }
            for report in reports
        ],
    }
