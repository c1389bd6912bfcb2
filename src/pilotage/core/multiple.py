"""Adjusted p values when many hypotheses are tested at once.

Holm (1979) bounds the chance of any false claim and is used over a gate's comparison criteria; Benjamini and Hochberg
(1995) bounds the share of false claims and is used over slices. Fail mode: a p outside [0, 1] raises ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return Holm's step-down adjusted p values, in the order given."""
    order = _ascending(p_values)
    adjusted = [0.0] * len(order)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return the step-up adjusted p values (false discovery rate), in the order given."""
    order = _ascending(p_values)
    adjusted = [0.0] * len(order)
    lowest = 1.0
    for rank in range(len(order), 0, -1):
        place = order[rank - 1]
        lowest = min(lowest, p_values[place] * len(order) / rank)
        adjusted[place] = lowest
    return tuple(adjusted)


def _ascending(p_values: Sequence[float]) -> list[int]:
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            message = f"{p} is no p value; it must lie between 0 and 1."
            raise ValueError(message)
    return sorted(range(len(p_values)), key=lambda place: p_values[place])
