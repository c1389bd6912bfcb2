"""Is the candidate worse than stable? The arm of each failure against the odds of assignment (rollouts.md 6.3, 6.4).

Only failures are looked at: under a failure ratio r, a failing principal is the candidate's with probability
r o / (1 + r o), o the odds of assignment, so day and night cancel. The sample ratio test asks whether the router keeps
its fraction at all. Fail mode: a fraction of 0 or 1 leaves nothing to compare; `comparable` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pilotage.analysis.counters import Count, FailureArms, Routed
from pilotage.analysis.eprocess import POINTS, log_gt, log_lt, log_sum_exp

PPM = 1_000_000


def comparable(rows: Iterable[FailureArms]) -> tuple[FailureArms, ...]:
    """Return the rows under which both arms were possible."""
    return tuple(row for row in rows if 0 < row.fraction_ppm < PPM)


def log_relative(rows: Iterable[FailureArms], ratio: float) -> float:
    """Return the log evidence that the candidate fails more than `ratio` times as often as stable."""
    if not 0.0 < ratio < math.inf:
        message = f"The ratio {ratio!r} is not a positive number."
        raise ValueError(message)
    usable = comparable(rows)
    if not usable:
        return 0.0
    low, high = math.log(1.25), math.log(50.0)
    ratios = [ratio * math.exp(low + (high - low) * k / (POINTS - 1)) for k in range(POINTS)]
    return log_sum_exp([math.fsum(_gain(row, one, ratio) for row in usable) for one in ratios]) - math.log(POINTS)


def _gain(row: FailureArms, alternative: float, null: float) -> float:
    """Log likelihood ratio of one row's failures between two failure ratios."""
    counted = Count(n=row.candidate + row.stable, x=row.candidate)
    odds = row.fraction_ppm / (PPM - row.fraction_ppm)
    both = math.log1p(null * odds) - math.log1p(alternative * odds)
    return counted.x * (math.log(alternative) - math.log(null)) + counted.n * both


def log_sample_ratio(rows: Iterable[Routed]) -> float:
    """Return the log evidence that principals do not meet the candidate with the fraction in force.

    Infinite where the fraction is 0 or 1 and a single principal went the other way: no router in order does that.
    """
    return math.fsum(_ratio(row) for row in rows)


def _ratio(row: Routed) -> float:
    counted = Count(n=row.principals, x=row.candidate)
    if row.fraction_ppm in {0, PPM}:
        return 0.0 if counted.x == (counted.n if row.fraction_ppm else 0) else math.inf
    share = row.fraction_ppm / PPM
    above, below = log_gt(counted.n, counted.x, share), log_lt(counted.n, counted.x, share)
    return log_sum_exp([above, below]) - math.log(2)
