"""Replays of recorded questions, and the end of pair texts after seven days, as work of the worker.

Rule: a replay goes on from its rows, whoever takes it. Fail mode: a failing replay is tried again; texts that cannot
be erased now are erased at the next look.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.erase_pair_texts import erase_pair_texts
from pilotage.control.instance import Instance
from pilotage.jobs.lease import Lease
from pilotage.store.runs import Again, Done, Outcome, Run, request_run

TEXTS: Final = "rollout_pair_texts"
_AGAIN: Final = timedelta(seconds=30)
_ERASE_EVERY: Final = timedelta(hours=1)

Replay = Callable[[Instance, str], bool]
"""Replays a rollout's questions as far as this process lives; tells whether all are done."""


class DriveReplay:
    """Replays the questions of one rollout."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def __call__(self, instance: Instance, lease: Lease) -> Outcome:
        """Replay, or look again."""
        return Done() if self._replay(instance, lease.run.key) else Again(at=instance.clock.now() + _AGAIN)


def erase_old_texts(instance: Instance, connection: Connection, _run: Run) -> Outcome:
    """Erase what is older than seven days; look again in an hour."""
    erase_pair_texts(connection, instance.clock.now())
    return Again(at=instance.clock.now() + _ERASE_EVERY)


def schedule_texts(instance: Instance) -> None:
    """Ask for the erasing at start-up; asking again changes nothing."""
    with instance.engine.begin() as connection:
        request_run(connection, kind=TEXTS, key="pair", due_at=instance.clock.now())
