"""E-processes for a proportion: evidence against a limit that may be looked at after every request (rollouts.md 6.1).

`log E` mixes 24 alternatives of equal weight on a logarithmic grid; under the null its exponential is a nonnegative
supermartingale, so P(ever log E >= log 1/alpha) <= alpha at any stopping time (Ville 1939; Howard, Ramdas 2021; Waudby-
Smith, Ramdas 2024). Numerics: logarithms throughout, `log1p(-q)`, the maximum taken out before `exp`; a margin of 1e-9
makes rounding fail closed. Fail mode: bad counts raise ValueError, which a verdict reports as INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pilotage.analysis.counters import MOST

POINTS = 24
MARGIN = 1e-9


def log_gt(n: int, x: int, limit: float) -> float:
    """Return the log evidence that the true share is above `limit`, from `x` failures in `n`."""
    _check(n, x)
    return _mixture(n, x, _terms_gt(limit))


def log_lt(n: int, x: int, limit: float) -> float:
    """Return the log evidence that the true share is below `limit`, from `x` failures in `n`."""
    _check(n, x)
    return _mixture(n, x, _terms_lt(limit))


def threshold(alpha: float) -> float:
    """Return the log E at which a test of level `alpha` rejects its null; rounding errors fall on the closed side."""
    if not 0.0 < alpha < 1.0:
        message = f"Alpha {alpha!r} is not between 0 and 1."
        raise ValueError(message)
    return -math.log(alpha) + MARGIN


def log_sum_exp(values: Sequence[float]) -> float:
    """Return log(sum(exp(v))) without overflow; the largest value is taken out first."""
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def grid_gt(limit: float) -> tuple[float, ...]:
    """Return the alternatives above a limit: 24 from 1.25 limit to 0.95, or one half-way to 1."""
    _check_limit(limit)
    if 1.25 * limit >= 0.95:
        return ((1.0 + limit) / 2.0,)
    low, high = math.log(1.25 * limit), math.log(0.95)
    return tuple(math.exp(low + (high - low) * k / (POINTS - 1)) for k in range(POINTS))


def grid_lt(limit: float) -> tuple[float, ...]:
    """Return the 24 alternatives below a limit, from 0.005 to 0.85 of it."""
    _check_limit(limit)
    low, high = math.log(0.005), math.log(0.85)
    return tuple(limit * math.exp(low + (high - low) * k / (POINTS - 1)) for k in range(POINTS))


def log_ratios(limit: float, alternatives: Iterable[float]) -> tuple[tuple[float, float], ...]:
    """Return, per alternative q, what one failure and one success add to its log likelihood ratio over `limit`."""
    failure, success = math.log(limit), math.log1p(-limit)
    return tuple((math.log(q) - failure, math.log1p(-q) - success) for q in alternatives)


@lru_cache(maxsize=256)
def _terms_gt(limit: float) -> tuple[tuple[float, float], ...]:
    return log_ratios(limit, grid_gt(limit))


@lru_cache(maxsize=256)
def _terms_lt(limit: float) -> tuple[tuple[float, float], ...]:
    return log_ratios(limit, grid_lt(limit))


def _mixture(n: int, x: int, terms: tuple[tuple[float, float], ...]) -> float:
    if n == 0:
        return 0.0
    return log_sum_exp([x * failure + (n - x) * success for failure, success in terms]) - math.log(len(terms))


def _check(n: int, x: int) -> None:
    if type(n) is not int or type(x) is not int or not 0 <= x <= n <= MOST:
        message = f"{x!r} failures in {n!r} is no count: integers with 0 <= x <= n <= {MOST:,} are needed."
        raise ValueError(message)


def _check_limit(limit: float) -> None:
    if not 0.0 < limit < 1.0:
        message = f"The limit {limit!r} is not between 0 and 1."
        raise ValueError(message)
