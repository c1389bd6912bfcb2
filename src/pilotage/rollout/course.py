"""What each arm did over the time of a wave, for people to look at: errors, latency and grounding by slot of time.

Rule: every request counts once, without the caps of `tally`, and no test reads these numbers. A failed request exceeds
every latency (rollouts.md 5.1). Latencies are counts in bins 2 % wide, so slots add up exactly and a shown quantile is
at most 2 % above the observed one. Fail mode: nothing observed is None, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pilotage.analysis.counters import Metric
from pilotage.rollout.assignment import Arm
from pilotage.rollout.observation import LatencyLimits, Observation, marks
from pilotage.workspace.plan import Wave

_WIDTH: Final = math.log(1.02)
_SLOTS_S: Final = (60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 86_400)
MOST_POINTS: Final = 48
_LEAST_POINTS: Final = 4
FEWEST: Final = 20
"""Requests below which a 95th percentile is no more than the slowest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Sums of one arm. `bins`: requests by latency bin, failed ones in none; `gone`: the asker left first."""

    requests: int = 0
    failed: int = 0
    gone: int = 0
    scored: int = 0
    ungrounded: int = 0
    bins: Mapping[int, int] = field(default_factory=dict)

    @staticmethod
    def read(value: Mapping[str, Any]) -> Slot:
        """Return the sums that `as_json` wrote."""
        bins = {int(number): count for number, count in value["bins"].items()}
        return Slot(**{**value, "bins": bins})

    def as_json(self) -> dict[str, Any]:
        """Return the sums as JSON."""
        names = ("requests", "failed", "gone", "scored", "ungrounded")
        return {**{name: getattr(self, name) for name in names}, "bins": {str(k): n for k, n in self.bins.items()}}

    @property
    def judged(self) -> int:
        """Requests that could fail: an asker who left first is none."""
        return self.requests - self.gone

    @property
    def error_share(self) -> float | None:
        """Failed requests of those that could; None without any."""
        return self.failed / self.judged if self.judged else None

    @property
    def grounded_share(self) -> float | None:
        """Answers with a grounding score that are grounded; None without any."""
        return 1 - self.ungrounded / self.scored if self.scored else None

    def latency_ms(self, quantile: float) -> float | None:
        """Return the quantile; None without requests, infinity where failed requests reach it."""
        rank, seen = math.ceil(quantile * self.requests), 0
        for number in sorted(self.bins):
            seen += self.bins[number]
            if seen >= rank:
                return math.exp(_WIDTH * number)
        return math.inf if self.requests else None


Course = Mapping[tuple[Arm, datetime], Slot]
"""Sums by arm and beginning of the slot."""


def slot_length(wave: Wave) -> timedelta:
    """Return how long a slot of a wave is: the shortest of a few that part its bake times into 48 at most."""
    bake_s = sum(step.bake_s for step in wave.steps)
    return timedelta(seconds=next((one for one in _SLOTS_S if one * MOST_POINTS >= bake_s), _SLOTS_S[-1]))


def slot_start(at: datetime, length: timedelta) -> datetime:
    """Return when the slot of a time begins; slots are counted from midnight UTC."""
    at = at.astimezone(UTC)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (at - midnight) // length * length


def count(seen: Iterable[tuple[datetime, Observation]], length: timedelta, limits: LatencyLimits) -> Course:
    """Return the sums of requests, each with the time it was asked."""
    found: dict[tuple[Arm, datetime], list[Slot]] = {}
    for at, one in seen:
        found.setdefault((one.arm, slot_start(at, length)), []).append(_slot(one, limits))
    return {place: together(slots) for place, slots in found.items()}


def _slot(seen: Observation, limits: LatencyLimits) -> Slot:
    marked = marks(seen, limits)
    is_gone = marked[Metric.CLIENT_GONE]
    is_failed = not is_gone and marked[Metric.ERROR]
    bins = {} if is_failed else {math.ceil(math.log(max(1.0, seen.latency_ms)) / _WIDTH): 1}
    return Slot(
        requests=1,
        failed=int(is_failed),
        gone=int(is_gone),
        scored=int(seen.ungrounded is not None),
        ungrounded=int(seen.ungrounded is True),
        bins=bins,
    )


def together(slots: Iterable[Slot]) -> Slot:
    """Return the sum of slots."""
    found = list(slots)
    if len(found) == 1:
        return found[0]
    bins: dict[int, int] = {}
    for one in found:
        for number, requests in one.bins.items():
            bins[number] = bins.get(number, 0) + requests
    return Slot(
        requests=sum(one.requests for one in found),
        failed=sum(one.failed for one in found),
        gone=sum(one.gone for one in found),
        scored=sum(one.scored for one in found),
        ungrounded=sum(one.ungrounded for one in found),
        bins=bins,
    )


def added(course: Course, more: Course) -> Course:
    """Return both courses as one."""
    return {place: together(one[place] for one in (course, more) if place in one) for place in {**course, **more}}


def total(course: Course, arm: Arm) -> Slot:
    """Return the sums of an arm over the whole time."""
    return together(slot for (which, _), slot in course.items() if which is arm)


def shown(course: Course, length: timedelta) -> Sequence[tuple[datetime, Mapping[Arm, Slot]]]:
    """Return the course in slots long enough to be read, without holes: at most 48.

    They double until three of four between the candidate's first and last hold 20 of its requests, or four are left.
    """
    times = [at for _, at in course]
    if not times:
        return ()
    first, last = min(times), max(times)
    while (last - first) // length >= MOST_POINTS:
        length *= 2
    while not _is_readable(parts := _parts(course, first, last, length)):
        length *= 2
    return parts


def _parts(
    course: Course, first: datetime, last: datetime, length: timedelta
) -> list[tuple[datetime, dict[Arm, Slot]]]:
    found: list[dict[Arm, list[Slot]]] = [{} for _ in range((last - first) // length + 1)]
    for (arm, at), slot in course.items():
        found[(at - first) // length].setdefault(arm, []).append(slot)
    return [
        (first + number * length, {arm: together(slots) for arm, slots in part.items()})
        for number, part in enumerate(found)
    ]


def _is_readable(parts: Sequence[tuple[datetime, Mapping[Arm, Slot]]]) -> bool:
    met = {place: part[Arm.CANDIDATE].requests for place, (_, part) in enumerate(parts) if Arm.CANDIDATE in part}
    if len(parts) <= _LEAST_POINTS or not met:
        return True
    return 4 * sum(number >= FEWEST for number in met.values()) >= 3 * (max(met) - min(met) + 1)
