"""Where a verdict stands on one metric, over every test that speaks of it.

Rule: one guard that fired outweighs all, then a test that could not be computed, then a GO criterion that is open; a
quiet guard says something only if it has seen a request. Fail mode: no test, or a word nobody knows, is BROKEN; no
request is ABSENT.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pilotage.analysis.verdict import Standing


class Compared(StrEnum):
    """What people compare between two arms."""

    ERRORS = "errors"
    LATENCY = "latency"
    GROUNDED = "grounded"
    RATED = "rated"


_TESTS: Mapping[Compared, tuple[str, ...]] = MappingProxyType(
    {
        Compared.ERRORS: ("go.error", "trip.error", "trip.error_late", "hold.error", "hold.relative_error"),
        Compared.LATENCY: ("go.p95", "trip.p95", "trip.p95_late", "hold.p95", "hold.relative_slow"),
        Compared.GROUNDED: ("go.ungrounded", "trip.ungrounded", "trip.ungrounded_late", "hold.ungrounded"),
        Compared.RATED: ("go.feedback", "hold.feedback"),
    }
)
_WORDS = frozenset(one.value for one in Standing)
_ORDER = (Standing.FIRED, Standing.BROKEN, Standing.OPEN, Standing.PROVED, Standing.QUIET)


def standing_on(metric: Compared, tests: Mapping[str, Mapping[str, Any]]) -> Standing:
    """Return the standing of a metric; `tests` as a verdict's JSON holds them."""
    found = [tests[name] for name in _TESTS[metric] if name in tests]
    standings = {_standing(test) for test in found}
    heaviest = next((one for one in _ORDER if one in standings), Standing.ABSENT if found else Standing.BROKEN)
    is_empty = not any(test.get("n") for test in found)
    return Standing.ABSENT if is_empty and heaviest in {Standing.OPEN, Standing.QUIET} else heaviest


def _standing(test: Mapping[str, Any]) -> Standing:
    word = str(test.get("standing"))
    return Standing(word) if word in _WORDS else Standing.BROKEN
