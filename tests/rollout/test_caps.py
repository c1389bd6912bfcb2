"""From requests to counters: caps that only weaken a conclusion, sums that commute (rollouts.md 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.counters import Counters, Metric
from pilotage.analysis.judge import judge
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Judgement, Subject
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import Ladder, StepLimits
from pilotage.rollout.observation import LatencyLimits, Observation, marks, sound_outcome
from pilotage.rollout.tally import Book, Caps, Totals, advance_cusums, counters, fold

LIMIT = LatencyLimits(go_ms=2000.0, trip_ms=5000.0)
TRIPS = {Metric.ERROR: 0.01, Metric.STALLED: 0.05, Metric.UNGROUNDED: 0.05, Metric.POLICY: 0.01}
LADDER = Ladder.level(StepLimits(latency=LIMIT, trips=TRIPS))
ERRORS = ["error.server", "error.upstream", "error.guard", "error.record", "timeout", "stream_aborted", "lost", "shed"]
SEEN = Observation(
    seq=1, step="canary", day=0, arm=Arm.CANDIDATE, principal="a", outcome="ok", latency_ms=100.0, is_answer=True
)
READY = Context(
    subject=Subject(plan="p", release="r", space="s", step="canary", ledger_from=1, ledger_to=2),
    bake_over=True,
    gate_holds=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a sequence of batches counts to."""

    totals: Totals
    books: dict[str, Book]

    def counters(self) -> Counters:
        return counters(
            self.totals, ladder=LADDER, step="canary", fractions={"canary": 50_000}, admitted=self.totals.recorded
        )


def _count(*batches: list[Observation], caps: Caps | None = None) -> Counted:
    found = Counted(totals=Totals(), books={})
    for batch in batches:
        fold(found.totals, found.books, batch, caps=caps or Caps(), ladder=LADDER)
    return found


def test_how_long_a_kept_answer_took_says_nothing_of_its_release() -> None:
    """The stable release has had the time to fill its cache; a candidate would be the slower one for that alone."""
    found = marks(replace(SEEN, is_cached=True), LIMIT)
    assert {Metric.SLOW, Metric.STALLED}.isdisjoint(found)
    assert found == {metric: failed for metric, failed in marks(SEEN, LIMIT).items() if metric in found}
    broken = marks(replace(SEEN, is_cached=True, outcome="error.record"), LIMIT)
    assert broken[Metric.SLOW]
    assert broken[Metric.STALLED]


@pytest.mark.parametrize("outcome", ERRORS)
def test_an_error_exceeds_every_latency_limit_and_counts_as_an_error(outcome: str) -> None:
    found = marks(replace(SEEN, outcome=outcome, latency_ms=0.0, is_answer=False), LIMIT)
    assert found[Metric.ERROR]
    assert found[Metric.SLOW]
    assert found[Metric.STALLED]
    assert found[Metric.SHED] is (outcome == "shed")
    assert Metric.POLICY not in found


@pytest.mark.feature("D13.10")
def test_an_answer_counts_in_what_was_measured_of_it() -> None:
    found = marks(replace(SEEN, latency_ms=2500.0, ungrounded=True), LIMIT)
    assert {metric for metric, failed in found.items() if failed} == {Metric.SLOW, Metric.UNGROUNDED}
    plain = marks(replace(SEEN, latency_ms=2000.0), LIMIT)
    assert not any(plain.values())
    assert Metric.UNGROUNDED not in plain


def test_a_policy_block_is_no_error_and_a_refusal_is_honest() -> None:
    blocked = marks(replace(SEEN, outcome="policy_blocked"), LIMIT)
    assert (blocked[Metric.ERROR], blocked[Metric.POLICY]) == (False, True)
    refused = marks(replace(SEEN, outcome="refused"), LIMIT)
    assert (refused[Metric.ERROR], refused[Metric.REFUSED], refused[Metric.POLICY]) == (False, True, False)


def test_a_client_that_left_is_in_no_error_count_and_slow_only_if_it_waited() -> None:
    waited = marks(replace(SEEN, outcome="client_gone", latency_ms=6000.0), LIMIT)
    assert Metric.ERROR not in waited
    assert waited[Metric.SLOW]
    assert waited[Metric.STALLED]
    assert not marks(replace(SEEN, outcome="client_gone"), LIMIT)[Metric.SLOW]


@pytest.mark.parametrize("latency", [math.nan, math.inf, -1.0])
def test_an_impossible_latency_or_unknown_outcome_counts_as_lost(latency: float) -> None:
    assert sound_outcome("ok", latency) == "lost"
    assert sound_outcome("splendid", 1.0) == "lost"
    assert marks(replace(SEEN, latency_ms=latency), LIMIT)[Metric.ERROR]


observed = st.lists(
    st.builds(
        lambda principal, outcome, at, arm: replace(
            SEEN, principal=principal, outcome=outcome, day=at // 24, hour=at % 24, arm=arm
        ),
        st.sampled_from("abcdef"),
        st.sampled_from(["ok", "ok", "ok", "refused", "error.server", "client_gone", "policy_blocked"]),
        st.integers(0, 71),
        st.sampled_from([Arm.STABLE, Arm.CANDIDATE]),
    ),
    max_size=60,
)


@given(observed, st.randoms(use_true_random=False), st.integers(0, 60))
def test_permuted_and_rebatched_requests_give_equal_counters(
    requests: list[Observation], order: object, cut: int
) -> None:
    shuffled = list(requests)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis declares no type for its generator
    assert _count(shuffled[:cut], shuffled[cut:]).counters() == _count(requests).counters()


@given(observed)
def test_caps_only_weaken_a_conclusion(requests: list[Observation]) -> None:
    loose = _count(requests, caps=Caps(failures=10**6, successes=10**6)).counters()
    tight = _count(requests, caps=Caps(failures=1, successes=2)).counters()
    for metric in Metric:
        free, held = loose.metric(metric), tight.metric(metric)
        assert held.go.x == free.go.x
        assert held.go.n <= free.go.n
        assert held.guard.n == free.guard.n
        assert held.guard.x <= free.guard.x


def test_one_principal_alone_creates_neither_go_nor_trip() -> None:
    busy = [replace(SEEN, day=day, ungrounded=False) for day in range(7) for _ in range(2_000)]
    angry = [replace(SEEN, outcome="error.server", is_answer=False)] * 1_000
    others = [replace(SEEN, principal=f"b{index}", ungrounded=False) for index in range(20) for _ in range(5)]
    proud = judge(_count(busy, others).counters(), Limits(), Alphas(), READY)
    assert proud.outcome is Judgement.INCONCLUSIVE
    assert judge(_count(angry, others).counters(), Limits(), Alphas(), READY).outcome is not Judgement.NO_GO
    without_cap = _count(angry, others, caps=Caps(failures=10**6)).counters()
    assert without_cap.metric(Metric.ERROR).guard.x == 1_000


def test_a_cap_holds_for_each_principal_day_and_step_anew() -> None:
    failed = replace(SEEN, outcome="error.server", is_answer=False)
    requests = [
        *[SEEN] * 60,
        *[failed] * 10,
        *[replace(SEEN, day=1)] * 60,
        *[replace(failed, step="expanded")] * 5,
        *[replace(failed, principal="b")] * 2,
    ]
    error = _count(requests).counters().metric(Metric.ERROR)
    assert (error.go.n, error.go.x) == (50 + 10 + 50 + 5 + 2, 17)
    assert (error.guard.n, error.guard.x) == (137, 3 + 3 + 2)
    assert error.failing == 2


def _late(*batches: list[Observation], planned: int = 0) -> Totals:
    """Return the totals after these batches, each read back from its stored form."""
    totals, books = Totals(), dict[str, Book]()
    for batch in batches:
        advance_cusums(totals, books, batch, caps=Caps(), ladder=LADDER, planned_requests=planned)
        fold(totals, books, batch, caps=Caps(), ladder=LADDER)
        totals = Totals.read(totals.as_json())
    return totals


@given(observed, st.integers(0, 60), st.integers(0, 60))
def test_late_regression_states_do_not_depend_on_batches(requests: list[Observation], cut: int, planned: int) -> None:
    whole = _late(requests, planned=planned)
    assert whole.cusums == _late(requests[:cut], requests[cut:], planned=planned).cusums


def test_one_asker_who_meets_an_error_again_and_again_is_no_late_regression() -> None:
    """Failures of one principal beyond the first of an hour and the third of a day count as successes."""
    failed = replace(SEEN, outcome="error.server", is_answer=False)
    clean = [replace(SEEN, principal=f"p{number}") for number in range(200)]
    three = _late(clean, [failed] * 3, [SEEN] * 9)
    assert three.cusums[Metric.ERROR] == _late(clean, [failed], [SEEN] * 11).cusums[Metric.ERROR]
    hourly = [replace(failed, hour=hour) for hour in range(12)]
    assert _late(clean, hourly).cusums[Metric.ERROR] == _late(clean, hourly[:3], [SEEN] * 9).cusums[Metric.ERROR]
    assert _late(clean, hourly[:3]).cusums[Metric.ERROR] != _late(clean, hourly[:1], [SEEN] * 2).cusums[Metric.ERROR]
    assert _late(clean, [failed] * 12).cusums[Metric.ERROR] == three.cusums[Metric.ERROR]
    assert _late(clean + [failed] * 2, [failed] * 10).cusums[Metric.ERROR] == three.cusums[Metric.ERROR]
    many = _late(clean, [replace(failed, principal=f"q{number}") for number in range(12)])
    assert many.cusums[Metric.ERROR] != three.cusums[Metric.ERROR]


def test_counts_of_an_earlier_version_go_on() -> None:
    """Its books hold requests and failures, no hours: the sums go on, and the late guard starts with fresh hours."""
    failed = replace(SEEN, outcome="error.server", is_answer=False)
    found = _count([failed] * 2)
    for page in found.books["a"].values():
        page.update({metric: entry[:2] for metric, entry in page.items()})
    fold(found.totals, found.books, [failed], caps=Caps(), ladder=LADDER)
    assert found.counters().metric(Metric.ERROR).guard.x == 3
    assert found.books["a"]["candidate/canary/0"][Metric.ERROR] == [3, 3, 1]


def test_damaged_totals_are_an_error() -> None:
    with pytest.raises(ValueError, match="replay"):
        Totals.read({"surplus": 1})
