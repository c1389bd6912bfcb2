"""The risk register: what is declared, what Pilotage adds by itself, and that nothing written there gets lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gate.builders import NOW, Accepting

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Outcome
from pilotage.evaluation.mitigation import Closing, Decision, Finding, Mitigation
from pilotage.gate.report import CriterionResult
from pilotage.gate.risks import (
    Exposed,
    Risk,
    declared_risks,
    generated_risks,
    mitigation_risks,
    untreated,
    without_owner,
)

ROW: dict[str, Json] = {
    "id": "R1",
    "title": "A wrong rate is quoted",
    "source": "workshop",
    "likelihood": 2,
    "impact": 4,
    "owner": "ada",
    "treatment": "mitigated",
    "control": "Answers cite their page",
    "residual": 3,
    "status": "closed",
}
R1 = Risk(
    id="R1",
    title="A wrong rate is quoted",
    source="workshop",
    likelihood=2,
    impact=4,
    owner="ada",
    treatment="mitigated",
    control="Answers cite their page",
    residual=3,
    status="closed",
)


def declared(*rows: Json) -> tuple[Risk, ...]:
    return declared_risks({"risks": list(rows)}, ["ada"])


@pytest.mark.feature("D6.3", "D12.10")
def test_a_row_is_read_as_it_is_written() -> None:
    assert declared(ROW) == (R1,)
    assert untreated([R1]) == without_owner([R1]) == ()
    assert declared_risks({}, ["ada"]) == declared_risks({"risks": None}, ["ada"]) == ()


@pytest.mark.feature("D6.24")
@pytest.mark.parametrize("owner", ["", "nobody-declared"])
def test_an_owner_who_is_no_declared_person_counts_as_none(owner: str) -> None:
    found = declared({**ROW, "owner": owner})
    assert without_owner(found) == found


@pytest.mark.feature("D6.24", "D12.2", "D12.42")
@pytest.mark.parametrize(
    ("changed", "is_treated"),
    [
        ({"treatment": " Accept "}, True),
        ({"treatment": "transfer"}, True),
        ({"treatment": "later"}, False),
        ({"treatment": ""}, False),
        ({"control": "  "}, False),
    ],
    ids=["as typed", "transferred", "another word", "no treatment", "no control"],
)
def test_a_risk_is_treated_by_a_known_treatment_with_a_control(changed: dict[str, Json], is_treated: bool) -> None:
    found = declared({**ROW, **changed})
    assert untreated(found) == (() if is_treated else found)


@pytest.mark.feature("D12.11")
@pytest.mark.parametrize(
    ("changed", "is_treated"),
    [
        ({"due": "2026-03-02"}, True),
        ({"due": "2026-03-01"}, False),
        ({"due": "2026-03-01", "proof": "https://bank.example/change/7"}, True),
        ({"due": "2026-03-01", "treatment": "accept"}, True),
        ({"due": "next week"}, False),
        ({"due": None}, True),
    ],
    ids=["due today", "overdue", "proven", "accepted", "no day", "no date"],
)
def test_a_mitigation_that_is_overdue_without_a_proof_is_none(changed: dict[str, Json], is_treated: bool) -> None:
    (found,) = declared({**ROW, **changed})
    assert found.owner == "ada"
    assert untreated([found], NOW.date()) == (() if is_treated else (found,))
    assert untreated([found]) == (), "whoever asks at no day"
    shown = found.as_json()
    assert (shown.get("due"), shown.get("proof")) == (changed["due"], changed.get("proof"))


def test_a_mitigation_is_a_row_until_it_is_closed_and_untreated_once_it_is_overdue() -> None:
    due = NOW.date() + timedelta(days=7)
    one = Mitigation(
        id="m1",
        workflow=WorkflowName("w"),
        release_before=digest_of(b"bad"),
        run_before="run-1",
        finding=Finding(attribute="name", metric="flip_rate", text="flip_rate is 0.1.", value=0.1),
        action="Names are taken out.",
        owner=PersonId("ada"),
        due=due,
        opened_by=PersonId("max"),
        opened_at=NOW,
    )
    (row,) = found = mitigation_risks([one], ["ada"], NOW)
    assert (row.id, row.owner, row.treatment, row.control) == ("mitigation:m1", "ada", "mitigate", one.action)
    assert untreated(found, due) == without_owner(found) == ()
    assert untreated(found, due + timedelta(days=1)) == found
    left = mitigation_risks([one], ["max"], NOW)
    assert without_owner(left) == left
    closing = Closing(decision=Decision.GO, approver=PersonId("max"), at=NOW)
    assert mitigation_risks([replace(one, closing=closing)], ["ada"], NOW) == ()


@pytest.mark.parametrize("level", [0, 6, -1, True, "3", 2.5, None])
def test_what_is_no_level_counts_as_the_worst(level: Json) -> None:
    (found,) = declared({**ROW, "likelihood": level, "impact": level})
    assert (found.score, found.rating) == (25, "critical")


@pytest.mark.parametrize(
    "row", ["The model may be wrong", 7, ["R1"], {}], ids=["a line of text", "a number", "a list", "an empty record"]
)
def test_a_row_that_is_no_record_stays_in_the_register_untreated(row: Json) -> None:
    found = declared(ROW, row)
    assert untreated(found) == without_owner(found) == found[1:]
    assert [one.id for one in found] == ["R1", "row 2"]


@pytest.mark.parametrize("rows", ["none so far", {"R1": ROW}, 3], ids=["text", "a mapping", "a number"])
def test_risks_that_are_no_list_are_one_untreated_risk(rows: Json) -> None:
    found = declared_risks({"risks": rows}, ["ada"])
    assert len(untreated(found)) == len(without_owner(found)) == 1


def test_a_second_row_of_one_name_does_not_hide_the_first() -> None:
    found = declared({**ROW, "treatment": ""}, ROW)
    assert [one.id for one in found] == ["R1", "R1 (row 2)"]
    assert [one.id for one in untreated(found)] == ["R1"]


@pytest.mark.parametrize(
    ("levels", "rating"),
    [
        ((1, 4), "low"),
        ((1, 5), "medium"),
        ((3, 3), "medium"),
        ((2, 5), "high"),
        ((4, 4), "high"),
        ((4, 5), "critical"),
    ],
)
def test_the_rating_follows_from_likelihood_times_impact(levels: tuple[int, int], rating: str) -> None:
    likelihood, impact = levels
    one = replace(R1, likelihood=likelihood, impact=impact)
    assert (one.score, one.rating) == (likelihood * impact, rating)
    assert (one.as_json()["score"], one.as_json()["rating"]) == (likelihood * impact, rating)


# What Pilotage adds by itself


def result(name: str, outcome: Outcome) -> CriterionResult:
    return CriterionResult(id=name, state=outcome.value, outcome=outcome, checks=(), accept="medium")


def generated(*flags: str, treated: Risk | None = None) -> tuple[Risk, ...]:
    known = {} if treated is None else {treated.id: treated}
    return generated_risks(flags, [], [], owner="ada", treated=known)


@pytest.mark.feature("D12.10")
def test_each_flag_of_the_release_is_a_risk_of_its_owner_once() -> None:
    found = generated("TOOL_ADDED", "EGRESS_ADDED", "TOOL_ADDED", "A_NEW_FLAG")
    assert [(one.id, one.rating, one.owner) for one in found] == [
        ("flag:A_NEW_FLAG", "medium", "ada"),
        ("flag:EGRESS_ADDED", "high", "ada"),
        ("flag:TOOL_ADDED", "high", "ada"),
    ]
    assert untreated(found) == found
    assert all(one.generated for one in found)


@pytest.mark.parametrize(("owner", "wanted"), [("ben", "ben"), ("", "ada")])
def test_a_declared_row_of_its_name_treats_a_generated_risk_and_never_removes_it(owner: str, wanted: str) -> None:
    row = replace(R1, id="flag:TOOL_ADDED", owner=owner)
    (found,) = generated("TOOL_ADDED", treated=row)
    assert (found.treatment, found.control, found.status, found.owner) == ("mitigated", R1.control, "closed", wanted)
    assert found.title == "The release may call a new tool"
    assert untreated([found]) == ()


def test_a_floating_model_an_undecidable_metric_and_an_ending_acceptance_are_risks() -> None:
    accepted = Accepting(criteria=("latency",)).made()
    exposed = Exposed(is_floating=True, undecidable=2, ending=(accepted,), untested=("eu-central-1",))
    found = {one.id: one for one in generated_risks([], [], [], owner="ada", treated={}, exposed=exposed)}
    assert list(found) == ["model:floating", "rollout:undecidable", "region:eu-central-1", "acceptance:risk-1"]
    untreated_now = {one.id for one in untreated(found.values())}
    assert untreated_now == {"model:floating", "rollout:undecidable", "region:eu-central-1"}
    assert "2 metrics" in found["rollout:undecidable"].title
    covered = replace(exposed, pinned_by=accepted)
    (model, *_) = generated_risks([], [], [], owner="ada", treated={}, exposed=covered)
    assert (model.id, model.treatment, model.owner) == ("model:floating", "accept", accepted.owner)
    assert generated_risks([], [], [], owner="ada", treated={}) == ()


@pytest.mark.feature("D12.42", "DE.2")
def test_criteria_that_do_not_hold_are_risks_and_an_acceptance_in_force_treats_one() -> None:
    results = [
        ("cab", result("tests", Outcome.OK)),
        ("cab", result("latency", Outcome.NOT_OK)),
        ("qa", result("scan", Outcome.INCONCLUSIVE)),
    ]
    accepted = Accepting(criteria=("latency",)).made()
    found = generated_risks([], results, [accepted], owner="ada", treated={})
    assert untreated(found) == found, "an acceptance that covers nothing treats nothing"
    results[1] = ("cab", replace(results[1][1], accepted_by=accepted.id))
    found = generated_risks([], results, [accepted], owner="ada", treated={})
    assert [one.id for one in found] == ["criterion:cab/latency", "criterion:qa/scan"]
    covered, open_ = found
    assert (covered.treatment, covered.control) == ("accept", "Capacity is doubled by Friday")
    assert (covered.likelihood, covered.impact) == (accepted.likelihood, accepted.impact)
    assert (covered.owner, covered.status) == (accepted.owner, f"accepted until {accepted.expires:%Y-%m-%d}")
    assert accepted.expires > NOW
    assert untreated(found) == (open_,)
    assert (open_.title, open_.owner) == ("qa: scan is inconclusive", "ada")
