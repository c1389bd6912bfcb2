"""Evidence about the mean of scores in [0, 1] by betting against a limit (rollouts.md 6.4).

Sixteen constant bets share the wealth; under the null the wealth is a nonnegative supermartingale (Waudby-Smith, Ramdas
2024), so it may be looked at after every score. Sums are exact, so the order of scores does not matter. Fail mode: a
score outside [0, 1] or NaN raises ValueError; callers count it as unscored first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pilotage.analysis.eprocess import log_sum_exp

BETS = 16
SMALLEST, LARGEST = 0.02, 0.9


def is_score(value: float) -> bool:
    """Tell whether a value is a usable score; everything else is `unscored`."""
    return 0.0 <= value <= 1.0


def log_mean_gt(scores: Iterable[float], limit: float) -> float:
    """Return the log evidence that the mean score is above `limit`."""
    if not 0.0 < limit < 1.0:
        message = f"The limit {limit!r} is not between 0 and 1."
        raise ValueError(message)
    values = list(scores)
    wrong = [value for value in values if not is_score(value)]
    if wrong:
        message = f"{wrong[0]!r} is no score between 0 and 1; count it as unscored."
        raise ValueError(message)
    if not values:
        return 0.0
    low, high = math.log(SMALLEST), math.log(LARGEST)
    bets = [math.exp(low + (high - low) * k / (BETS - 1)) for k in range(BETS)]
    return log_sum_exp(
        [math.fsum(math.log1p(bet / limit * (value - limit)) for value in values) for bet in bets]
    ) - math.log(BETS)


def log_mean_lt(scores: Iterable[float], limit: float) -> float:
    """Return the log evidence that the mean score is below `limit`: the same bet on 1 - score."""
    return log_mean_gt([1.0 - value for value in scores], 1.0 - limit)
