"""What a verdict says, and what it never says (rollouts.md 6.5): unknown is never a pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.analysis.verdicts import ALPHAS, LIMITS, READY, clean, counted, having

from pilotage.analysis.counters import Counters, FailureArms, Metric, Routed
from pilotage.analysis.judge import judge
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Code, Effect, Judgement, Purpose, Standing, Verdict
from pilotage.core.canonical import Form, canonical_bytes, parse_json
from pilotage.core.reason import Reason

CLOCK = Reason(code=Code.CLOCK_ERROR, text="The clock stepped back.")


def _judge(counters: Counters, context: Context = READY) -> Verdict:
    return judge(counters, LIMITS, ALPHAS, context)


def _codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


@pytest.mark.feature("D13.2")
def test_a_clean_large_finished_step_is_go_with_every_number() -> None:
    verdict = _judge(clean())
    assert (verdict.outcome, verdict.effect) == (Judgement.GO, Effect.NONE)
    assert _codes(verdict) == {Code.PROVED}
    assert [reason.where for reason in verdict.reasons] == ["go.error", "go.p95", "go.ungrounded", "go.policy"]
    assert verdict.tests["go.error"].standing is Standing.PROVED
    assert verdict.fired == ()


def test_there_are_eight_trips_ten_holds_four_criteria_and_one_check() -> None:
    tests = _judge(clean()).tests.values()
    counts = {purpose: sum(test.purpose is purpose for test in tests) for purpose in Purpose}
    assert counts == {Purpose.GO: 4, Purpose.TRIP: 8, Purpose.HOLD: 10, Purpose.CHECK: 1}
    assert 4 * ALPHAS.trip + 4 * ALPHAS.trip_cusum == pytest.approx(ALPHAS.trip_total)
    assert 10 * ALPHAS.hold == pytest.approx(ALPHAS.hold_total)


def test_no_data_is_inconclusive_and_says_so() -> None:
    verdict = _judge(Counters())
    assert verdict.outcome is Judgement.INCONCLUSIVE
    assert {Code.NO_TRAFFIC, Code.INSUFFICIENT_EVIDENCE} <= _codes(verdict)


@pytest.mark.feature("D13.17", "D13.18")
@pytest.mark.parametrize("metric", [Metric.ERROR, Metric.SLOW, Metric.UNGROUNDED, Metric.POLICY])
def test_one_metric_without_data_is_never_go(metric: Metric) -> None:
    counters = clean()
    left = {one: count for one, count in counters.metrics.items() if one is not metric}
    verdict = _judge(replace(counters, metrics=left))
    assert verdict.outcome is Judgement.INCONCLUSIVE


@pytest.mark.feature("D13.20")
@pytest.mark.parametrize(
    ("context", "code"),
    [
        (replace(READY, bake_over=False), Code.INSUFFICIENT_EVIDENCE),
        (replace(READY, gate_holds=False), Code.GATE_NOT_MET),
        (replace(READY, has_control=False), Code.NO_CONTROL),
        (replace(READY, blockers=(CLOCK,)), Code.CLOCK_ERROR),
        (replace(READY, blockers=(replace(CLOCK, code=Code.RECORD_LAG),)), Code.RECORD_LAG),
        (replace(READY, feedback_required=True), Code.INSUFFICIENT_EVIDENCE),
    ],
)
def test_what_the_caller_knows_against_it_blocks_go(context: Context, code: Code) -> None:
    counters = having(Metric.FEEDBACK, counted(5))
    verdict = _judge(counters, context)
    assert verdict.outcome is Judgement.INCONCLUSIVE
    assert _codes(verdict) == {code}


def test_full_weight_needs_no_control() -> None:
    verdict = _judge(replace(clean(), relative={}), replace(READY, has_control=False, full_weight=True))
    assert verdict.outcome is Judgement.GO
    assert verdict.tests["hold.relative_error"].standing is Standing.ABSENT


@pytest.mark.feature("D13.20")
def test_enough_good_feedback_proves_the_required_criterion() -> None:
    assert _judge(clean(), replace(READY, feedback_required=True)).outcome is Judgement.GO


@pytest.mark.parametrize(
    ("change", "code", "effect"),
    [
        ({"recorded": 9_900}, Code.OBSERVATION_GAP, Effect.HOLD),
        ({"admitted": 9_900}, Code.OBSERVATION_GAP, Effect.HOLD),
        ({"unscored": 101}, Code.JUDGE_ERROR, Effect.NONE),
        ({"answers": 0, "unscored": 1}, Code.JUDGE_ERROR, Effect.NONE),
        ({"routed": ()}, Code.INSUFFICIENT_EVIDENCE, Effect.NONE),
    ],
)
def test_counts_that_cannot_be_believed_block_go(change: dict[str, int], code: Code, effect: Effect) -> None:
    verdict = _judge(replace(clean(), **change))  # type: ignore[arg-type]  # the table changes integers and one tuple
    assert (verdict.outcome, verdict.effect) == (Judgement.INCONCLUSIVE, effect)
    assert _codes(verdict) == {code}


def test_three_unexplained_requests_are_no_gap_and_a_percent_unscored_no_error() -> None:
    assert _judge(replace(clean(), recorded=9_997, unscored=100)).outcome is Judgement.GO
    few = replace(clean(), admitted=100, recorded=97)
    assert _judge(few).outcome is Judgement.GO
    assert Code.OBSERVATION_GAP in _codes(_judge(replace(few, recorded=96)))


def test_a_router_that_skips_one_in_three_makes_every_verdict_inconclusive_and_holds() -> None:
    skipped = replace(clean(), routed=(Routed(fraction_ppm=50_000, principals=10_000, candidate=333),))
    for counters in (skipped, having(Metric.SHED, counted(10_000, 500), skipped)):
        verdict = _judge(counters)
        assert (verdict.outcome, verdict.effect) == (Judgement.INCONCLUSIVE, Effect.HOLD)
        assert Code.SAMPLE_RATIO in _codes(verdict)


def test_no_doubt_about_the_router_delays_a_rollback() -> None:
    skipped = replace(clean(), routed=(Routed(fraction_ppm=50_000, principals=10_000, candidate=333),))
    verdict = _judge(having(Metric.ERROR, counted(1000, 50), skipped))
    assert (verdict.outcome, verdict.effect) == (Judgement.NO_GO, Effect.ROLLBACK)


def test_an_impossible_split_is_written_and_signed() -> None:
    verdict = _judge(replace(clean(), routed=(Routed(fraction_ppm=1_000_000, principals=9, candidate=8),)))
    assert verdict.tests["check.sample_ratio"].as_json()["log_e"] == "inf"
    assert verdict.digest.startswith("sha256:")


@pytest.mark.feature("D13.9", "DT.1", "DT.2")
@pytest.mark.parametrize(
    ("metric", "name", "effect"),
    [
        (Metric.ERROR, "trip.error", Effect.ROLLBACK),
        (Metric.STALLED, "trip.p95", Effect.ROLLBACK),
        (Metric.UNGROUNDED, "trip.ungrounded", Effect.ROLLBACK),
        (Metric.POLICY, "trip.policy", Effect.ROLLBACK),
        (Metric.SLOW, "hold.p95", Effect.HOLD),
        (Metric.FEEDBACK, "hold.feedback", Effect.HOLD),
        (Metric.SHED, "hold.shed", Effect.HOLD),
    ],
)
def test_a_guard_fires_on_its_own_metric_with_its_effect(metric: Metric, name: str, effect: Effect) -> None:
    verdict = _judge(having(metric, counted(1000, 400)))
    assert (verdict.outcome, verdict.effect) == (Judgement.NO_GO, effect)
    assert name in verdict.fired


@pytest.mark.feature("D13.36")
@pytest.mark.parametrize("metric", [Metric.ERROR, Metric.SLOW, Metric.REFUSED, Metric.CLIENT_GONE])
def test_a_relative_guard_fires_on_three_principals_and_not_on_two(metric: Metric) -> None:
    def with_arms(candidate: int) -> Counters:
        base = clean()
        rows = {**base.relative, metric: (FailureArms(fraction_ppm=10_000, candidate=candidate),)}
        return replace(base, relative=rows)

    assert _judge(with_arms(3)).fired == (f"hold.relative_{metric.value}",)
    assert _judge(with_arms(2)).fired == ()


def test_a_late_regression_fires_beside_its_silent_trip() -> None:
    alarm = math.log(11_000 / 0.0015) + 1e-6
    verdict = _judge(having(Metric.ERROR, counted(10_000, 4, cusum=alarm)))
    assert "trip.error_late" in verdict.fired
    assert "trip.error" not in verdict.fired
    assert verdict.effect is Effect.ROLLBACK
    assert _judge(having(Metric.ERROR, counted(10_000, 0, cusum=-math.inf))).outcome is Judgement.GO


def test_one_principal_alone_fires_no_guard_where_others_were_seen() -> None:
    alone = having(Metric.ERROR, counted(1000, 60, failing=1, cusum=100.0))
    assert _judge(alone).fired == ()
    assert "trip.error" in _judge(having(Metric.ERROR, counted(1000, 60, failing=2))).fired
    assert "trip.error" in _judge(replace(alone, principals=1)).fired


def test_a_single_failure_fires_nothing_however_strong() -> None:
    verdict = _judge(having(Metric.SHED, counted(1, 1)))
    shed = verdict.tests["hold.shed"]
    assert shed.log_e is not None
    assert shed.threshold is not None
    assert shed.log_e > shed.threshold
    assert shed.standing is Standing.QUIET


def test_a_fired_guard_stays_fired_until_a_person_releases_it() -> None:
    context = replace(READY, latched=("hold.shed", "trip.gone_test"))
    verdict = _judge(clean(), context)
    assert (verdict.outcome, verdict.effect) == (Judgement.NO_GO, Effect.ROLLBACK)
    assert verdict.fired == ("hold.shed", "trip.gone_test")
    assert _judge(clean(), replace(READY, latched=("hold.shed",))).effect is Effect.HOLD


@pytest.mark.feature("D13.19")
def test_a_hard_event_rolls_back_and_a_critical_incident_holds() -> None:
    event = Reason(code=Code.HARD_EVENT, text="A secret was sent.")
    incident = Reason(code=Code.CRITICAL_INCIDENT, text="SEV2 names the candidate.")
    verdict = _judge(clean(), replace(READY, hard_events=(event,)))
    assert (verdict.outcome, verdict.effect, verdict.reasons) == (Judgement.NO_GO, Effect.ROLLBACK, (event,))
    held = _judge(clean(), replace(READY, incidents=(incident,)))
    assert (held.outcome, held.effect) == (Judgement.NO_GO, Effect.HOLD)


def test_a_test_that_breaks_makes_the_verdict_inconclusive_and_silences_no_guard() -> None:
    base = clean()
    broken = replace(base, relative={Metric.ERROR: (FailureArms(fraction_ppm=50_000, candidate=-1),)})
    verdict = _judge(broken)
    assert verdict.outcome is Judgement.INCONCLUSIVE
    assert _codes(verdict) == {Code.INTERNAL_ERROR}
    assert verdict.tests["hold.relative_error"].standing is Standing.BROKEN
    assert _judge(having(Metric.ERROR, counted(1000, 50), broken)).effect is Effect.ROLLBACK
    nan = _judge(having(Metric.ERROR, counted(10_000, 0, cusum=math.nan)))
    assert (nan.outcome, nan.tests["trip.error_late"].log_e) == (Judgement.INCONCLUSIVE, None)


def test_go_is_not_latched() -> None:
    assert _judge(having(Metric.ERROR, counted(10_000, 1))).outcome is Judgement.GO
    later = _judge(having(Metric.ERROR, counted(10_000, 6)))
    assert later.outcome is Judgement.INCONCLUSIVE


def test_a_verdict_is_canonical_json_without_fractions_and_its_digest_covers_every_field() -> None:
    verdict = _judge(clean())
    value = parse_json(verdict.canonical())
    assert canonical_bytes(value, form=Form.ENTRY) == verdict.canonical()
    changed = [
        replace(verdict, attempt=2),
        replace(verdict, reasons=()),
        replace(verdict, subject=replace(verdict.subject, ledger_to=10)),
        _judge(clean(10_001)),
    ]
    assert len({verdict.digest, *(one.digest for one in changed)}) == 5
    assert _judge(clean()).canonical() == verdict.canonical()


@given(st.sampled_from(list(Metric)), st.integers(0, 10_000), st.integers(1, 100))
def test_more_failures_never_turn_a_verdict_into_go(metric: Metric, x: int, more: int) -> None:
    fewer = _judge(having(metric, counted(10_100, x)))
    worse = _judge(having(metric, counted(10_100, x + more)))
    if worse.outcome is Judgement.GO:
        assert fewer.outcome is Judgement.GO
    if fewer.outcome is Judgement.NO_GO:
        assert worse.outcome is Judgement.NO_GO


@given(st.integers(1, 10**9), st.floats(0.01, 1.0))
def test_a_bad_record_of_any_size_is_never_go(n: int, share: float) -> None:
    x = min(n, max(1, math.ceil(share * n)))
    assert _judge(having(Metric.ERROR, counted(n, x))).outcome is not Judgement.GO


@pytest.mark.parametrize("name", ["error_go", "slow", "policy_trip", "shed"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, math.nan])
def test_a_limit_outside_zero_and_one_does_not_construct(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})
    with pytest.raises(ValueError, match="go"):
        Alphas(go=value)


def test_a_relative_ratio_may_be_above_one() -> None:
    assert Limits(ratio=3.0).ratio == 3.0
    with pytest.raises(ValueError, match="ratio"):
        Limits(ratio=math.inf)
