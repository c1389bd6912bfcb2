"""What each arm of a rollout did over time, as rows of sums (`rollout.course`).

Rule: written in the transaction that moves the cursor of the wave, so a request is in the sums once. Fail mode: a
database error.
"""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import Course, Slot, added
from pilotage.store.tables.rollouts import rollout_course


def course_of(connection: Connection, rollout: str, wave: int) -> Course:
    """Return the course of a wave so far."""
    here = (rollout_course.c.rollout == rollout) & (rollout_course.c.wave == wave)
    rows = connection.execute(select(rollout_course.c.arm, rollout_course.c.at, rollout_course.c.counts).where(here))
    return {(Arm(row.arm), row.at): Slot.read(row.counts) for row in rows}


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
