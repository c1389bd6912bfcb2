"""The looks that never end: health, drift, models, incidents, pages, readings, upgrades, boards, runs, hard events.

A kind of run, what it looks at, and how soon again. Fail mode: a look that fails is tried again for ever, from where
the last whole one ended; what nobody renewed (health for 65 s, drift and hard events for 180 s) is unknown, which lets
no traffic up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.detect_hard_events import detect_in_records, detect_in_releases
from pilotage.control.escalate_incidents import escalate_incidents
from pilotage.control.evaluate_changes import LOOK_EVERY, evaluate_changes
from pilotage.control.evaluate_upgrade import evaluate_upgrade
from pilotage.control.evaluation_alerts import watch_overdue
from pilotage.control.fail_evaluation import end_given_up
from pilotage.control.instance import Instance
from pilotage.control.record_readings import record_readings
from pilotage.control.reopen_mitigations import reopen_mitigations
from pilotage.control.unreached_pages import watch_pages
from pilotage.control.watch_boards import watch_boards
from pilotage.control.watch_completed import watch_unwatched
from pilotage.control.watch_drift import watch_drift
from pilotage.control.watch_indexes import watch_indexes
from pilotage.control.watch_mitigations import watch_mitigations
from pilotage.control.watch_models import watch_models
from pilotage.control.watch_rosters import watch_rosters
from pilotage.control.watch_spaces import watch_spaces
from pilotage.store.runs import Again, Outcome, Run, request_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A step of a run that looks, and is due again `every` so often."""

    look: Callable[[Connection, Instance], object]
    every: timedelta

    def __call__(self, instance: Instance, connection: Connection, _run: Run) -> Outcome:
        """Look once."""
        self.look(connection, instance)
        return Again(at=instance.clock.now() + self.every)


WATCHES: Final[Mapping[str, Watch]] = {
    "space_watch": Watch(look=watch_spaces, every=timedelta(seconds=1)),
    "drift_watch": Watch(look=watch_drift, every=timedelta(seconds=15)),
    "model_watch": Watch(look=watch_models, every=timedelta(seconds=60)),
    "hard_events_in_records": Watch(look=detect_in_records, every=timedelta(seconds=5)),
    "incident_watch": Watch(look=escalate_incidents, every=timedelta(seconds=15)),
    "roster_watch": Watch(look=watch_rosters, every=timedelta(hours=1)),
    "reading_watch": Watch(look=record_readings, every=timedelta(hours=1)),
    "engine_watch": Watch(look=evaluate_upgrade, every=timedelta(minutes=10)),
    "evaluation_changes": Watch(look=evaluate_changes, every=LOOK_EVERY),
    "index_watch": Watch(look=watch_indexes, every=timedelta(seconds=60)),
    "given_up_evaluations": Watch(look=end_given_up, every=timedelta(minutes=1)),
    "overdue_watch": Watch(look=watch_overdue, every=timedelta(hours=1)),
    "accepted_mitigations": Watch(look=reopen_mitigations, every=timedelta(minutes=1)),
    "mitigation_watch": Watch(look=watch_mitigations, every=timedelta(hours=1)),
    "board_watch": Watch(look=watch_boards, every=timedelta(seconds=60)),
    "page_watch": Watch(look=watch_pages, every=timedelta(seconds=15)),
    "late_watches": Watch(look=watch_unwatched, every=timedelta(seconds=60)),
    "hard_events_in_releases": Watch(look=detect_in_releases, every=timedelta(seconds=60)),
}


def schedule_watches(instance: Instance) -> None:
    """Ask for every look at start-up; asking again changes nothing."""
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        for kind in WATCHES:
            request_run(connection, kind=kind, key="all", due_at=now)
