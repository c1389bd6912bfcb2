"""Tails and quantiles of the binomial, beta, normal and Student t distributions, in double precision without scipy.

Everything rests on the regularized incomplete beta function, computed in log space by its continued fraction (Lentz's
algorithm; DLMF 8.17.22), good to about 1e-13 for shapes up to 1e6. Fail mode: parameters outside the domain, or a
fraction that does not converge, raise ValueError; nothing returns a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_ROUNDS = 20_000


def normal_cdf(z: float) -> float:
    """Return P(Z <= z) of a standard normal."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """Return z with P(Z <= z) = p, 0 < p < 1."""
    return _NORMAL.inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return P(X <= x) of a Beta(a, b), shapes above 0: the regularized incomplete beta function I_x(a, b)."""
    if not (a > 0 and b > 0):
        message = f"Beta({a}, {b}) is no distribution; both shapes must be above 0."
        raise ValueError(message)
    if not 0.0 < x < 1.0:
        return 0.0 if x <= 0.0 else 1.0
    # The fraction converges fast left of the mean; right of it the complement does (DLMF 8.17.4).
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _beta_left(1.0 - x, b, a)
    return _beta_left(x, a, b)


def beta_sf(x: float, a: float, b: float) -> float:
    """Return P(X > x) of a Beta(a, b), exact in the far right tail too."""
    return beta_cdf(1.0 - x, b, a)


def _beta_left(x: float, a: float, b: float) -> float:
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _ROUNDS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for term in (even, odd):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            change = c * d
            value *= change
        if abs(change - 1.0) < 1e-15:
            return value
    message = f"The incomplete beta function did not converge at x {x}, a {a}, b {b}."
    raise ValueError(message)


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def bisect(decreasing: Callable[[float], float], low: float, high: float) -> float:
    """Return where a decreasing function crosses 0 between `low` and `high`, to the last double."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if decreasing(middle) > 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return x with P(X <= x) = p of a Beta(a, b), 0 <= p <= 1."""
    _check_probability(p)
    if p in (0.0, 1.0):
        return p
    return bisect(lambda x: p - beta_cdf(x, a, b), 0.0, 1.0)


def binomial_sf(k: int, n: int, p: float) -> float:
    """Return P(X >= k) of a Binomial(n, p)."""
    _check_probability(p)
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_cdf(p, k, n - k + 1)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(X <= k) of a Binomial(n, p)."""
    _check_probability(p)
    if k >= n:
        return 1.0
    return 0.0 if k < 0 else beta_sf(p, k + 1, n - k)


def t_quantile(p: float, df: float) -> float:
    """Return t with P(T <= t) = p of a Student t with `df` > 0 degrees of freedom, 0 < p < 1."""
    _check_probability(p)
    if p == 0.5:
        return 0.0
    # T^2/(df + T^2) is Beta(1/2, df/2); its complement keeps precision in the tail.
    x = beta_quantile(2.0 * min(p, 1.0 - p), df / 2.0, 0.5)
    size = math.sqrt(df * (1.0 - x) / x)
    return size if p > 0.5 else -size


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        message = f"{p} is no probability; it must lie between 0 and 1."
        raise ValueError(message)
