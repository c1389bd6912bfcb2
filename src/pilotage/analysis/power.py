"""What a number of requests can prove or catch, before any is spent (rollouts.md 4.1).

GO looks at the counts as of now, so its chance is one binomial sum; a trip may fire after any request, so its chance is
an exact walk over (n, failures). Shares in (0, 1). Fail mode: figures are never rounded in the release's favour; a walk
longer than 20,000 requests stops there and is a lower bound.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

from pilotage.analysis.counters import MOST
from pilotage.analysis.eprocess import log_gt, log_lt, threshold

LONGEST_WALK = 20_000
SETTLED = 1e-6
_MOST_ALLOWED = 10_000


def most_failures(n: int, limit: float, alpha: float) -> int:
    """Return b(n), the largest failure count in `n` requests that still proves a share below `limit`; -1 for none."""
    needed = threshold(alpha)
    return bisect_left(range(n + 1), 1, key=lambda x: int(log_lt(n, x, limit) < needed)) - 1


def clean_requests(limit: float, alpha: float) -> int:
    """Return how many requests without any failure prove a share below `limit` at any look."""
    return requests_allowing(0, limit, alpha)


def fixed_requests(limit: float, alpha: float) -> int:
    """Return how many clean requests a test of a sample size fixed beforehand would need, for comparison."""
    return math.ceil(math.log(alpha) / math.log1p(-limit))


def requests_allowing(failures: int, limit: float, alpha: float) -> int:
    """Return the smallest n at which `failures` failures still prove a share below `limit`."""
    needed = threshold(alpha)
    return bisect_left(range(MOST), 1, lo=max(failures, 1), key=lambda n: int(log_lt(n, failures, limit) >= needed))


def bound_if_clean(n: int, alpha: float) -> float | None:
    """Return the tightest share that `n` requests without failure prove; None when they prove nothing."""
    needed = threshold(alpha)
    low, high = 0.0, 1.0 - 1e-9
    if n < 1 or log_lt(n, 0, high) < needed:
        return None
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if log_lt(n, 0, middle) >= needed else (middle, high)
    return high


def binomial_cdf(failures: int, n: int, share: float) -> float:
    """Return P(at most `failures` of `n`) at a true share; 0 for a negative count."""
    if failures < 0:
        return 0.0
    if failures >= n or share <= 0.0:
        return 1.0
    if share >= 1.0:
        return 0.0
    size, failure, success = math.lgamma(n + 1), math.log(share), math.log1p(-share)
    terms = (
        math.exp(size - math.lgamma(x + 1) - math.lgamma(n - x + 1) + x * failure + (n - x) * success)
        for x in range(failures + 1)
    )
    return min(1.0, math.fsum(terms))


def chance_of_go(n: int, limit: float, alpha: float, *, true_share: float) -> float:
    """Return the probability that `n` requests at a true failure share prove a share below `limit`."""
    return binomial_cdf(most_failures(n, limit, alpha), n, true_share)


def requests_for_chance(limit: float, alpha: float, *, true_share: float, chance: float) -> int | None:
    """Return the first n at which GO has that chance; None where more than 10,000 failures would have to be allowed."""
    n = 1
    for failures in range(_MOST_ALLOWED):
        n = requests_allowing(failures, limit, alpha)
        if n >= MOST:
            return None
        if binomial_cdf(failures, n, true_share) >= chance:
            return n
    return None


def firing_counts(limit: float, alpha: float, *, least: int = 2) -> Iterator[int]:
    """Yield for n = 1, 2, ... the smallest failure count at which the guard fires; n + 1 where none does."""
    needed, x, n = threshold(alpha), least, 0
    while True:
        n += 1
        while x <= n and log_gt(n, x, limit) < needed:
            x += 1
        yield x if x <= n else n + 1


@lru_cache(maxsize=256)
def chance_of_trip(n: int, limit: float, alpha: float, *, true_share: float, least: int = 2) -> float:
    """Return the probability that a guard fires within `n` requests, looked at after each, at a true failure share.

    Guards that need failures of two principals fire a little later when few principals ask.
    """
    walking, caught = [1.0], 0.0
    stay = 1.0 - true_share
    for count, fires in zip(range(min(n, LONGEST_WALK)), firing_counts(limit, alpha, least=least), strict=False):
        moved = [mass * stay for mass in walking] + [0.0]
        for x, mass in enumerate(walking, start=1):
            moved[x] += mass * true_share
        caught += math.fsum(moved[fires:])
        walking = moved[:fires]
        if count % 64 == 0 and 1.0 - caught < SETTLED:
            break
    return min(1.0, caught)
