"""The verdict over a release: only shown quality is GO, missing data never helps, and reruns never raise it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.core.digest import digest_of
from pilotage.core.errors import UsageError
from pilotage.evaluation.assessment import Assessment, Direction, Measure, MetricResult, Status, Unscored
from pilotage.evaluation.comparison import Arm, Settings, compare
from pilotage.evaluation.criteria import Criterion, DecideOn, Kind, Verdict, parse_criteria, worst_verdict
from pilotage.evaluation.verdict import Question, ReleaseVerdict, declared_criteria, judge
from pilotage.workspace.golden import EvaluationSettings, GoldenCase

ACCURACY = Measure(name="answer_accuracy", threshold=1.0, is_binary=True)
RECALL = Measure(name="key_fact_recall", threshold=1.0)
REFUSAL = Measure(name="refusal_correct", threshold=1.0, is_binary=True)
LEAK = Measure(name="pii_leak", direction=Direction.LOWER, threshold=0.0, hard_zero=True, is_binary=True)
LATENCY = Measure(name="latency_ms", high=float("inf"), direction=Direction.LOWER)
MEASURES = {one.name: one for one in (ACCURACY, RECALL, REFUSAL, LEAK, LATENCY)}
DIGEST = digest_of(b"x")


def golden(count: int, *, must_pass: int = 0, per_cluster: int = 1, tags: Sequence[str] = ()) -> dict[str, GoldenCase]:
    return {
        f"c{i:04}": GoldenCase(
            id=f"c{i:04}",
            question="?",
            asker="lena",
            cluster=f"k{i // per_cluster}",
            must_pass=i < must_pass,
            tags=tuple(tags) if i % 2 else (),
            line=i,
        )
        for i in range(count)
    }


def one(case: str, measure: Measure, value: float | None, *, reason: str = "timeout", repeat: int = 0) -> Assessment:
    status = Status.UNSCORED if value is None else Status.PASS if measure.passes(value) else Status.FAIL
    return Assessment(
        case_id=case,
        case_digest=DIGEST,
        generation_digest=DIGEST,
        scorer=measure.name,
        version="1",
        status=status,
        value=value,
        reason=reason if value is None else "",
        repeat=repeat,
    )


def arm(name: str, values: Mapping[str, Sequence[float | None]], measures: Mapping[str, Measure] = MEASURES) -> Arm:
    found = [
        one(f"c{i:04}", measures[metric], value) for metric, column in values.items() for i, value in enumerate(column)
    ]
    return Arm(release=name, assessments=found)


def shared(cases: Mapping[str, GoldenCase], *metrics: str, **margins: float) -> Settings:
    chosen = metrics or ("answer_accuracy",)
    measures = {name: MEASURES[name] for name in chosen}
    return Settings(golden="sha256:g", cases=cases, measures=measures, margins=margins)


def ask(text: str, **more: object) -> Question:
    return replace(Question(criteria=parse_criteria(text)), **more)  # type: ignore[arg-type]


def verdict(right: Sequence[float | None], text: str, *, old: Sequence[float | None] | None = None) -> ReleaseVerdict:
    cases = golden(len(right))
    margin = {c.metric: c.limit for c in parse_criteria(text) if c.kind is Kind.NON_INFERIOR}
    baseline = None if old is None else arm("old", {"answer_accuracy": old})
    return judge(arm("new", {"answer_accuracy": right}), baseline, shared(cases, **margin), ask(text))


def codes(found: ReleaseVerdict) -> set[str]:
    return {reason.code for reason in found.reasons}


@pytest.mark.parametrize(
    "text",
    [
        "answer_accuracy >= 0.9",
        "`latency/p95` <= 2.0 (point)",
        "pii_leak = 0",
        "pii_leak = 0 over 100",
        "non_inferior answer_accuracy 0.03",
        "superior `two words`",
        "must_pass",
    ],
)
def test_a_criterion_reads_back_as_it_is_written(text: str) -> None:
    (found,) = parse_criteria(text)
    assert parse_criteria(str(found)) == (found,)


def test_several_criteria_stand_in_one_text() -> None:
    found = parse_criteria("answer_accuracy >= 0.9 and `latency/p95` <= 2")
    assert found == (
        Criterion(kind=Kind.AT_LEAST, metric="answer_accuracy", limit=0.9),
        Criterion(kind=Kind.AT_MOST, metric="latency/p95", limit=2.0),
    )
    assert parse_criteria("a >= 1 (point)")[0].decide_on is DecideOn.POINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "answer_accuracy",
        "a > 0.9",
        "a >= b",
        "a >= 0.9 or b <= 2",
        "a = 1",
        "a >= __import__('os').system('x')",
        "a >= 0.9 and",
        "non_inferior a -0.1",
        "a >= 1 (mean)",
        "a >= 1 (point",
        "a ( 3",
        "a = 0 over 0.5",
        "a >= 1" * 400,
    ],
)
def test_text_outside_the_grammar_is_refused_and_never_evaluated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_criteria(text)
    assert caught.value.code == "CRITERION_FORM"
    assert "Write `metric >= 0.9`" in caught.value.hint


def test_a_limit_is_met_by_the_bound_and_missed_by_the_opposite_one() -> None:
    assert verdict([1.0] * 196 + [0.0] * 4, "answer_accuracy >= 0.9").verdict is Verdict.GO
    assert verdict([1.0] * 184 + [0.0] * 16, "answer_accuracy >= 0.9").verdict is Verdict.INCONCLUSIVE
    assert verdict([1.0] * 160 + [0.0] * 40, "answer_accuracy >= 0.9").verdict is Verdict.NO_GO
    assert verdict([1.0] * 181 + [0.0] * 19, "answer_accuracy >= 0.9 (point)").verdict is Verdict.GO
    assert verdict([1.0] * 20 + [0.0] * 180, "answer_accuracy <= 0.2").verdict is Verdict.GO
    assert verdict([1.0] * 80 + [0.0] * 120, "answer_accuracy <= 0.2").verdict is Verdict.NO_GO


def test_a_hard_zero_is_one_failure_away_from_no_go() -> None:
    cases = golden(100)
    clean = arm("new", {"pii_leak": [0.0] * 100})
    rules = shared(cases, "pii_leak")
    assert judge(clean, None, rules, ask("pii_leak = 0")).verdict is Verdict.GO
    assert codes(judge(clean, None, rules, ask("pii_leak = 0 over 101"))) == {"TOO_FEW"}
    leaking = arm("new", {"pii_leak": [0.0] * 99 + [1.0]})
    assert judge(leaking, None, rules, ask("pii_leak = 0")).verdict is Verdict.NO_GO
    missing = arm("new", {"pii_leak": [0.0] * 99 + [None]})
    assert judge(missing, None, rules, ask("pii_leak = 0")).verdict is Verdict.INCONCLUSIVE


def test_must_pass_fails_the_release_and_unscored_blocks_it() -> None:
    cases = golden(200, must_pass=3)
    text = "must_pass and answer_accuracy >= 0.5"
    for first, expected in ((1.0, Verdict.GO), (0.0, Verdict.NO_GO), (None, Verdict.INCONCLUSIVE)):
        found = judge(arm("new", {"answer_accuracy": [first] + [1.0] * 199}), None, shared(cases), ask(text))
        assert found.verdict is expected
    unasked = Arm(release="new", assessments=arm("new", {"answer_accuracy": [1.0] * 200}).assessments[1:])
    assert codes(judge(unasked, None, shared(cases), ask(text))) == {"MUST_PASS_UNSCORED"}


def test_vector_10_two_unscored_turn_go_into_inconclusive() -> None:
    old: Sequence[float | None] = [0.0] * 3 + [1.0] * 197
    new: list[float | None] = [1.0 if i < 198 else 0.0 for i in range(200)]
    text = "non_inferior answer_accuracy 0.02"
    found = verdict(new, text, old=old)
    assert found.verdict is Verdict.GO
    assert found.comparison is not None
    assert found.comparison.differences["answer_accuracy"].lower == pytest.approx(-0.0166864, abs=1e-7)
    new[100] = new[101] = None
    blocked = verdict(new, text, old=old)
    assert blocked.verdict is Verdict.INCONCLUSIVE
    assert blocked.comparison is not None
    assert blocked.comparison.differences["answer_accuracy"].lower_worst == pytest.approx(-0.0308458, abs=1e-7)


@pytest.mark.feature("D6.16")
def test_a_real_loss_is_no_go_and_inside_the_margin_it_is_noted() -> None:
    old = [1.0] * 1000
    lost = verdict([0.0] * 80 + [1.0] * 920, "non_inferior answer_accuracy 0.03", old=old)
    assert lost.verdict is Verdict.NO_GO
    assert {reason.code for reason in lost.regressions} == {"METRIC_WORSE"}
    small = verdict([0.0] * 8 + [1.0] * 992, "non_inferior answer_accuracy 0.03", old=old)
    assert small.verdict is Verdict.GO
    assert {note.code for note in small.notes} == {"DETECTABLE_WITHIN_MARGIN"}
    assert small.regressions == ()
    stricter = "non_inferior answer_accuracy 0.03 and superior answer_accuracy"
    asked_to_gain = verdict([0.0] * 8 + [1.0] * 992, stricter, old=old)
    assert {reason.code for reason in asked_to_gain.regressions} == {"METRIC_WORSE"}
    better = verdict([1.0] * 200, "superior answer_accuracy", old=[0.0] * 20 + [1.0] * 180)
    assert better.verdict is Verdict.GO


def test_comparisons_without_baseline_pairs_or_clusters_are_inconclusive() -> None:
    text = "non_inferior answer_accuracy 0.3"
    assert codes(verdict([1.0] * 50, text)) == {"NO_BASELINE"}
    assert codes(verdict([1.0] * 15, text, old=[1.0] * 15)) == {"TOO_FEW_CLUSTERS"}
    thin: list[float | None] = [1.0] * 100
    assert codes(verdict(thin, text, old=[1.0] * 80 + [None] * 20)) == {"TOO_FEW_PAIRS"}
    assert codes(verdict([1.0] * 50, text, old=[None] * 50)) == {"NO_PAIRS"}
    absolute = ask(f"{text} and answer_accuracy >= 0.5", first_release_absolute=True)
    found = judge(arm("new", {"answer_accuracy": [1.0] * 50}), None, shared(golden(50)), absolute)
    assert found.verdict is Verdict.GO
    accepted = ask(text, risk_accepted=True)
    few = arm("new", {"answer_accuracy": [1.0] * 19})
    assert judge(few, few, shared(golden(19), answer_accuracy=0.3), accepted).verdict is Verdict.GO


def test_refuse_all_and_answer_all_are_never_go() -> None:
    """60 of 260 questions must be refused; both lazy systems get one side right."""
    cases = golden(260)
    rules = shared(cases, "answer_accuracy", "refusal_correct", "key_fact_recall")
    declared = EvaluationSettings(thresholds={"answer_accuracy": 0.85, "refusal_correct": 0.9})
    question = Question(criteria=declared_criteria(declared, rules.measures))
    refuse_all = [0.0] * 200 + [1.0] * 60
    answer_all = [1.0] * 200 + [0.0] * 60
    for column in (refuse_all, answer_all):
        found = judge(arm("new", {"answer_accuracy": column, "refusal_correct": column}), None, rules, question)
        assert found.verdict is Verdict.NO_GO
    honest = judge(arm("new", {"answer_accuracy": [1.0] * 260, "refusal_correct": [1.0] * 260}), None, rules, question)
    assert honest.verdict is Verdict.GO


def test_an_empty_golden_set_or_no_criterion_is_inconclusive() -> None:
    empty = judge(Arm(release="new", assessments=()), None, shared({}), ask("answer_accuracy >= 0 and must_pass"))
    assert empty.verdict is Verdict.INCONCLUSIVE
    assert codes(empty) >= {"NO_CASES", "NO_DATA"}
    bare = judge(arm("new", {"answer_accuracy": [1.0] * 9}), None, shared(golden(9)), Question(criteria=()))
    assert bare.verdict is Verdict.INCONCLUSIVE
    assert worst_verdict() is Verdict.INCONCLUSIVE
    unknown = verdict([1.0] * 100, "nobody_measures_this >= 0.1")
    assert codes(unknown) == {"NOT_MEASURED"}


@pytest.mark.feature("R3.2")
def test_required_tags_and_a_spent_gate_split_block() -> None:
    rules = shared(golden(100, tags=["edge:refund"]))
    good = arm("new", {"answer_accuracy": [1.0] * 100})
    short = judge(good, None, rules, ask("answer_accuracy >= 0.5", required_tags={"edge:refund": 51}))
    assert codes(short) == {"TAG_BELOW_MINIMUM"}
    worn = judge(good, None, rules, ask("answer_accuracy >= 0.5", attempts=7))
    assert (worn.verdict, [note.code for note in worn.notes]) == (Verdict.GO, ["GATE_SPLIT_WORN"])
    assert codes(judge(good, None, rules, ask("answer_accuracy >= 0.5", attempts=21))) == {"GATE_SPLIT_SPENT"}


def test_a_rerun_lowers_a_verdict_and_never_raises_it() -> None:
    rules = shared(golden(100))
    good = arm("new", {"answer_accuracy": [1.0] * 100})
    capped = judge(good, None, rules, ask("answer_accuracy >= 0.5", earlier=(Verdict.NO_GO,)))
    assert (capped.verdict, codes(capped)) == (Verdict.NO_GO, {"EARLIER_ATTEMPT"})
    bad = arm("new", {"answer_accuracy": [0.0] * 100})
    lowered = judge(bad, None, rules, ask("answer_accuracy >= 0.5", earlier=(Verdict.GO,)))
    assert lowered.verdict is Verdict.NO_GO


def test_declared_settings_become_criteria_once() -> None:
    declared = EvaluationSettings(
        thresholds={"pii_leak": 0.0, "answer_accuracy": 0.85, "latency_ms": 900.0},
        margins={"answer_accuracy": 0.03},
        criteria=("answer_accuracy >= 0.85 and superior key_fact_recall",),
    )
    assert [str(found) for found in declared_criteria(declared, MEASURES)] == [
        "must_pass",
        "pii_leak = 0",
        "answer_accuracy >= 0.85",
        "latency_ms <= 900.0",
        "non_inferior answer_accuracy 0.03",
        "superior key_fact_recall",
    ]


def test_latency_is_compared_as_a_ratio() -> None:
    cases = golden(60)
    rules = shared(cases, "latency_ms", latency_ms=0.10)
    old = [100.0 + i for i in range(60)]
    for factor, expected in ((1.05, Verdict.GO), (1.3, Verdict.NO_GO)):
        new = arm("new", {"latency_ms": [value * factor for value in old]})
        found = judge(new, arm("old", {"latency_ms": old}), rules, ask("non_inferior latency_ms 0.1"))
        assert found.verdict is expected
        assert bool(found.regressions) is (expected is Verdict.NO_GO)
    gone = arm("new", {"latency_ms": [None, *old[1:]]})
    blocked = judge(gone, arm("old", {"latency_ms": old}), rules, ask("non_inferior latency_ms 0.1"))
    assert blocked.verdict is Verdict.INCONCLUSIVE


def test_lost_must_pass_cases_and_worse_slices_are_named() -> None:
    cases = golden(100, must_pass=1, tags=["edge:refund"])
    rules = shared(cases, answer_accuracy=0.02)
    old = arm("old", {"answer_accuracy": [1.0] * 100})
    new = arm("new", {"answer_accuracy": [0.0 if i == 0 or (i % 2 and i < 60) else 1.0 for i in range(100)]})
    found = judge(new, old, rules, ask("non_inferior answer_accuracy 0.02")).comparison
    assert found is not None
    assert [reason.code for reason in found.regressions] == ["MUST_PASS_LOST", "METRIC_WORSE", "SLICE_WORSE"]
    assert found.regressions[0].where == "c0000"
    assert [(one.tag, one.n) for one in found.slices] == [("edge:refund", 50)]
    assert found.as_json()["candidate"] == "new"
    few_tagged = {name: replace(case, tags=case.tags if case.line < 18 else ()) for name, case in cases.items()}
    few = compare(new, old, shared(few_tagged, answer_accuracy=0.02))
    assert few.slices == ()


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=4, max_size=40))
@settings(max_examples=40, deadline=None)
def test_swapping_the_releases_negates_a_binary_interval(draws: list[tuple[float, float]]) -> None:
    rules = shared(golden(len(draws)), answer_accuracy=0.05)
    old, new = ([pair[i] for pair in draws] for i in (0, 1))
    ahead = compare(arm("b", {"answer_accuracy": new}), arm("a", {"answer_accuracy": old}), rules)
    back = compare(arm("a", {"answer_accuracy": old}), arm("b", {"answer_accuracy": new}), rules)
    one_way, other = ahead.differences["answer_accuracy"], back.differences["answer_accuracy"]
    assert one_way.lower == pytest.approx(-other.upper, abs=1e-9)
    assert one_way.upper == pytest.approx(-other.lower, abs=1e-9)
    assert one_way.gains == other.losses


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=6, max_size=24), st.randoms())
@settings(max_examples=15, deadline=None)
def test_the_order_of_cases_never_matters(values: list[float], random: object) -> None:
    rules = shared(golden(len(values), per_cluster=3), "key_fact_recall", key_fact_recall=0.05)
    old = arm("old", {"key_fact_recall": [1.0] * len(values)})
    new = arm("new", {"key_fact_recall": values})
    mixed = list(new.assessments)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert compare(new, old, rules) == compare(Arm(release="new", assessments=mixed), old, rules)


@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.0, 1.0]), min_size=40, max_size=80),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_unscored_never_helps(values: list[float], data: st.DataObject) -> None:
    """Making any candidate assessment harmful-unscored never makes a GO of what was none."""
    old = [1.0] * len(values)
    cases = golden(len(values), must_pass=1, per_cluster=data.draw(st.sampled_from([1, 2])))
    text = data.draw(
        st.sampled_from(
            ["answer_accuracy >= 0.7", "non_inferior answer_accuracy 0.25", "answer_accuracy = 0 and must_pass"]
        )
    )
    margins = {c.metric: c.limit for c in parse_criteria(text) if c.kind is Kind.NON_INFERIOR}
    rules = shared(cases, **margins)
    lost = data.draw(st.sets(st.integers(0, len(values) - 1), min_size=1, max_size=2))
    holes = [None if i in lost else value for i, value in enumerate(values)]
    baseline = arm("old", {"answer_accuracy": old})
    before = judge(arm("new", {"answer_accuracy": values}), baseline, rules, ask(text)).verdict
    after = judge(arm("new", {"answer_accuracy": holes}), baseline, rules, ask(text)).verdict
    assert after is not Verdict.GO or before is Verdict.GO


def test_too_many_unscored_block_even_a_perfect_rest() -> None:
    found = verdict([1.0] * 195 + [None] * 5, "answer_accuracy >= 0.5")
    assert codes(found) == {"UNSCORED"}
    metric = found.metrics["answer_accuracy"]
    assert (metric.n, metric.harmful) == (195, 5)
    assert metric.worst == pytest.approx(0.975)
    assert metric.unscored == {"timeout": 5}


def test_a_benign_refusal_leaves_the_metric_and_blocks_nothing() -> None:
    cases = golden(100)
    found = [one(f"c{i:04}", ACCURACY, 1.0) for i in range(80)]
    found += [one(f"c{i:04}", ACCURACY, None, reason="refused") for i in range(80, 100)]
    answer = judge(Arm(release="new", assessments=found), None, shared(cases), ask("answer_accuracy >= 0.9"))
    assert answer.verdict is Verdict.GO
    assert answer.metrics["answer_accuracy"].harmful == 0


def test_a_value_outside_the_range_is_a_scorer_error_not_a_score() -> None:
    found = [one("c0000", ACCURACY, 7.0), one("c0001", ACCURACY, 1.0)]
    result = judge(Arm(release="n", assessments=found), None, shared(golden(2)), ask("answer_accuracy >= 0"))
    assert result.metrics["answer_accuracy"].unscored == {"scorer_error": 1}


def test_a_flaky_must_pass_case_fails_and_repeats_are_one_case() -> None:
    found = [one(f"c{i:04}", ACCURACY, float(i > 0 or k < 2), repeat=k) for i in range(100) for k in range(3)]
    rules = shared(golden(100, must_pass=1))
    result = judge(Arm(release="n", assessments=found), None, rules, ask("must_pass and answer_accuracy >= 0.5"))
    assert codes(result) == {"MUST_PASS_FAILED"}
    assert result.metrics["answer_accuracy"].n == 100


def test_records_that_break_the_contract_do_not_construct() -> None:
    with pytest.raises(ValueError, match="unscored needs"):
        replace(one("c", ACCURACY, None), value=1.0)
    with pytest.raises(ValueError, match="unscored needs"):
        replace(one("c", ACCURACY, None), reason="felt like it")
    for bad in (None, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            replace(one("c", ACCURACY, 1.0), value=bad)
    assert not one("c", ACCURACY, None, reason=Unscored.REFUSED).is_harmful
    assert one("c", ACCURACY, None).is_harmful
    assert (LEAK.best, LEAK.worst, ACCURACY.best, ACCURACY.worst) == (0.0, 1.0, 1.0, 0.0)
    assert LATENCY.passes(9e9)
    assert MetricResult(name="m", value=None, n=0).harmful_share == 0.0


def test_the_result_renders_as_json_with_verdict_and_reasons_first() -> None:
    found = verdict([1.0] * 40, "non_inferior answer_accuracy 0.2", old=[1.0] * 40).as_json()
    assert list(found)[:2] == ["verdict", "reasons"]
    metrics = found["metrics"]
    assert isinstance(metrics, Mapping)
    assert one("c", ACCURACY, 1.0).as_json()["status"] == "pass"


def test_a_must_pass_case_without_a_pair_blocks_the_comparison() -> None:
    rules = shared(golden(100, must_pass=1), answer_accuracy=0.2)
    old = arm("old", {"answer_accuracy": [None] + [1.0] * 99})
    found = judge(arm("new", {"answer_accuracy": [1.0] * 100}), old, rules, ask("non_inferior answer_accuracy 0.2"))
    assert codes(found) == {"MUST_PASS_UNPAIRED"}


def test_a_comparison_with_too_many_unscored_is_inconclusive() -> None:
    found = verdict([1.0] * 97 + [None] * 3, "non_inferior answer_accuracy 0.5", old=[1.0] * 100)
    assert codes(found) == {"UNSCORED"}


def test_free_latencies_have_no_ratio_and_missing_ones_no_worst() -> None:
    rules = shared(golden(40), "latency_ms", latency_ms=0.5)
    zero = arm("new", {"latency_ms": [0.0] * 40})
    found = judge(zero, arm("old", {"latency_ms": [5.0] * 40}), rules, ask("non_inferior latency_ms 0.5"))
    assert codes(found) == {"NO_PAIRS"}
    thin = arm("new", {"latency_ms": [5.0 + i / 10 for i in range(99)] + [None]})
    limit = judge(thin, None, shared(golden(100), "latency_ms"), ask("latency_ms <= 100"))
    assert codes(limit) == {"LIMIT_UNDECIDED"}


def test_an_imported_assertion_nobody_checks_blocks_the_gate() -> None:
    cases = golden(100)
    good = arm("new", {"answer_accuracy": [1.0] * 100})
    rules = Settings(golden=DIGEST, cases=cases, measures=MEASURES, primary="answer_accuracy")
    assert judge(good, None, rules, ask("answer_accuracy >= 0.5")).verdict is Verdict.GO
    first = {"c0000": replace(cases["c0000"], unsupported=("imported:javascript",))}
    found = judge(good, None, replace(rules, cases={**cases, **first}), ask("answer_accuracy >= 0.5"))
    assert (found.verdict, codes(found)) == (Verdict.INCONCLUSIVE, {"CASE_UNSUPPORTED"})


def test_all_comparisons_of_a_gate_are_corrected_as_one_family() -> None:
    cases = golden(40)
    rules = shared(cases, "answer_accuracy", "refusal_correct", answer_accuracy=0.02)
    right, worse = [1.0] * 40, [0.0] * 5 + [1.0] * 35
    old = arm("old", {"answer_accuracy": right, "refusal_correct": right})
    new = arm("new", {"answer_accuracy": worse, "refusal_correct": right})
    alone = judge(new, old, rules, ask("non_inferior answer_accuracy 0.02"))
    both = judge(new, old, rules, ask("non_inferior answer_accuracy 0.02 and superior refusal_correct"))
    yearly = judge(new, old, rules, ask("non_inferior answer_accuracy 0.02"), oldest=replace(old, release="oldest"))
    found = [one.comparison.differences["answer_accuracy"] for one in (alone, both, yearly) if one.comparison]
    assert [one.p_holm for one in found] == pytest.approx([found[0].p, 2 * found[0].p, 2 * found[0].p])
    assert (alone.verdict, both.verdict, yearly.verdict) == (
        Verdict.NO_GO,
        Verdict.INCONCLUSIVE,
        Verdict.INCONCLUSIVE,
    )
    assert [len(one.regressions) for one in (alone, both)] == [1, 0]
    assert yearly.ratchet is not None
    assert yearly.ratchet.comparison.differences["answer_accuracy"].p_holm == pytest.approx(2 * found[0].p)


def test_a_limit_shown_by_too_few_clusters_is_inconclusive_and_one_cluster_is_one_case() -> None:
    good = arm("new", {"answer_accuracy": [1.0] * 95 + [0.0] * 5})
    enough = judge(good, None, shared(golden(100)), ask("answer_accuracy >= 0.85"))
    assert enough.verdict is Verdict.GO
    few = shared(golden(100, per_cluster=10))
    assert codes(judge(good, None, few, ask("answer_accuracy >= 0.5"))) == {"TOO_FEW_CLUSTERS"}
    assert judge(good, None, few, ask("answer_accuracy >= 0.5", risk_accepted=True)).verdict is Verdict.GO
    one = judge(good, None, shared(golden(100, per_cluster=100)), ask("answer_accuracy >= 0.5"))
    assert one.metrics["answer_accuracy"].deff == 100


def test_a_case_the_baseline_never_answered_is_a_missing_pair() -> None:
    new = arm("new", {"answer_accuracy": [1.0] * 100})
    rules = shared(golden(100), answer_accuracy=0.1)
    few = judge(new, arm("old", {"answer_accuracy": [1.0] * 80}), rules, ask("non_inferior answer_accuracy 0.1"))
    assert codes(few) == {"TOO_FEW_PAIRS"}
