"""What a golden set can show (evaluation.md 7.4): the drop it would find, and the margin an equal release clears.

Rule: one-sided alpha .05 and power .80 on n/deff cases of which a share psi differ between the releases; the drop is
found by exact McNemar, the margin by Tango's bound. Both are exact sums on a grid of .005; from 1,000 cases on the
margin is (z_alpha + z_power) sqrt(psi/n), and above 1,000 the drop is too. Fail mode: what no such set can show is
None, never a guess.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from pilotage.core.reason import Reason
from pilotage.core.tails import binomial_sf, normal_quantile
from pilotage.evaluation.intervals import Floats

STEP = 0.005
LARGE = 1_000
USUAL_PSI = 0.10


@lru_cache(maxsize=1024)
def detectable_drop(n: int, psi: float, *, alpha: float = 0.05, power: float = 0.80) -> float | None:
    """Return the smallest drop in accuracy that exact McNemar finds with the given power; None when no drop is."""
    if n > LARGE:
        drop = (normal_quantile(1.0 - alpha) + normal_quantile(power)) * math.sqrt(psi / n)
        return drop if drop <= psi else None
    chances = _binomial(n, psi)
    likely = [int(one) for one in np.flatnonzero(chances > 1e-9)]
    needed = _critical(likely, alpha)
    below, found = 0, round(psi / STEP) + 1
    while found - below > 1:  # the larger the drop, the surer it is found
        step = (below + found) // 2
        share = min(1.0, (1.0 + step * STEP / psi) / 2.0)
        chance = math.fsum(
            float(chances[changed]) * binomial_sf(least, changed, share)
            for changed, least in zip(likely, needed, strict=True)
        )
        below, found = (below, step) if chance >= power else (step, found)
    return round(found * STEP, 3) if found <= round(psi / STEP) else None


def _critical(likely: list[int], alpha: float) -> list[int]:
    """Return for each number of changes the fewest losses that are significant; one more than all when none are.

    One more change needs at most one more loss, so each search begins where the one before ended.
    """
    found: list[int] = []
    before, losses = 0, 0
    for changed in likely:
        losses = min(changed + 1, losses + changed - before) if found else changed + 1
        while losses > 0 and binomial_sf(losses - 1, changed, 0.5) <= alpha:
            losses -= 1
        found.append(losses)
        before = changed
    return found


def attainable_margin(n: int, psi: float, *, alpha: float = 0.05, power: float = 0.80) -> float | None:
    """Return the smallest margin that a release equal to its baseline clears with the given power."""
    if n >= LARGE:
        return (normal_quantile(1.0 - alpha) + normal_quantile(power)) * math.sqrt(psi / n)
    changed, losses, chances = _outcomes(n, psi)
    z = normal_quantile(1.0 - alpha)
    for step in range(1, round(1.0 / STEP)):
        margin = step * STEP
        clears = _score(-margin, changed - losses, losses, n) > z
        if float(chances[clears].sum()) >= power:
            return round(margin, 3)
    return None


def _outcomes(n: int, psi: float) -> tuple[Floats, Floats, Floats]:
    """Return every likely (changed, losses) of an equal release, with its probability."""
    totals = _binomial(n, psi)
    rows = [(int(m), _binomial(int(m), 0.5) * totals[m]) for m in np.flatnonzero(totals > 1e-9)]
    changed = np.concatenate([np.full(m + 1, m, dtype=np.float64) for m, _ in rows])
    losses = np.concatenate([np.arange(m + 1, dtype=np.float64) for m, _ in rows])
    return changed, losses, np.concatenate([chance for _, chance in rows])


def _binomial(n: int, p: float) -> Floats:
    k = np.arange(n + 1)
    if p in {0.0, 1.0}:
        return np.asarray(k == n * p, dtype=np.float64)
    logs = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(n + 1)])
    return np.asarray(np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p)), dtype=np.float64)


def _score(at: float, g: Floats, lost: Floats, n: int) -> Floats:
    """Tango's score (7.2) of many outcomes at once; `at` lies strictly between -1 and 0."""
    b = -g - lost + (2.0 * n - g + lost) * at
    e = -lost * at * (1.0 - at)
    q = (np.sqrt(np.maximum(0.0, b * b - 8.0 * n * e)) - b) / (4.0 * n)
    return np.asarray((g - lost - n * at) / np.sqrt(n * (2.0 * q + at * (1.0 - at))), dtype=np.float64)


def cases_needed(margin: float, psi: float, *, alpha: float = 0.05, power: float = 0.80) -> int:
    """Return how many independent cases an equal release needs to clear the margin (normal approximation)."""
    return math.ceil(psi * ((normal_quantile(1.0 - alpha) + normal_quantile(power)) / margin) ** 2)


def check_margin(metric: str, margin: float, *, cases: int, deff: float = 1.0, psi: float = USUAL_PSI) -> Reason | None:
    """Return why a set is too small for a margin, with the number of cases needed, or None. Asked before a run."""
    effective = math.floor(cases / deff)
    attainable = attainable_margin(effective, psi) if effective >= 1 else None
    if attainable is not None and margin >= attainable:
        return None
    needed = math.ceil(cases_needed(margin, psi) * deff)
    shown = "no margin" if attainable is None else f"a margin of {attainable:.3f}"
    return Reason(
        code="MARGIN_BELOW_ATTAINABLE",
        text=f"{cases} cases can show {shown} of {metric}, not {margin:g}; about {needed} cases are needed.",
        where=metric,
        observed=f"{margin:g}",
        limit="none" if attainable is None else f"{attainable:.3f}",
    )
