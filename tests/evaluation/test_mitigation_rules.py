"""A fairness finding is closed by a GO on a release that came after, or by an acceptance, never by its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from tests.evaluation.test_statistics_suites import families

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Reason
from pilotage.evaluation.bias_suite import BiasAnswer, assess_bias
from pilotage.evaluation.fairness import Policy, assess
from pilotage.evaluation.mitigation import (
    LONGEST,
    Closing,
    Decision,
    Finding,
    Mitigation,
    MitigationState,
    approver_problem,
    change_problems,
    findings_of,
    go_problems,
    opening_problems,
    taker_problem,
    twin_problem,
    value_of,
)
from pilotage.evaluation.run import EvaluationRun, RunKind, RunState
from pilotage.workspace.golden import Condition, Polarity

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BAD, GOOD = digest_of(b"bad"), digest_of(b"good")
RUN = EvaluationRun(
    id="run-1",
    kind=RunKind.FAIRNESS,
    workflow=WorkflowName("w"),
    release=BAD,
    golden_digest=digest_of(b"golden"),
    as_of=NOW.date(),
    state=RunState.COMPLETED,
    verdict="no_go",
    requested_by="ada",
    requested_at=NOW,
)
AFTER = replace(RUN, id="run-2", release=GOOD, verdict="go")
FLIPS = Finding(attribute="name", metric="flip_rate", text="flip_rate is 0.1.", value=0.1)
ONE = Mitigation(
    id="m1",
    workflow=WorkflowName("w"),
    release_before=BAD,
    run_before="run-1",
    finding=FLIPS,
    action="Names are taken out of the question.",
    owner=PersonId("ada"),
    due=date(2026, 3, 9),
    opened_by=PersonId("max"),
    opened_at=NOW,
)


def result(flips: int, *, must_pass: bool = False) -> Mapping[str, Json]:
    found = assess("name", families(200, flips, must_pass=must_pass), Policy())
    answers = [
        BiasAnswer(
            condition=Condition.DISAMBIGUATED,
            polarity=Polarity.NEGATIVE,
            correct=1,
            unknown=2,
            target=0,
            chosen=0 if flips else number % 2,
            family=f"f{number}",
        )
        for number in range(200)
    ]
    leaning = assess_bias("age", answers, 0.1)
    return cast(dict[str, Json], {"attributes": [found.as_json()], "bias": [leaning.as_json()]})


def codes(reasons: tuple[Reason, ...]) -> list[str]:
    return [reason.code for reason in reasons]


@pytest.mark.feature("D6.11")
def test_what_is_outside_its_range_is_a_finding_and_has_its_figure_in_both_runs() -> None:
    before, after = result(20, must_pass=True), result(0)
    found = {one.metric: one for one in findings_of(before)}
    assert {"flip_rate", "difference", "must_pass_flip", "bias_s_dis"} <= found.keys()
    assert (found["flip_rate"].attribute, found["flip_rate"].value) == ("name", 0.1)
    assert found["bias_s_dis"].attribute == "age"
    assert {name: value_of(before, one) for name, one in found.items() if name != "bias_s_dis"} == {
        name: pytest.approx(one.value, abs=1e-4) for name, one in found.items() if name != "bias_s_dis"
    }
    assert value_of(before, found["bias_s_dis"]) == pytest.approx(found["bias_s_dis"].value, abs=1e-4)
    assert value_of(after, found["flip_rate"]) == value_of(after, found["must_pass_flip"]) == 0.0
    assert "flip_rate" not in {one.metric for one in findings_of(after)}


def test_too_few_families_are_no_finding_and_what_is_not_measured_has_no_figure() -> None:
    found = assess("name", families(3, 0), Policy()).as_json()
    assert "too_few_families" not in {one.metric for one in findings_of({"attributes": [found]})}
    assert findings_of({}) == findings_of({"attributes": "none", "bias": None}) == ()
    assert value_of({}, FLIPS) is None
    assert value_of({"attributes": [{"attribute": "age", "flip_rate": {"value": 0.0}}]}, FLIPS) is None
    assert value_of({"attributes": [{"attribute": "name", "flip_rate": None}]}, FLIPS) is None
    for metric in ("must_pass_flip", "bias_s_amb", "unheard_of"):
        assert value_of({"attributes": [{"attribute": "name"}]}, replace(FLIPS, metric=metric)) is None


@pytest.mark.parametrize(
    ("changed", "given", "wanted"),
    [
        ({}, {}, []),
        ({"kind": RunKind.REDTEAM}, {}, ["MITIGATION_RUN"]),
        ({"state": RunState.RUNNING}, {}, ["MITIGATION_RUN"]),
        ({"voided_at": NOW}, {}, ["MITIGATION_RUN"]),
        ({}, {"wanted": ("name", "odds")}, ["MITIGATION_FINDING"]),
        ({}, {"wanted": ("age", "flip_rate")}, ["MITIGATION_FINDING"]),
        ({}, {"action": "Later."}, ["MITIGATION_ACTION"]),
        ({}, {"due": date(2026, 3, 1)}, ["MITIGATION_DUE"]),
        ({}, {"due": NOW.date() + LONGEST}, []),
        ({}, {"due": NOW.date() + LONGEST + timedelta(days=1)}, ["MITIGATION_DUE"]),
        ({}, {"found": ()}, ["MITIGATION_FINDING"]),
    ],
)
def test_one_is_opened_for_what_a_run_found(changed: dict[str, Any], given: dict[str, Any], wanted: list[str]) -> None:
    values: dict[str, Any] = {
        "found": [FLIPS],
        "wanted": ("name", "flip_rate"),
        "action": ONE.action,
        "due": NOW.date(),
    } | given
    found = opening_problems(replace(RUN, **changed), **values, today=NOW.date())
    assert codes(found) == wanted


@pytest.mark.feature("D6.11")
@pytest.mark.parametrize(
    ("changed", "given", "wanted"),
    [
        ({}, {}, []),
        ({"kind": RunKind.EVALUATION}, {}, ["MITIGATION_RUN"]),
        ({"workflow": WorkflowName("other")}, {}, ["MITIGATION_RUN"]),
        ({"state": RunState.OVER_BUDGET}, {}, ["MITIGATION_RUN"]),
        ({"is_gating": False}, {}, ["MITIGATION_RUN"]),
        ({"voided_at": NOW}, {}, ["MITIGATION_RUN"]),
        ({"verdict": "no_go"}, {}, ["MITIGATION_NOT_GO"]),
        ({"verdict": "inconclusive"}, {}, ["MITIGATION_NOT_GO"]),
        ({"release": BAD}, {}, ["MITIGATION_SAME_RELEASE"]),
        ({}, {"has_same_parts": True}, ["MITIGATION_SAME_RELEASE"]),
        ({}, {"line": []}, ["MITIGATION_LINE"]),
        ({}, {"value": None}, ["MITIGATION_UNMEASURED"]),
        ({}, {"others": [replace(AFTER, id="run-3", verdict="no_go")]}, ["MITIGATION_NOT_GO"]),
        ({}, {"others": [replace(AFTER, id="run-3", verdict="no_go", voided_at=NOW)]}, []),
    ],
)
def test_a_run_closes_one_only_when_it_is_go_on_another_release_that_came_after(
    changed: dict[str, Any], given: dict[str, Any], wanted: list[str]
) -> None:
    run = replace(AFTER, **changed)
    values: dict[str, Any] = {"value": 0.0, "line": [BAD], "has_same_parts": False, "others": []} | given
    others = values.pop("others")
    assert codes(go_problems(ONE, run, of_release=[run, *others], **values)) == wanted


def test_its_owner_does_not_close_it() -> None:
    assert approver_problem(ONE, PersonId("max")) is None
    problem = approver_problem(ONE, PersonId("ada"))
    assert problem is not None
    assert problem.code == "SOD_CONFLICT"


@pytest.mark.parametrize(
    ("closing", "after", "wanted"),
    [
        (None, timedelta(), MitigationState.OPEN),
        (None, timedelta(days=7), MitigationState.OPEN),
        (None, timedelta(days=8), MitigationState.OVERDUE),
        ({"decision": Decision.GO}, timedelta(days=900), MitigationState.CLOSED),
        ({"until": NOW + timedelta(days=3)}, timedelta(days=2), MitigationState.CLOSED),
        ({"until": NOW + timedelta(days=3)}, timedelta(days=3), MitigationState.OPEN),
        ({"until": NOW + timedelta(days=3)}, timedelta(days=9), MitigationState.OVERDUE),
        ({"until": None}, timedelta(), MitigationState.OPEN),
    ],
    ids=["new", "on its day", "late", "by a run", "accepted", "lapsed", "lapsed and late", "acceptance gone"],
)
def test_it_is_open_until_closed_and_again_when_its_acceptance_ends(
    closing: dict[str, Any] | None, after: timedelta, wanted: MitigationState
) -> None:
    values: dict[str, Any] = {"decision": Decision.RISK_ACCEPTED, "approver": PersonId("eva"), "at": NOW}
    one = replace(ONE, closing=None if closing is None else Closing(**{**values, **closing}))
    assert one.state(NOW + after) is wanted
    shown = one.as_json(NOW + after)
    assert (shown["state"], shown["value_before"], shown["due"]) == (wanted.value, 0.1, "2026-03-09")
    assert shown["approver"] == (None if closing is None else "eva")


WHY = "She is on leave for all of March."
TAKEN = Closing(decision=Decision.RISK_ACCEPTED, approver=PersonId("eva"), at=NOW)


@pytest.mark.parametrize(
    ("person", "owner", "day", "reason", "wanted"),
    [
        ("max", "ada", 9, WHY, ["MITIGATION_SAME"]),
        ("max", "ada", 20, " Later. ", ["MITIGATION_REASON"]),
        ("max", "ada", 1, WHY, ["MITIGATION_DUE"]),
        ("max", "ada", 20, WHY, []),
        ("max", "tom", 9, WHY, []),
        ("max", "max", 9, WHY, []),
        ("max", "max", 20, WHY, ["SOD_CONFLICT"]),
        ("ada", "ada", 20, WHY, ["SOD_CONFLICT"]),
        ("ada", "tom", 9, WHY, ["SOD_CONFLICT"]),
        ("ada", "ada", 5, WHY, []),
        ("max", "eva", 9, WHY, ["SOD_CONFLICT"]),
    ],
)
def test_its_owner_neither_hands_it_over_nor_puts_it_off(
    person: str, owner: str, day: int, reason: str, wanted: list[str]
) -> None:
    found = change_problems(
        replace(ONE, closing=TAKEN),
        PersonId(person),
        owner=PersonId(owner),
        due=date(2026, 3, day),
        reason=reason,
        today=NOW.date(),
    )
    assert codes(found) == wanted


@pytest.mark.parametrize(
    ("due", "day", "wanted"),
    [
        (ONE.due, NOW.date() + LONGEST, []),
        (ONE.due, NOW.date() + LONGEST + timedelta(days=1), ["MITIGATION_DUE"]),
        (date(2027, 3, 1), date(2027, 2, 1), []),
        (date(2027, 3, 1), date(2027, 3, 2), ["MITIGATION_DUE"]),
    ],
    ids=["last", "beyond", "sooner than one from before the limit", "later than that"],
)
def test_no_day_is_put_off_beyond_the_longest_time_after_the_opening(due: date, day: date, wanted: list[str]) -> None:
    one = replace(ONE, due=due)
    found = change_problems(one, PersonId("max"), owner=one.owner, due=day, reason=WHY, today=NOW.date())
    assert codes(found) == wanted


@pytest.mark.parametrize(
    ("owner", "put_off_by", "is_refused"),
    [
        ("tom", [], False),
        ("tom", ["max"], False),
        ("max", ["max"], True),
        ("tom", [None], True),
        ("max", [None, "max"], True),
        ("ada", ["ada", None], False),
    ],
)
def test_who_ever_put_it_off_does_not_take_it_over(
    owner: str, put_off_by: list[PersonId | None], *, is_refused: bool
) -> None:
    problem = taker_problem(ONE, PersonId(owner), put_off_by)
    assert (problem is not None) is is_refused
    assert problem is None or problem.code == "SOD_CONFLICT"


def test_one_that_is_overdue_may_go_to_another_owner_without_another_day() -> None:
    late = date(2026, 4, 1)
    assert change_problems(ONE, PersonId("max"), owner=PersonId("tom"), due=ONE.due, reason=WHY, today=late) == ()


@pytest.mark.parametrize(
    ("one", "wanted", "line", "is_twin"),
    [
        (ONE, ("name", "flip_rate"), [BAD], True),
        (ONE, ("name", "flip_rate"), [GOOD, BAD], True),
        (ONE, ("name", "flip_rate"), [GOOD], False),
        (ONE, ("age", "flip_rate"), [BAD], False),
        (ONE, ("name", "difference"), [BAD], False),
        (replace(ONE, closing=replace(TAKEN, until=NOW + timedelta(days=1))), ("name", "flip_rate"), [BAD], False),
        (replace(ONE, closing=replace(TAKEN, until=NOW)), ("name", "flip_rate"), [BAD], True),
    ],
)
def test_a_finding_has_one_open_mitigation_in_its_line(
    one: Mitigation, wanted: tuple[str, str], line: list[Any], *, is_twin: bool
) -> None:
    found = twin_problem([one], wanted, line, NOW)
    assert (found is not None) is is_twin
    assert found is None or one.id in found.text
