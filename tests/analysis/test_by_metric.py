"""Where a verdict stands on a metric: the heaviest of its tests, and nothing good where nothing was seen."""

from __future__ import annotations

from typing import Any

import pytest
from tests.analysis.verdicts import ALPHAS, LIMITS, READY, clean

from pilotage.analysis.by_metric import Compared, standing_on
from pilotage.analysis.counters import Counters
from pilotage.analysis.judge import judge
from pilotage.analysis.verdict import Standing


def told(standing: str, n: int = 100) -> dict[str, Any]:
    return {"standing": standing, "n": n}


@pytest.mark.parametrize(
    ("tests", "stands"),
    [
        ({"go.p95": told("proved"), "hold.p95": told("quiet")}, Standing.PROVED),
        ({"go.p95": told("open"), "hold.p95": told("quiet")}, Standing.OPEN),
        ({"go.p95": told("proved"), "trip.p95_late": told("fired")}, Standing.FIRED),
        ({"go.p95": told("proved"), "hold.p95": told("broken")}, Standing.BROKEN),
        ({"go.p95": told("proved"), "hold.p95": told("a word of tomorrow")}, Standing.BROKEN),
        ({"go.p95": told("open", 0), "hold.p95": told("quiet", 0)}, Standing.ABSENT),
        ({"hold.relative_slow": told("absent", 0)}, Standing.ABSENT),
        ({"go.error": told("proved")}, Standing.BROKEN),
    ],
)
def test_the_heaviest_test_of_a_metric_decides(tests: dict[str, dict[str, Any]], stands: Standing) -> None:
    assert standing_on(Compared.LATENCY, tests) is stands


def test_every_metric_finds_its_tests_in_a_verdict() -> None:
    tests = {name: test.as_json() for name, test in judge(clean(), LIMITS, ALPHAS, READY).tests.items()}
    found = {metric: standing_on(metric, tests) for metric in Compared}
    assert found == {
        Compared.ERRORS: Standing.PROVED,
        Compared.LATENCY: Standing.PROVED,
        Compared.GROUNDED: Standing.PROVED,
        Compared.RATED: Standing.QUIET,
    }
    nothing = {name: test.as_json() for name, test in judge(Counters(), LIMITS, ALPHAS, READY).tests.items()}
    assert {standing_on(metric, nothing) for metric in Compared} == {Standing.ABSENT}
