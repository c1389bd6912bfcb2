"""From requests to counters: every outcome's row, caps that only weaken, sums that commute (rollouts.md 5)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.verdicts import ALPHAS, LIMITS, READY, clean

from pilotage.analysis.caps import Caps, PrincipalRow, capped, merge, principals_seen, relative_counts, routed
from pilotage.analysis.counters import Count, Counters, FailureArms, Metric, Routed
from pilotage.analysis.judge import judge
from pilotage.analysis.marks import LatencyLimits, Request, counted_outcome, marks
from pilotage.analysis.verdict import Judgement

LIMIT = LatencyLimits()
ERRORS = ["error.server", "error.upstream", "error.guard", "error.record", "timeout", "stream_aborted", "lost", "shed"]


@pytest.mark.parametrize("outcome", ERRORS)
def test_an_error_exceeds_every_latency_limit_and_counts_as_an_error(outcome: str) -> None:
    found = marks(Request(outcome=outcome, latency_ms=None), LIMIT)
    assert found[Metric.ERROR]
    assert found[Metric.SLOW]
    assert found[Metric.STALLED]
    assert found[Metric.SHED] is (outcome == "shed")
    assert Metric.POLICY not in found


def test_an_answer_counts_in_what_was_measured_of_it() -> None:
    found = marks(Request(outcome="ok", latency_ms=2500.0, ungrounded=True, rating_down=False), LIMIT)
    assert {metric for metric, failed in found.items() if failed} == {Metric.SLOW, Metric.UNGROUNDED}
    assert found[Metric.FEEDBACK] is False
    plain = marks(Request(outcome="ok", latency_ms=2000.0), LIMIT)
    assert not any(plain.values())
    assert Metric.UNGROUNDED not in plain
    assert Metric.FEEDBACK not in plain


def test_a_policy_block_is_no_error_and_a_refusal_is_honest() -> None:
    blocked = marks(Request(outcome="policy_blocked", latency_ms=10.0), LIMIT)
    assert (blocked[Metric.ERROR], blocked[Metric.POLICY]) == (False, True)
    refused = marks(Request(outcome="refused", latency_ms=10.0), LIMIT)
    assert (refused[Metric.ERROR], refused[Metric.REFUSED], refused[Metric.POLICY]) == (False, True, False)


def test_a_client_that_left_is_in_no_error_count_and_slow_only_if_it_waited() -> None:
    waited = marks(Request(outcome="client_gone", latency_ms=6000.0), LIMIT)
    assert Metric.ERROR not in waited
    assert waited[Metric.SLOW]
    assert waited[Metric.STALLED]
    assert not marks(Request(outcome="client_gone", latency_ms=100.0), LIMIT)[Metric.SLOW]


@pytest.mark.parametrize("latency", [math.nan, math.inf, -1.0, None])
def test_an_impossible_latency_or_unknown_outcome_counts_as_lost(latency: float | None) -> None:
    assert counted_outcome(Request(outcome="ok", latency_ms=latency)) == "lost"
    assert counted_outcome(Request(outcome="splendid", latency_ms=1.0)) == "lost"
    assert marks(Request(outcome="ok", latency_ms=latency), LIMIT)[Metric.ERROR]


def test_a_callers_mistake_before_routing_is_no_observation() -> None:
    assert marks(Request(outcome="rejected", latency_ms=1.0), LIMIT) == {}


def _row(
    principal: str, n: int, x: int = 0, *, window: int = 0, step: str = "canary", arm: bool = True
) -> PrincipalRow:
    counts = {Metric.ERROR: Count(n=n, x=x)}
    return PrincipalRow(principal=principal, step=step, window=window, is_candidate=arm, counts=counts)


rows_of = st.lists(
    st.builds(
        lambda principal, n, x, window, arm: _row(principal, n, min(n, x), window=window, arm=arm),
        st.sampled_from("abcdef"),
        st.integers(0, 80),
        st.integers(0, 10),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=30,
)


@given(rows_of, st.randoms(use_true_random=False), st.integers(0, 30))
def test_permuted_and_rebatched_rows_give_equal_counters(rows: list[PrincipalRow], order: object, cut: int) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis declares no type for its generator
    rebatched = (*merge(shuffled[:cut]), *merge(shuffled[cut:]))
    assert merge(rebatched) == merge(rows)
    assert capped(merge(rebatched), Caps()) == capped(merge(rows), Caps())
    assert relative_counts(merge(rebatched), {"canary": 50_000}) == relative_counts(merge(rows), {"canary": 50_000})


@given(rows_of)
def test_caps_only_weaken_a_conclusion(rows: list[PrincipalRow]) -> None:
    merged = merge(rows)
    loose = capped(merged, Caps(failures=10**6, successes=10**6)).get(Metric.ERROR)
    tight = capped(merged, Caps()).get(Metric.ERROR)
    if loose is None or tight is None:
        assert loose is tight
        return
    assert tight.go.x == loose.go.x
    assert tight.go.n <= loose.go.n
    assert tight.guard.n == loose.guard.n
    assert tight.guard.x <= loose.guard.x


def test_one_principal_alone_creates_neither_go_nor_trip() -> None:
    busy = [_row("a", 100_000, window=day) for day in range(7)]
    angry = [_row("a", 1000, 1000), *(_row(f"b{index}", 5) for index in range(20))]
    for rows, forbidden in ((busy, Judgement.GO), (angry, Judgement.NO_GO)):
        merged = merge(rows)
        counters = Counters(metrics=capped(merged, Caps()), principals=principals_seen(merged))
        base = replace(clean(), metrics={**clean().metrics, **counters.metrics}, principals=counters.principals)
        assert judge(base, LIMITS, ALPHAS, READY).outcome is not forbidden


def test_a_cap_holds_for_each_day_and_step_anew() -> None:
    found = capped(merge([_row("a", 60), _row("a", 60, window=1), _row("a", 60, 10, step="expanded")]), Caps())
    assert found[Metric.ERROR].go == Count(n=160, x=10)
    assert found[Metric.ERROR].guard == Count(n=180, x=3)
    assert found[Metric.ERROR].failing == 1
    with pytest.raises(ValueError, match="at least 1"):
        Caps(failures=0)


def test_relative_counts_take_each_principal_once_a_step_by_its_first_failure() -> None:
    rows = merge(
        [
            _row("a", 9, 9),
            _row("a", 9, 9, window=1),
            _row("b", 5, 1, arm=False),
            _row("b", 5, 1, window=1),
            _row("c", 5, 1),
            _row("c", 5, 1, arm=False),
            _row("d", 5),
            _row("a", 5, 1, step="expanded"),
        ]
    )
    found = relative_counts(rows, {"canary": 50_000, "expanded": 250_000})
    assert found[Metric.ERROR] == (
        FailureArms(fraction_ppm=50_000, candidate=1, stable=2),
        FailureArms(fraction_ppm=250_000, candidate=1, stable=0),
    )
    assert found[Metric.SLOW][0] == FailureArms(fraction_ppm=50_000)


def test_the_sample_ratio_counts_every_principal_of_the_step_once() -> None:
    rows = merge([_row("a", 1), _row("a", 1, window=1), _row("b", 1, arm=False), _row("z", 1, step="expanded")])
    assert routed(rows, step="canary", fraction_ppm=500_000) == Routed(fraction_ppm=500_000, principals=2, candidate=1)


@pytest.mark.parametrize(("n", "x"), [(-1, 0), (1, 2), (1, -1), (10**9 + 1, 0)])
def test_an_impossible_count_does_not_construct(n: int, x: int) -> None:
    with pytest.raises(ValueError, match="no count"):
        Count(n=n, x=x)
