"""What both arms of a rollout did in the space it stands in: the sums, their course, and the limits in force.

Rule: reads only; each number is of the same askers in the same time. Fail mode: what nobody observed is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import SpaceName
from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import Slot, shown, slot_length, total
from pilotage.store.rollout_course import course_of
from pilotage.store.rollouts import StoredRollout, StoredWave
from pilotage.workspace.plan import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmView:
    """One arm since the wave began. `rated` answers, of them rated `down`."""

    sums: Slot
    rated: int = 0
    down: int = 0

    @property
    def helpful_share(self) -> float | None:
        """Rated answers that were not rated down; None without any."""
        return 1 - self.down / self.rated if self.rated else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Both arms in one space. `course`: their sums in slots of time, oldest first; `since` None: no traffic yet."""

    space: SpaceName
    since: datetime | None
    limits: Limits
    stable: ArmView
    candidate: ArmView
    course: Sequence[tuple[datetime, Mapping[Arm, Slot]]] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the sums of both arms; shares as decimal text, None where nothing was observed."""
        found: dict[str, Json] = {"space": self.space, "since": None if self.since is None else to_text(self.since)}
        for name, arm in ((Arm.STABLE, self.stable), (Arm.CANDIDATE, self.candidate)):
            latency = arm.sums.latency_ms(self.limits.latency_quantile)
            found[name.value] = {
                "requests": arm.sums.requests,
                "failed": arm.sums.failed,
                "error_share": _share(arm.sums.error_share),
                "latency_ms": round(latency) if latency is not None and math.isfinite(latency) else None,
                "grounded_share": _share(arm.sums.grounded_share),
                "rated": arm.rated,
                "helpful_share": _share(arm.helpful_share),
            }
        return found


def read_arms(connection: Connection, stored: StoredRollout, waves: Sequence[StoredWave]) -> Arms:
    """Return what the arms did in the space where the rollout stands."""
    wave = waves[stored.place.wave]
    course = course_of(connection, stored.id, wave.number)
    return Arms(
        space=stored.space,
        since=wave.started_at,
        limits=stored.place.of(stored.plan).limits,
        stable=_arm(total(course, Arm.STABLE), wave, wave.stable),
        candidate=_arm(total(course, Arm.CANDIDATE), wave, stored.release),
        course=shown(course, slot_length(stored.plan.waves[wave.number])),
    )


def _arm(sums: Slot, wave: StoredWave, release: str | None) -> ArmView:
    rated, down = wave.ratings.get(release or "", (0, 0))
    return ArmView(sums=sums, rated=rated, down=down)


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
