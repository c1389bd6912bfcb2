"""Exact probabilities of the sequential tests, by walking over (n, failures) with a look after every request.

No simulation: each row is the mass that ever crosses the boundary within N, with unconditional quantiles of the
crossing time. The boundary comes from the product's own evidence functions. Rows are the table of rollouts.md 6.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pilotage.analysis.counters import FailureArms
from pilotage.analysis.eprocess import log_gt, log_lt, threshold
from pilotage.analysis.relative import log_relative

PPM = 1_000_000
Evidence = Callable[[int, int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One expected figure: percent as printed, median and p90; None where the table shows none."""

    test: str
    limit: float
    alpha: float
    requests: int
    share: float
    percent: str | None
    median: int | None
    p90: int | None
    is_null: bool = False
    fraction: float = 0.0

    @property
    def name(self) -> str:
        if self.test == "relative":
            return f"relative f {self.fraction:g}, ratio {self.share:g}"
        return f"{self.test} {self.limit:g}, alpha {self.alpha:g}, true {100 * self.share:g} %"


def _rows(test: str, limit: float, alpha: float, requests: int, *shares: tuple[object, ...]) -> list[Row]:
    return [
        Row(
            test=test,
            limit=limit,
            alpha=alpha,
            requests=requests,
            share=float(str(share)),
            percent=None if percent is None else str(percent),
            median=None if median is None else int(str(median)),
            p90=None if p90 is None else int(str(p90)),
            is_null=index == 0,
        )
        for index, (share, percent, median, p90) in enumerate(shares)
    ]


def _relative(fraction: float, *ratios: tuple[object, ...]) -> list[Row]:
    return [
        Row(
            test="relative",
            limit=2.0,
            alpha=0.01,
            requests=1_000,
            share=float(str(ratio)),
            percent=None if percent is None else str(percent),
            median=None if median is None else int(str(median)),
            p90=None if p90 is None else int(str(p90)),
            is_null=index == 0,
            fraction=fraction,
        )
        for index, (ratio, percent, median, p90) in enumerate(ratios)
    ]


TABLE = [
    *_rows(
        "gt",
        0.01,
        0.001,
        3_000,
        (0.01, "0.04643", None, None),
        (0.02, "73.62147", 2146, None),
        (0.05, "100", 187, 387),
        (0.20, "100", 18, 38),
    ),
    *_rows(
        "gt",
        0.001,
        0.01,
        3_000,
        (0.001, "0.22267", None, None),
        (0.005, "87.06297", 1430, None),
        (0.01, "99.99678", 413, 979),
        (0.05, "100", 34, 102),
    ),
    *_rows(
        "gt",
        0.05,
        0.001,
        3_000,
        (0.05, "0.05664", None, None),
        (0.08, "99.46591", 1020, 1891),
        (0.15, "100", 108, 214),
    ),
    *_rows(
        "gt",
        0.5,
        0.01,
        1_000,
        (0.5, "0.83821", None, None),
        (0.6, "96.36796", 269, 719),
        (0.667, "100", 80, 177),
        (0.75, "100", 32, 70),
    ),
    *_rows(
        "lt",
        0.001,
        0.05,
        60_000,
        (0.001, "4.66476", None, None),
        (0.0005, "93.12679", 21808, 54551),
        (0.0002, "100", 3387, 13203),
    ),
    *_rows(
        "lt",
        0.01,
        0.05,
        3_000,
        (0.01, "4.46929", None, None),
        (0.005, "64.43010", 2176, None),
        (0.002, "99.93910", 338, 1317),
        (0.0005, "100", 338, 657),
    ),
    *_rows(
        "lt",
        0.05,
        0.05,
        3_000,
        (0.05, "4.76725", None, None),
        (0.03, "99.11227", 756, 1843),
        (0.02, "100", 260, 642),
        (0.01, None, 66, 260),
    ),
    *_relative(0.05, (2, "0.52296", None, None), (5, None, 94, 204), (10, None, 21, 49)),
    *_relative(0.25, (2, "0.66514", None, None), (5, None, 49, 107), (10, None, 16, 34)),
]


def above(evidence: Evidence, alpha: float, requests: int, *, least: int) -> list[int]:
    """For n = 1.. the smallest failure count that rejects; n + 1 where none does. Evidence rises with failures."""
    needed, found, x = threshold(alpha), [], least
    for n in range(1, requests + 1):
        # From n to n + 1 with the same failures evidence may fall or rise (few failures): step back, then forward.
        while x > least and evidence(n, min(x - 1, n)) >= needed and x - 1 <= n:
            x -= 1
        while x <= n and evidence(n, x) < needed:
            x += 1
        found.append(x if x <= n else n + 1)
    return found


def below(evidence: Evidence, alpha: float, requests: int) -> list[int]:
    """For n = 1.. the largest failure count that rejects; -1 where none does. Evidence falls with failures."""
    needed, found, x = threshold(alpha), [], -1
    for n in range(1, requests + 1):
        while x + 1 <= n and evidence(n, x + 1) >= needed:
            x += 1
        found.append(x)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The probability of ever rejecting, and the unconditional quantiles of when."""

    chance: float
    median: int | None
    p90: int | None


def walk(share: float, requests: int, rejects: Callable[[int], tuple[int, int]], width: int) -> Walk:
    """Walk over failures: `rejects(n)` gives the absorbing counts `[low, high)`; no mass beyond `width` matters."""
    mass: npt.NDArray[np.float64] = np.zeros(width + 1)
    mass[0] = 1.0
    caught, median, p90 = 0.0, None, None
    moved = np.empty_like(mass)
    for n in range(1, requests + 1):
        np.multiply(mass, 1.0 - share, out=moved)
        moved[1:] += mass[:-1] * share
        low, high = rejects(n)
        if low < high:
            caught += float(moved[low:high].sum())
            moved[low:high] = 0.0
        mass, moved = moved, mass
        median = n if median is None and caught >= 0.5 else median
        p90 = n if p90 is None and caught >= 0.9 else p90
    return Walk(chance=caught, median=median, p90=p90)


def exact(row: Row) -> Walk:
    """Return the exact walk of a row."""
    if row.test == "lt":
        largest = below(lambda n, x: log_lt(n, x, row.limit), row.alpha, row.requests)
        # Failures never go down: a count above the last boundary can reject no more within N, so it is not kept.
        return walk(row.share, row.requests, lambda n: (0, largest[n - 1] + 1), max(largest) + 2)
    if row.test == "relative":
        ppm = round(row.fraction * PPM)
        odds = ppm / (PPM - ppm)

        def evidence(n: int, x: int) -> float:
            return log_relative([FailureArms(fraction_ppm=ppm, candidate=x, stable=n - x)], row.limit)

        smallest = above(evidence, row.alpha, row.requests, least=3)
        share = row.share * odds / (1.0 + row.share * odds)
    else:
        smallest = above(lambda n, x: log_gt(n, x, row.limit), row.alpha, row.requests, least=2)
        share = row.share
    width = max(smallest) + 2
    return walk(share, row.requests, lambda n: (smallest[n - 1], width + 1), width)


def shown(chance: float) -> str:
    """Return a probability as the table prints it: percent with five digits, `100` where those are all nines."""
    text = f"{100.0 * chance:.5f}"
    return "100" if float(text) >= 99.9999 else text


def agrees(row: Row, found: Walk) -> bool:
    """Tell whether a walk has every figure of its row, and a null row stays within its level."""
    return (
        row.percent in {None, shown(found.chance)}
        and row.median in {None, found.median}
        and row.p90 in {None, found.p90}
        and (not row.is_null or found.chance <= row.alpha)
        and math.isfinite(found.chance)
    )
