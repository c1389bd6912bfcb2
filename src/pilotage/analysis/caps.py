"""From sums per principal to counters: caps that only ever weaken a conclusion (rollouts.md 5.2).

One row holds what one principal did in one step and one 24-hour window on one arm. GO counts drop successes beyond the
cap, guard counts take failures beyond the cap as successes; relative counts take each principal once a step, by its
first failure. Rule: sums commute, so records in any order and batching give equal counters. Fail mode: a principal that
failed on both arms in one window is counted for stable, which weakens a guard and never GO.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pilotage.analysis.counters import Count, FailureArms, Metric, MetricCount, Routed

RELATIVE = (Metric.ERROR, Metric.SLOW, Metric.REFUSED, Metric.CLIENT_GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that one principal may count for in one step and 24 hours."""

    failures: int = 3
    successes: int = 50

    def __post_init__(self) -> None:
        if self.failures < 1 or self.successes < 1:
            raise ValueError("Caps per principal must be at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalRow:
    """One principal's requests. `window`: whole 24 hours since the step began; `counts`: requests and failures."""

    principal: str
    step: str
    window: int
    is_candidate: bool
    counts: Mapping[Metric, Count] = field(default_factory=dict)


def merge(rows: Iterable[PrincipalRow]) -> tuple[PrincipalRow, ...]:
    """Return one row per principal, step, window and arm, in that order; batches of any size merge to the same rows."""
    sums: dict[tuple[str, int, bool, str], dict[Metric, Count]] = defaultdict(dict)
    for row in rows:
        own = sums[(row.step, row.window, row.is_candidate, row.principal)]
        for metric, count in row.counts.items():
            own[metric] = own.get(metric, Count()) + count
    return tuple(
        PrincipalRow(principal=principal, step=step, window=window, is_candidate=arm, counts=counts)
        for (step, window, arm, principal), counts in sorted(sums.items(), key=lambda item: item[0])
    )


def capped(rows: Iterable[PrincipalRow], caps: Caps) -> dict[Metric, MetricCount]:
    """Return the candidate's counts per metric under the caps. Rows must be merged."""
    go: dict[Metric, Count] = defaultdict(Count)
    guard: dict[Metric, Count] = defaultdict(Count)
    failing: dict[Metric, set[str]] = defaultdict(set)
    for row in rows:
        if not row.is_candidate:
            continue
        for metric, count in row.counts.items():
            go[metric] += Count(n=count.x + min(count.n - count.x, caps.successes), x=count.x)
            guard[metric] += Count(n=count.n, x=min(count.x, caps.failures))
            if count.x:
                failing[metric].add(row.principal)
    return {
        metric: MetricCount(go=go[metric], guard=guard[metric], failing=len(failing[metric])) for metric in sorted(go)
    }


def relative_counts(
    rows: Iterable[PrincipalRow], fractions: Mapping[str, int]
) -> dict[Metric, tuple[FailureArms, ...]]:
    """Return distinct failing principals by arm, one entry per step; `fractions`: ppm in force by step name."""
    first: dict[tuple[Metric, str, str], tuple[int, bool]] = {}
    for row in rows:
        for metric in RELATIVE:
            if row.counts.get(metric, Count()).x:
                key, seen = (metric, row.step, row.principal), (row.window, row.is_candidate)
                first[key] = min(first.get(key, seen), seen)
    found: dict[Metric, tuple[FailureArms, ...]] = {}
    for metric in RELATIVE:
        arms = {step: [0, 0] for step in sorted(fractions)}
        for (one, step, _), (_, is_candidate) in first.items():
            if one is metric:
                arms[step][is_candidate] += 1
        found[metric] = tuple(
            FailureArms(fraction_ppm=fractions[step], candidate=candidate, stable=stable)
            for step, (stable, candidate) in arms.items()
        )
    return found


def principals_seen(rows: Iterable[PrincipalRow]) -> int:
    """Return how many distinct principals met the candidate."""
    return len({row.principal for row in rows if row.is_candidate})


def routed(rows: Iterable[PrincipalRow], *, step: str, fraction_ppm: int) -> Routed:
    """Return the sample ratio's counts of one step: eligible principals seen, and those that met the candidate.

    Rows must hold eligible principals only: no pins, no failover, nobody outside the cohort. Everybody counts once, by
    the first window's arm.
    """
    first: dict[str, tuple[int, bool]] = {}
    for row in rows:
        if row.step == step:
            seen = (row.window, row.is_candidate)
            first[row.principal] = min(first.get(row.principal, seen), seen)
    return Routed(fraction_ppm=fraction_ppm, principals=len(first), candidate=sum(arm for _, arm in first.values()))
