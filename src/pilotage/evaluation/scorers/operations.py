"""Operations: latency, time to first token, tokens and cost of one generation (evaluation.md 3.6).

Fail mode: a cached generation measured nothing (`missing_field`); no price is `unpriced`, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.scorer import Found, Missing, Score, Subject, Value
from pilotage.workspace.golden import GoldenCase

NANO = 1_000_000_000


def always(case: GoldenCase) -> bool:
    """Tell that every case is measured."""
    del case
    return True


def measured(read: Callable[[Generation], float | None]) -> Score:
    """Return the scoring function of one measured field."""

    def score(subject: Subject) -> Found:
        value = read(subject.generation)
        return Missing(Unscored.MISSING_FIELD) if value is None else Value(float(value))

    return score


def cost(subject: Subject) -> Found:
    """Return the cost of the generation in the currency of its price."""
    nano = subject.generation.cost_nano
    return Missing(Unscored.UNPRICED) if nano is None else Value(nano / NANO)


def nearest_rank(values: Sequence[float], q: float) -> float | None:
    """Return the value of rank ceil(q n), so p95 of 20 values is the 19th; None without values."""
    if not values:
        return None
    # 0.95 * 20 is 19.000000000000004 for no good reason: round before the ceiling.
    rank = max(1, math.ceil(round(q * len(values), 9)))
    return sorted(values)[rank - 1]
