"""Pairs of a candidate and its baseline on the same cases, and the tests over them (evaluation.md 7.1, 7.2).

Rule: d = new - old, higher is better, one pair per case; cases of one cluster move together. Tests are exact where they
can be enumerated and otherwise drawn with (hits + 1)/(draws + 1), so p is never 0. Fail mode: no pair gives p = 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pilotage.core.draws import signs
from pilotage.core.tails import binomial_sf
from pilotage.evaluation.intervals import Clustered, Floats, Interval, clustered, mean_intervals, tango

EXACT_CLUSTERS = 20
DRAWS = 99_999
FEW_CHANGES = 5
_CHUNK = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case in both arms: `old` and `new` are means over repeats, higher better."""

    case_id: str
    cluster: str
    old: float
    new: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """All pairs of one metric. `d` and `groups` stand in the order of `case_ids`; `groups` numbers clusters from 0."""

    case_ids: tuple[str, ...]
    d: Floats
    groups: NDArray[np.int64]
    is_binary: bool

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.case_ids)

    @property
    def clusters(self) -> int:
        """The number of clusters."""
        return int(self.groups.max()) + 1 if self.n else 0

    @property
    def gains(self) -> tuple[str, ...]:
        """Cases that are better now."""
        return tuple(case for case, d in zip(self.case_ids, self.d, strict=True) if d > 0)

    @property
    def losses(self) -> tuple[str, ...]:
        """Cases that are worse now."""
        return tuple(case for case, d in zip(self.case_ids, self.d, strict=True) if d < 0)

    @property
    def cluster_sums(self) -> Floats:
        """The sum of d in each cluster."""
        return np.bincount(self.groups, weights=self.d, minlength=self.clusters).astype(np.float64)


def pair_up(pairs: Iterable[Pair], *, is_binary: bool) -> Pairs:
    """Return the pairs in the order of their case ids, so input order never matters."""
    rows = sorted(pairs, key=lambda pair: pair.case_id)
    names = {name: place for place, name in enumerate(sorted({row.cluster for row in rows}))}
    d = np.array([row.new - row.old for row in rows], dtype=np.float64)
    return Pairs(
        case_ids=tuple(row.case_id for row in rows),
        d=d,
        groups=np.array([names[row.cluster] for row in rows], dtype=np.int64),
        is_binary=is_binary and bool(np.isin(d, (-1.0, 0.0, 1.0)).all()),
    )


def design_effect(pairs: Pairs, found: Clustered) -> float:
    """Return deff of binary pairs; with fewer than 5 changes it cannot be seen, so n/C stands in (never below 1)."""
    if int(np.count_nonzero(pairs.d)) < FEW_CHANGES:
        return max(1.0, pairs.n / pairs.clusters)
    return found.deff


def difference_interval(pairs: Pairs, *, tail: float, seed: int, span: float = 1.0) -> tuple[Interval, float]:
    """Return the interval of the mean difference at one tail, and the design effect; see `difference_intervals`."""
    found, deff = difference_intervals(pairs, tails=(tail,), seed=seed, span=span)
    return found[0], deff


def difference_intervals(
    pairs: Pairs, *, tails: Sequence[float], seed: int, span: float = 1.0
) -> tuple[tuple[Interval, ...], float]:
    """Return the intervals of the mean difference, one per tail, and the design effect; the whole range without pairs.

    Tango for binary pairs, else the bootstrap over clusters; `span` is the width of a value's range.
    """
    if pairs.n == 0:
        return tuple(Interval(lower=-span, upper=span) for _ in tails), 1.0
    found = clustered(pairs.d, pairs.groups)
    if pairs.is_binary:
        deff = design_effect(pairs, found)
        gains, losses = len(pairs.gains), len(pairs.losses)
        return tuple(tango(gains, losses, pairs.n, tail=tail, deff=deff) for tail in tails), deff
    return mean_intervals(pairs.d, pairs.groups, tails=tails, seed=seed, span=span), found.deff


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """p values of no difference: against worse (one-sided), and two-sided."""

    __test__ = False  # a record, not a pytest class

    p_worse: float
    p_two_sided: float


def mcnemar(gains: int, losses: int) -> TestResult:
    """Return the exact McNemar test: without a difference, losses are Binomial(gains + losses, 1/2)."""
    changed = gains + losses
    worse = binomial_sf(losses, changed, 0.5)
    better = binomial_sf(gains, changed, 0.5)
    return TestResult(p_worse=worse, p_two_sided=min(1.0, 2.0 * min(worse, better)))


def sign_flip(sums: Floats, *, seed: int = 0) -> TestResult:
    """Return the sign-flip test of cluster sums: exact up to 20 clusters that moved, else 99,999 draws.

    Clusters with sum 0 change nothing under any flip and are left out.
    """
    moved = sums[sums != 0.0]
    if moved.size == 0:
        return TestResult(p_worse=1.0, p_two_sided=1.0)
    observed = float(moved.sum())
    slack = 1e-9 * float(np.abs(moved).sum())
    if moved.size <= EXACT_CLUSTERS:
        totals = np.zeros(1)
        for one in moved:
            totals = np.concatenate((totals + one, totals - one))
        extra = 0
    else:
        totals = _drawn_totals(moved, seed)
        extra = 1
    at_most = int((totals <= observed + slack).sum()) + extra
    as_far = int((np.abs(totals) >= abs(observed) - slack).sum()) + extra
    return TestResult(p_worse=at_most / (totals.size + extra), p_two_sided=as_far / (totals.size + extra))


def _drawn_totals(moved: Floats, seed: int) -> Floats:
    rows = max(1, _CHUNK // moved.size)
    parts: list[Floats] = []
    drawn = 0
    while drawn < DRAWS:
        size = min(rows, DRAWS - drawn)
        # Each block has a key of its own, so memory stays bounded and any block can be drawn again alone.
        parts.append(signs((seed + len(parts)) % 2**64, rows=size, size=moved.size) @ moved)
        drawn += size
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Variation within and between cases over K repeats (evaluation.md 7.1)."""

    mean: float
    within: float
    between: float
    se: float


def repeats(values: Floats) -> Repeats:
    """Return the variance parts of `values`, shape (cases, K), K >= 2 and at least two cases."""
    cases, k = values.shape
    means = values.mean(axis=1)
    within = float(values.var(axis=1, ddof=1).mean())
    spread = float(means.var(ddof=1))
    return Repeats(
        mean=float(means.mean()), within=within, between=max(0.0, spread - within / k), se=math.sqrt(spread / cases)
    )
