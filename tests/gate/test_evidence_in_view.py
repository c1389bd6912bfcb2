"""Which evidence a gate looks at and what makes it useless: made elsewhere, past its day, clean on somebody's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from tests.gate.builders import (
    DAY,
    EAST,
    GOOD_SCAN,
    NOW,
    adding,
    board_gate,
    criterion,
    empty,
    equal,
    evidence,
    finding,
    knowing,
    role_gate,
)

from pilotage.core.ids import SpaceName
from pilotage.core.reason import Outcome
from pilotage.evidence.records import Evidence, Severity
from pilotage.evidence.scan_result import UNPROVEN
from pilotage.gate.criteria import NOT_APPLICABLE, check_criterion
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput
from pilotage.gate.report import CriterionResult
from pilotage.gate.view import in_view
from pilotage.gate.vocabulary import GateStatus
from pilotage.workspace.gate import Condition, Criterion, Operator, Trust

STAGING, WEST = SpaceName("staging-deployment-space"), SpaceName("production-us-west-space")
GATE = board_gate()
HERE = replace(GATE, space=EAST)
LOAD = criterion("load", "load.peak", equal("errors", 0))
SCAN = replace(criterion("scan", "scan.sast", equal("critical", 0)), trust=Trust.CLAIMED)
PIA = replace(criterion("document-pia", "document.pia", equal("complete", 1)), trust=Trust.CLAIMED)


def load(space: SpaceName | None, name: str = "") -> Evidence:
    return evidence("load.peak", {"errors": 0.0}, space=space, name=name or f"load in {space}")


def scan(space: SpaceName | None) -> Evidence:
    return evidence("scan.sast", GOOD_SCAN, space=space, name=f"scan in {space}")


def checked(asked: Criterion, *items: Evidence, given: GateInput | None = None) -> CriterionResult:
    return check_criterion(asked, given or empty(HERE), items, NOW)


def codes(result: CriterionResult) -> set[str]:
    return {check.reason.code for check in result.checks if check.reason is not None}


@pytest.mark.parametrize(
    ("items", "seen_here", "seen_nowhere"),
    [
        ((load(EAST), load(WEST), load(None)), (load(EAST),), (load(None),)),
        ((scan(EAST), scan(WEST), scan(None)), (scan(EAST), scan(None)), (scan(None),)),
        ((load(WEST), scan(WEST)), (load(WEST), scan(WEST)), (load(WEST), scan(WEST))),
        ((load(WEST), scan(None)), (load(WEST), scan(None)), (load(WEST), scan(None))),
        ((), (), ()),
    ],
    ids=["bound to its space", "bound to none", "all of it elsewhere", "kind by kind", "nothing"],
)
def test_a_gate_sees_what_was_made_in_its_space_or_in_none_and_else_all_there_is(
    items: tuple[Evidence, ...], seen_here: tuple[Evidence, ...], seen_nowhere: tuple[Evidence, ...]
) -> None:
    assert in_view(items, HERE) == seen_here
    assert in_view(items, GATE) == seen_nowhere


def test_a_drill_in_a_space_that_the_board_opens_leaves_the_board_with_the_drill_before_it() -> None:
    in_staging, in_production = (
        evidence("drill.rollback", {"verified": 1.0}, space=space, name=space) for space in (STAGING, EAST)
    )
    assert in_view((in_staging, in_production), GATE, (EAST, WEST)) == (in_staging,)
    assert in_view((in_production,), GATE, (EAST, WEST)) == (in_production,)
    go_live = replace(GATE, space=EAST)
    assert in_view((in_staging, in_production), go_live, ()) == (in_production,)


def test_what_production_brings_after_the_approval_does_not_unsettle_the_board() -> None:
    drill = criterion("drill", "drill.rollback", equal("verified", 1))
    rules = replace(GATE, pre=replace(GATE.pre, criteria=(drill,)))
    before = evidence("drill.rollback", {"verified": 1.0}, space=STAGING, name="before")
    later = evidence("drill.rollback", {"verified": 1.0}, space=EAST, name="later")
    asked = empty(rules)
    asked = replace(asked, facts=replace(asked.facts, spaces=(EAST,)))
    shown = [decide(replace(asked, evidence=items), NOW).evidence for items in ((before,), (before, later))]
    assert shown == [(before.id,), (before.id,)]


@pytest.mark.parametrize(
    ("asked", "item", "observed"),
    [(LOAD, load(WEST), WEST), (LOAD, load(None), "no space"), (SCAN, scan(WEST), WEST)],
    ids=["another space", "no space", "a scan of another space"],
)
def test_evidence_of_another_space_is_inconclusive_and_names_both(
    asked: Criterion, item: Evidence, observed: str
) -> None:
    found = checked(asked, item)
    assert (found.outcome, codes(found)) == (Outcome.INCONCLUSIVE, {"EV_WRONG_SPACE"})
    assert (found.checks[0].observed, found.checks[0].limit) == (observed, EAST)


@pytest.mark.parametrize(("asked", "item"), [(LOAD, load(EAST)), (SCAN, scan(EAST)), (SCAN, scan(None))])
def test_evidence_of_the_space_or_of_a_kind_bound_to_none_counts(asked: Criterion, item: Evidence) -> None:
    assert checked(asked, item).outcome is Outcome.OK


@pytest.mark.feature("D8.21")
def test_a_document_of_any_type_may_be_asked_for_and_is_held_to_what_every_document_is() -> None:
    gate = replace(role_gate(), pre=replace(role_gate().pre, documents=("liability-memo",)))
    given = empty(gate)
    assert decide(given, NOW).status is GateStatus.COLLECTING
    whole = {"complete": 1.0, "placeholders": 0.0, "valid_days": 30.0}
    for claims, status in ((whole, GateStatus.READY), ({**whole, "complete": 0.0}, GateStatus.COLLECTING)):
        brought = evidence("document.liability-memo", claims, trust=Trust.CLAIMED)
        assert decide(adding(given, [brought]), NOW).status is status


@pytest.mark.parametrize(("day", "holds"), [(NOW.date(), True), ((NOW - DAY).date(), False)])
def test_a_document_counts_up_to_its_own_last_day(day: date, holds: bool) -> None:
    item = evidence("document.pia", {"complete": 1.0}, refs={"valid_until": day.isoformat()})
    found = checked(PIA, item)
    assert found.holds is holds
    assert found.is_only_expired is not holds
    assert codes(found) == (set() if holds else {"EV_EXPIRED"})


@pytest.mark.parametrize(
    ("trust", "refs", "found", "holds"),
    [
        (Trust.CLAIMED, {UNPROVEN: "EV_UNPROVEN_CLEAN"}, (), False),
        (Trust.PUSHED, {UNPROVEN: "EV_UNPROVEN_CLEAN"}, (), True),
        (Trust.CLAIMED, {}, (), True),
        (Trust.CLAIMED, {UNPROVEN: "EV_UNPROVEN_CLEAN"}, (finding(Severity.LOW),), True),
    ],
    ids=["a person's word", "pushed by a key", "the scan says what it covered", "it found something"],
)
def test_a_clean_scan_that_only_a_person_vouches_for_is_no_pass(
    trust: Trust, refs: dict[str, str], found: tuple[object, ...], holds: bool
) -> None:
    item = evidence("scan.sast", GOOD_SCAN, trust=trust, refs=refs, findings=found)  # type: ignore[arg-type]
    result = checked(SCAN, item)
    assert result.outcome is (Outcome.OK if holds else Outcome.INCONCLUSIVE)
    assert codes(result) == (set() if holds else {"EV_UNPROVEN_CLEAN"})


@pytest.mark.parametrize("asked", [replace(LOAD, when="tools"), replace(LOAD, first_release_absolute=True)])
def test_a_criterion_that_does_not_concern_the_release_is_not_applicable(asked: Criterion) -> None:
    given = empty(HERE)
    other = replace(given, release=replace(given.release, is_first=asked.first_release_absolute))
    found = checked(asked, given=other)
    assert (found.state, found.outcome) == (NOT_APPLICABLE, Outcome.OK)
    concerned = knowing(given, switches=frozenset({"tools"}))
    assert checked(asked, given=concerned).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_inconclusive(value: float) -> None:
    assert checked(LOAD, replace(load(EAST), claims={"errors": value})).outcome is Outcome.INCONCLUSIVE


def test_a_limit_that_nobody_declared_is_inconclusive_and_says_where_to_declare_it() -> None:
    limit = Condition(claim="errors", operator=Operator.LE, path="workflow.sla.errors")
    found = checked(replace(LOAD, all=(limit,)), load(EAST))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.checks[0].limit == "<= ?"
    assert found.checks[0].reason is not None
    assert " in workflow.yaml." in found.checks[0].reason.text


def test_runs_of_our_own_are_judged_together() -> None:
    asked = replace(criterion("permissions", "permissions", equal("leaks", 0)), trust=Trust.PUSHED)
    runs = [evidence("permissions", {"leaks": leaks}, name=f"run {leaks}") for leaks in (0.0, 1.0)]
    found = checked(asked, *runs)
    assert (len(found.checks), found.outcome) == (1, Outcome.NOT_OK)
    assert found.checks[0].evidence == ("run 0.0", "run 1.0")


INTEGRATIONS = criterion("points", "tests.integration", equal("points_tested", 4))
ANSWERS = criterion("answers", "evaluation", Condition(claim="answer_accuracy_lcb", operator=Operator.GE, limit=0.8))
ASKED = criterion("asked", "evaluation", Condition(claim="scored", operator=Operator.GE, limit=30), equal("p95_ms", 9))
BASELINE = replace(criterion("baseline", "evaluation", equal("regressions", 0)), first_release_absolute=True)


def test_an_integration_point_that_two_suites_test_is_one_point() -> None:
    def suite(name: str, *points: str) -> Evidence:
        claims = {"points_tested": float(len(points))}
        return evidence("tests.integration", claims, suite=name, space=EAST, names={"points": points})

    assert checked(INTEGRATIONS, suite("a", "ledger", "cards"), suite("b", "ledger", "cards")).outcome is Outcome.NOT_OK
    assert checked(INTEGRATIONS, suite("a", "ledger", "cards"), suite("b", "hr", "mail")).outcome is Outcome.OK


def run(verdict: str, name: str = "run", **refs: str) -> Evidence:
    claims = {"answer_accuracy_lcb": 0.9, "scored": 40.0, "p95_ms": 9.0, "regressions": 0.0}
    return evidence("evaluation", claims, name=name, trust=Trust.ATTESTED, refs={"verdict": verdict, **refs})


@pytest.mark.parametrize(
    ("verdict", "outcome", "code"),
    [
        ("go", Outcome.OK, set()),
        ("no_go", Outcome.NOT_OK, {"CRITERION_NOT_MET"}),
        ("inconclusive", Outcome.INCONCLUSIVE, {"CRITERION_INCONCLUSIVE"}),
    ],
)
def test_a_run_that_is_not_go_passes_no_criterion_on_what_it_found(
    verdict: str, outcome: Outcome, code: set[str]
) -> None:
    found = checked(ANSWERS, run(verdict), run("go", "another"))
    assert (found.outcome, codes(found)) == (outcome, code)
    assert checked(ASKED, run(verdict)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("go", Outcome.OK), ("no_go", Outcome.NOT_OK), ("inconclusive", Outcome.INCONCLUSIVE)],
)
def test_no_leak_is_no_pass_where_the_permission_run_says_that_nothing_was_shown(
    verdict: str, outcome: Outcome
) -> None:
    asked = criterion(
        "permissions", "permissions", equal("leaks", 0), Condition(claim="scored", operator=Operator.GE, limit=20)
    )
    ran = evidence("permissions", {"leaks": 0.0, "scored": 3000.0}, trust=Trust.ATTESTED, refs={"verdict": verdict})
    assert checked(asked, ran).outcome is outcome


def test_a_first_release_that_was_compared_is_held_to_it() -> None:
    first = replace(empty(HERE), release=replace(empty(HERE).release, is_first=True))
    worse = replace(run("go", baseline="sha256:old"), claims={"regressions": 2.0})
    assert checked(BASELINE, run("go"), given=first).state == NOT_APPLICABLE
    assert checked(BASELINE, worse, given=first).outcome is Outcome.NOT_OK


def test_a_secret_that_only_a_person_reports_still_counts_against_the_release() -> None:
    asked = criterion("no-secrets", "scan.secrets", equal("verified", 0))
    clean = evidence("scan.secrets", {"verified": 0.0})
    claimed = evidence("scan.secrets", {"verified": 1.0}, suite="laptop", trust=Trust.CLAIMED)
    assert checked(asked, clean).outcome is Outcome.OK
    assert checked(asked, clean, claimed).outcome is Outcome.NOT_OK


@pytest.mark.feature("D12.43")
def test_a_drill_of_staging_counts_thirty_days_and_one_of_production_ninety() -> None:
    asked = criterion("drill", "drill.rollback", equal("verified", 1))

    def drill(space: str, days: int) -> CriterionResult:
        item = evidence("drill.rollback", {"verified": 1.0}, space=SpaceName(space), at=NOW - days * DAY)
        return checked(asked, item, given=empty(GATE))

    assert (drill("staging-space", 29).outcome, drill(EAST, 89).outcome) == (Outcome.OK, Outcome.OK)
    assert codes(drill("staging-space", 31)) == codes(drill(EAST, 91)) == {"EV_EXPIRED"}
