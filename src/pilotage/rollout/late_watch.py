"""Sums over a release after its rollout completed: what the e-CUSUMs against late regressions read (rollouts.md 6.4).

They go on where the rollout's stopped, in a phase of their own with the yearly alarm limit. One failure of a principal
an hour counts, and no more than the cap a day, as in the rollout; failures are remembered for the newest two days, and
an older record counts into the elder of them. The alarm follows the requests a year that were measured, where these are
more than were reckoned with: it rises and never falls, as a peak that was harmless must not alarm later. Rule: the same
records in ledger order, in any batches, give the same bits. Fail mode: sums that do not read raise ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pilotage.analysis import cusum
from pilotage.analysis.counters import Count, Counters, Metric, MetricCount
from pilotage.rollout.ladder import TRIPPING, Ladder
from pilotage.rollout.observation import LatencyLimits, Observation, marks
from pilotage.rollout.tally import Caps

_YEAR_DAYS: Final = 365.0
_LEAST_DAYS: Final = 7
"""A week has quiet days; fewer days are no figure."""
_ENOUGH: Final = 2
"""Guards ask for two principals at most, so no more names are kept."""


@dataclass(slots=True, kw_only=True)
class LateSums:
    """Running sums of one release in one space since it completed."""

    cusums: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    """metric: [requests, failures]"""
    failing: dict[str, list[str]] = field(default_factory=dict)
    """metric: the first principals with a failure"""
    principals: list[str] = field(default_factory=list)
    requests: int = 0
    quarantined: int = 0
    newest: int = 0
    """The newest day with a record, in whole days since the rollout completed."""
    failed: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """day: principal: metric: hours with a failure as bits"""

    @staticmethod
    def read(value: Mapping[str, Any]) -> LateSums:
        """Return the sums that `as_json` wrote."""
        try:
            return LateSums(**value)
        except TypeError as error:
            message = "These sums are damaged: they are of another version."
            raise ValueError(message) from error

    def as_json(self) -> dict[str, Any]:
        """Return the sums as JSON."""
        return {name: getattr(self, name) for name in LateSums.__dataclass_fields__}


def after_rollout(cusums: Mapping[str, Any], ladder: Ladder) -> LateSums:
    """Return the sums at the moment of completion, by the last step's limits, which `ladder` stands at.

    A metric nobody observed until then starts at zero.
    """
    found = {}
    for metric in TRIPPING:
        state = cusum.resume(cusums.get(ladder.alarm_name(metric)), ladder.now.trips[metric])
        found[metric.value] = cusum.next_phase(state).as_json()
    return LateSums(cusums=found)


def watch(sums: LateSums, batch: Sequence[Observation], *, caps: Caps, limits: LatencyLimits) -> None:
    """Count a batch, in ledger order, into `sums`, which is changed in place."""
    outcomes: dict[Metric, list[bool]] = {metric: [] for metric in TRIPPING}
    for seen in batch:
        _know(sums.principals, seen.principal)
        sums.requests += 1
        sums.newest = max(sums.newest, seen.day)
        sums.quarantined += seen.is_quarantined
        for metric, failed in marks(seen, limits).items():
            if metric in outcomes:
                outcomes[metric].append(failed and _is_news(sums, seen, metric, caps))
                entry = sums.counts.setdefault(metric.value, [0, 0])
                entry[0] += 1
                entry[1] += outcomes[metric][-1]
                if failed:
                    _know(sums.failing.setdefault(metric.value, []), seen.principal)
    for metric, found in outcomes.items():
        if found:
            state = cusum.from_json(sums.cusums[metric.value])
            sums.cusums[metric.value] = cusum.advance(state, found).as_json()


def _know(names: list[str], name: str) -> None:
    if len(names) < _ENOUGH and name not in names:
        names.append(name)


def _is_news(sums: LateSums, seen: Observation, metric: Metric, caps: Caps) -> bool:
    """Tell whether a failure counts, and remember its hour."""
    for day in [day for day in sums.failed if int(day) < sums.newest - 1]:
        del sums.failed[day]
    day = str(max(seen.day, sums.newest - 1))
    hours = sums.failed.setdefault(day, {}).setdefault(seen.principal, {})
    earlier, now = hours.get(metric.value, 0), 1 << seen.hour
    hours[metric.value] = earlier | now
    return not earlier & now and earlier.bit_count() < caps.failures


def yearly(history: Sequence[int], per_day: float) -> float:
    """Return requests a year by whole days before now, not fewer than `per_day` gives (0: nobody reckoned)."""
    mean = sum(history) / len(history) if len(history) >= _LEAST_DAYS else 0.0
    return _YEAR_DAYS * max(mean, per_day)


def grown(sums: LateSums, per_year: float) -> float:
    """Return requests a year: `per_year`, or what was counted since completion where that is more."""
    measured = _YEAR_DAYS * sums.requests / sums.newest if sums.newest >= _LEAST_DAYS else 0.0
    return max(per_year, measured)


def late_counters(sums: LateSums) -> Counters:
    """Return what the judge takes."""
    return Counters(
        metrics={Metric(name): _metric(sums, name) for name in sums.cusums},
        principals=len(sums.principals),
        recorded=sums.requests,
        admitted=sums.requests,
    )


def _metric(sums: LateSums, name: str) -> MetricCount:
    n, x = sums.counts.get(name, (0, 0))
    return MetricCount(
        guard=Count(n=n, x=x),
        failing=len(sums.failing.get(name, ())),
        cusum=cusum.from_json(sums.cusums[name]).peak,
        is_past_plan=True,
    )
