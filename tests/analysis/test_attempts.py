"""Evidence across attempts: trying a bad release again does not make it pass (rollouts.md 6.6)."""

from __future__ import annotations

import math
import random

import pytest

from pilotage.analysis import power
from pilotage.analysis.counters import MOST, Count
from pilotage.analysis.eprocess import threshold
from pilotage.analysis.limits import go_alpha
from pilotage.analysis.power import most_failures, requests_allowing, requests_for_chance


@pytest.mark.parametrize(("n", "x"), [(1, 2), (1, -1), (-1, -1), (-1, 0), (MOST + 1, 0)])
def test_what_cannot_be_counted_is_no_count(n: int, x: int) -> None:
    with pytest.raises(ValueError, match="is no count"):
        Count(n=n, x=x)


def test_a_chance_that_takes_too_many_allowed_failures_is_never_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"true_share": 0.6, "chance": 0.8}
    assert requests_for_chance(0.7, 0.05, **asked) is not None
    monkeypatch.setattr(power, "_MOST_ALLOWED", 20)
    assert requests_for_chance(0.61, 0.05, **asked) is None
    assert requests_for_chance(1e-12, 0.05, true_share=0.0, chance=0.8) is None


def test_the_level_of_later_attempts_shrinks_as_specified() -> None:
    assert [f"{go_alpha(0.05, attempt):.6f}" for attempt in (1, 2, 3, 4)] == [
        "0.050000",
        "0.007599",
        "0.003377",
        "0.001900",
    ]
    assert math.fsum(go_alpha(0.05, attempt) for attempt in range(1, 100_000)) <= 0.0697
    with pytest.raises(ValueError, match="first is 1"):
        go_alpha(0.05, 0)


def _crossings(alpha: float, limit: float, longest: int) -> list[int]:
    """For each failure count the smallest n that proves the limit with it."""
    found: list[int] = []
    while not found or found[-1] < longest:
        found.append(requests_allowing(len(found), limit, alpha))
    return found


def _ever_passes(draw: random.Random, crossings: list[int], share: float, longest: int) -> bool:
    """Walk from failure to failure: GO is reached when the clean stretch before the next one is long enough."""
    n = 0
    for needed in crossings:
        n += 1 + math.floor(math.log(1.0 - draw.random()) / math.log1p(-share))
        if min(n - 1, longest) >= needed:
            return True
        if n > longest:
            return False
    return False


def _share_passing(*, attempts: int, runs: int, is_same_digest: bool) -> float:
    """How often a release exactly at the limit passes at least once within 20 attempts of 2,000 requests."""
    limit, each = 0.01, 2_000
    draw = random.Random(20)
    levels = [0.05] if is_same_digest else [go_alpha(0.05, attempt) for attempt in range(1, attempts + 1)]
    length = each * attempts if is_same_digest else each
    crossings = [_crossings(level, limit, length) for level in levels]
    passed = sum(any(_ever_passes(draw, one, limit, length) for one in crossings) for _ in range(runs))
    return passed / runs


def _most(share: float, runs: int) -> float:
    return share + 2.326 * math.sqrt(share * (1 - share) / runs)


def test_twenty_attempts_of_a_bad_release_pass_no_more_often_than_allowed() -> None:
    runs = 1_000
    assert _share_passing(attempts=20, runs=runs, is_same_digest=True) <= _most(0.05, runs)
    assert _share_passing(attempts=20, runs=runs, is_same_digest=False) <= _most(0.0697, runs)


@pytest.mark.slow
def test_twenty_attempts_hold_their_level_over_many_runs() -> None:
    runs = 100_000
    assert _share_passing(attempts=20, runs=runs, is_same_digest=True) <= _most(0.05, runs)
    assert _share_passing(attempts=20, runs=runs, is_same_digest=False) <= _most(0.0697, runs)


def test_a_fresh_level_for_every_attempt_would_let_bad_releases_through() -> None:
    draw, crossings = random.Random(20), _crossings(0.05, 0.01, 2_000)
    passed = sum(any(_ever_passes(draw, crossings, 0.01, 2_000) for _ in range(20)) for _ in range(500))
    assert passed / 500 > 0.30


def test_a_stricter_level_allows_fewer_failures() -> None:
    assert most_failures(24_000, 0.001, go_alpha(0.05, 2)) < most_failures(24_000, 0.001, go_alpha(0.05, 1))
    assert threshold(go_alpha(0.05, 2)) > threshold(0.05)
