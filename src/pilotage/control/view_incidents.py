"""The list of incidents as its page shows it: one page of those asked for, what is open, and when the next drill is.

Rule: reads only; drills are listed and not counted as open. Fail mode: a key that names nothing begins with the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotage.control.drill_schedule import next_drill
from pilotage.control.instance import Instance
from pilotage.store.drills import LastDrill
from pilotage.store.incidents import IncidentCounts, IncidentFilter, StoredIncident, browse_incidents, count_incidents

PAGE: Final = 50
MOST_COUNTED: Final = 1000
"""Above it a list says that there are more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """Fifty incidents, the key of the next page, and what is known of all. `drill` is looked up while none is open."""

    shown: Sequence[StoredIncident]
    more: str | None
    counts: IncidentCounts
    drill: tuple[LastDrill, datetime] | None = None


def view_incidents(instance: Instance, wanted: IncidentFilter) -> IncidentPage:
    """Return a page of incidents, in the order that is wanted."""
    with instance.engine.connect() as connection:
        found = browse_incidents(connection, wanted, most=PAGE + 1)
        counts = count_incidents(connection, wanted, most=MOST_COUNTED + 1)
        drill = None if counts.open else next_drill(connection)
    more = wanted.key_of(found[PAGE - 1]) if len(found) > PAGE else None
    return IncidentPage(shown=found[:PAGE], more=more, counts=counts, drill=drill)
