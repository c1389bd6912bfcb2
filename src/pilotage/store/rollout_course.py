"""What each arm of a rollout did over time, as rows of sums (`rollout.course`).

Rule: written in the transaction that moves the cursor of the wave, so a request is in the sums once. Fail mode: a
database error.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import Course, Slot, added
from pilotage.store.tables.rollouts import rollout_course

_READ_MOST: Final = 4096
"""Slots a process remembers: one that is over stays as it is, and is read at each look at its rollout."""
_COURSE = text("SELECT arm, at, counts::text FROM rollout_course WHERE rollout = :rollout AND wave = :wave")


def course_of(connection: Connection, rollout: str, wave: int) -> Course:
    """Return the course of a wave so far."""
    rows = connection.execute(_COURSE, {"rollout": rollout, "wave": wave}).all()
    return {(Arm(arm), at): _read(counts) for arm, at, counts in rows}


@lru_cache(maxsize=_READ_MOST)
def _read(counts: str) -> Slot:
    return Slot.read(json.loads(counts))


def add_course(connection: Connection, rollout: str, wave: int, more: Course) -> None:
    """Add sums to those of the same slots; the rollout's row is locked by the caller."""
    if not more:
        return
    here = (rollout_course.c.rollout == rollout) & (rollout_course.c.wave == wave)
    touched = rollout_course.c.at.in_({at for _, at in more})
    rows = connection.execute(
        select(rollout_course.c.arm, rollout_course.c.at, rollout_course.c.counts).where(here & touched)
    )
    before = {(Arm(row.arm), row.at): Slot.read(row.counts) for row in rows}
    values = [
        {"rollout": rollout, "wave": wave, "arm": arm.value, "at": at, "counts": slot.as_json()}
        for (arm, at), slot in added(before, more).items()
        if (arm, at) in more
    ]
    row = insert(rollout_course).values(values)
    key = ["rollout", "wave", "arm", "at"]
    connection.execute(row.on_conflict_do_update(index_elements=key, set_={"counts": row.excluded.counts}))
