"""Axes: from numbers to pixels, with round ticks. Pure arithmetic; the same numbers give the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear map of [low, high] onto [start, end] pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, wanted: int = 4) -> tuple[float, ...]:
    """Return round numbers that span [low, high]: the first at or below it, the last at or above it."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(one * size for one in STEPS if one * size >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(number * step for number in range(first, last + 1))


def text_of(value: float) -> str:
    """Return a number as people read it: at most four significant digits, no exponent for usual sizes."""
    if value == 0:
        return "0"
    shown = f"{value:.4g}"
    if "e" in shown:
        return shown
    return f"{float(shown):,.10g}"


def pixel(value: float) -> str:
    """Return a coordinate with two decimals, without trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
