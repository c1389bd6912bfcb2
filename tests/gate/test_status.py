"""The status of a gate: each one, and which wins when several causes meet (gates.md 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from tests.gate.builders import (
    DAY,
    EAST,
    GOOD_LOAD,
    GOOD_SCAN,
    GOOD_TESTS,
    HOUR,
    NOW,
    PROMPT,
    RELEASE,
    SEATS,
    TTL,
    WORKFLOW,
    Accepting,
    adding,
    approved_board,
    approved_roles,
    board_gate,
    codes,
    empty,
    evidence,
    finding,
    knowing,
    other,
    role_gate,
    swap,
    voted,
    with_seats,
)

from pilotage.evidence.records import Severity, SubjectKind
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput
from pilotage.gate.vocabulary import GateStatus, Half, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import GateHalf, Signoff, Trust

BAD_TESTS = {**GOOD_TESTS, "failed": 1.0}


def status(given: GateInput) -> GateStatus:
    return decide(given, NOW).status


def blocked(given: GateInput) -> GateInput:
    return replace(given, release=replace(given.release, state="revoked"))


def rejected(given: GateInput) -> GateInput:
    return voted(given, Role.SECURITY_DIRECTOR, decision=VoteDecision.REJECT, at=NOW - HOUR / 2)


def unmet(given: GateInput) -> GateInput:
    return swap(given, evidence("tests.unit", BAD_TESTS))


def evidence_expired(given: GateInput) -> GateInput:
    return swap(given, evidence("tests.unit", GOOD_TESTS, at=NOW - 15 * DAY))


def votes_aged(given: GateInput) -> GateInput:
    votes = tuple(replace(one, at=one.at - TTL, login=replace(one.login, at=one.login.at - TTL)) for one in given.votes)
    return replace(given, votes=votes)


def plan_moved(given: GateInput) -> GateInput:
    return knowing(given, plan=other("another plan"))


def seat_left_open(given: GateInput) -> GateInput:
    gone = {Role.IT_DIRECTOR, Role.EXECUTIVE_SPONSOR}  # the sponsor signs on the board's result
    return replace(given, votes=tuple(one for one in given.votes if one.role not in gone))


CAUSES: tuple[tuple[str, Callable[[GateInput], GateInput], GateStatus], ...] = (
    ("blocked", blocked, GateStatus.BLOCKED),
    ("rejected", rejected, GateStatus.REJECTED),
    ("unmet", unmet, GateStatus.STALE),
    ("evidence expired", evidence_expired, GateStatus.EXPIRED),
    ("votes aged", votes_aged, GateStatus.EXPIRED),
    ("plan moved", plan_moved, GateStatus.STALE),
    ("seat open", seat_left_open, GateStatus.IN_REVIEW),
)


@pytest.mark.parametrize(("name", "cause", "wanted"), CAUSES, ids=[one[0] for one in CAUSES])
def test_each_cause_alone_gives_its_status(
    name: str, cause: Callable[[GateInput], GateInput], wanted: GateStatus
) -> None:
    assert status(cause(approved_board())) is wanted, name


PAIRS = [
    (first, second, wanted)
    for number, (first, _, wanted) in enumerate(CAUSES[:3])
    for second, _, _ in CAUSES[number + 1 :]
]


@pytest.mark.parametrize(("first", "second", "wanted"), PAIRS, ids=[f"{one[0]} and {one[1]}" for one in PAIRS])
def test_of_two_causes_the_earlier_status_wins(first: str, second: str, wanted: GateStatus) -> None:
    apply = {name: cause for name, cause, _ in CAUSES}
    # a sign-off is taken first, so that both causes stand on a board that had agreed
    both = apply[first](apply[second](approved_board()))
    assert status(both) is wanted


def test_expiry_of_evidence_does_not_hide_that_another_criterion_fails() -> None:
    both = swap(evidence_expired(approved_board()), evidence("load.peak", {**GOOD_LOAD, "p95": 3_000.0}))
    assert status(both) is GateStatus.STALE


def test_aged_votes_come_before_moved_bindings_only_if_nothing_else_is_missing() -> None:
    aged_and_open = seat_left_open(votes_aged(approved_board()))
    assert status(aged_and_open) is GateStatus.READY
    assert status(plan_moved(votes_aged(approved_board()))) is GateStatus.STALE


def test_a_gate_nobody_voted_on_is_collecting_ready_or_in_review() -> None:
    start = empty(board_gate())
    assert status(unmet(start)) is GateStatus.COLLECTING
    assert status(start) is GateStatus.READY
    assert status(voted(start, Role.IT_DIRECTOR)) is GateStatus.IN_REVIEW


def test_a_complete_gate_is_approved() -> None:
    report = decide(approved_board(), NOW)
    assert report.status is GateStatus.APPROVED
    assert report.status.is_approved
    assert report.missing == ()
    assert status(approved_roles()) is GateStatus.APPROVED


def test_an_approval_on_an_accepted_risk_says_so() -> None:
    slow = swap(empty(board_gate()), evidence("load.peak", {**GOOD_LOAD, "p95": 3_000.0}))
    covered = replace(slow, acceptances=(Accepting(criteria=("latency",)).made(),))
    given = with_seats(covered, dict.fromkeys(SEATS, VoteDecision.APPROVE), at=NOW - HOUR)
    given = voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - HOUR / 2)
    report = decide(given, NOW)
    assert report.status is GateStatus.APPROVED_WITH_RISK_ACCEPTANCE
    assert report.acceptances == ("risk-1",)
    assert status(slow) is GateStatus.COLLECTING


def test_the_end_of_an_acceptance_expires_the_gate() -> None:
    slow = swap(empty(board_gate()), evidence("load.peak", {**GOOD_LOAD, "p95": 3_000.0}))
    covered = replace(slow, acceptances=(Accepting(criteria=("latency",)).made(),))
    given = with_seats(covered, dict.fromkeys(SEATS, VoteDecision.APPROVE), at=NOW - HOUR)
    given = voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - HOUR / 2)
    fresh = swap(given, evidence("load.peak", {**GOOD_LOAD, "p95": 3_000.0}))
    assert decide(fresh, NOW + 19 * DAY).status is GateStatus.EXPIRED
    assert decide(fresh, NOW + 21 * DAY).status is GateStatus.EXPIRED
    soon = replace(given, acceptances=(Accepting(criteria=("latency",), expires=NOW + DAY).made(),))
    assert decide(soon, NOW).status is GateStatus.APPROVED_WITH_RISK_ACCEPTANCE
    assert decide(soon, NOW + DAY).status is GateStatus.EXPIRED


@pytest.mark.parametrize("state", ["revoked", "quarantined"])
def test_a_release_that_fell_passes_no_gate(state: str) -> None:
    given = approved_board()
    report = decide(replace(given, release=replace(given.release, state=state)), NOW)
    assert (report.status, report.reasons[0].code) == (GateStatus.BLOCKED, f"RELEASE_{state.upper()}")


def test_bytes_that_do_not_verify_block() -> None:
    given = approved_board()
    assert codes(decide(replace(given, release=replace(given.release, is_verified=False)), NOW)) >= {"VERIFY_BYTES"}


@pytest.mark.parametrize("before", [one for one in GateStatus if not one.is_approved])
def test_a_gate_waits_for_those_it_comes_after(before: GateStatus) -> None:
    report = decide(knowing(approved_board(), gates={"qa": before}), NOW)
    assert report.status is GateStatus.BLOCKED
    assert report.reasons[0].observed == before.value


def test_an_earlier_gate_that_is_not_known_is_not_passed() -> None:
    report = decide(knowing(approved_board(), gates={}), NOW)
    assert (report.status, report.reasons[0].code) == (GateStatus.BLOCKED, "GATE_NOT_MET")


def test_a_gate_without_anything_in_it_passes_nobody() -> None:
    given = approved_board()
    hollow = replace(given, gate=replace(given.gate, pre=GateHalf(criteria=())))
    assert codes(decide(hollow, NOW)) == {"GATE_EMPTY"}


def test_an_empty_roster_blocks() -> None:
    given = approved_board()
    nobody = replace(given, roster=replace(given.roster, seats=(), snapshot=None, tenures=()))
    report = decide(nobody, NOW)
    assert report.status is GateStatus.BLOCKED
    assert "ROSTER_EMPTY" in codes(report)


def test_what_cannot_be_judged_is_blocked() -> None:
    spoiled = swap(approved_board(), evidence("tests.unit", {**GOOD_TESTS, "executed": float("nan")}))
    report = decide(spoiled, NOW)
    assert report.status is GateStatus.BLOCKED
    assert codes(report) == {"GATE_INPUT"}


@settings(max_examples=60, deadline=None)
@for_all(st.data())
def test_any_garbage_gives_a_status(data: st.DataObject) -> None:
    given = approved_board()
    name = data.draw(st.sampled_from(["release", "evidence", "votes", "roster", "acceptances", "facts"]))
    rubbish: Any = data.draw(st.sampled_from([None, 0, "x", (None,), (1, 2), ("x",)]))
    broken: dict[str, Any] = {name: rubbish}
    report = decide(replace(given, **broken), NOW)
    assert (report.status, codes(report)) == (GateStatus.BLOCKED, {"GATE_INPUT"})


@settings(max_examples=40, deadline=None)
@for_all(st.data())
def test_order_never_matters(data: st.DataObject) -> None:
    given = approved_board()
    given = adding(given, [evidence("tests.unit", BAD_TESTS, suite="b"), evidence("scan.sast", GOOD_SCAN, suite="c")])
    given = rejected(given) if data.draw(st.booleans()) else given
    risks = (Accepting(criteria=("tests",)).made(), Accepting(criteria=("tests",), name="risk-0").made())
    given = replace(given, acceptances=risks)
    mixed = replace(
        given,
        evidence=tuple(data.draw(st.permutations(given.evidence))),
        votes=tuple(data.draw(st.permutations(given.votes))),
        acceptances=tuple(data.draw(st.permutations(given.acceptances))),
        roster=replace(given.roster, tenures=tuple(data.draw(st.permutations(given.roster.tenures)))),
    )
    assert decide(mixed, NOW) == decide(given, NOW) == decide(given, NOW)


WORSE = (
    evidence("tests.unit", BAD_TESTS, suite="more"),
    evidence("tests.unit", BAD_TESTS, trust=Trust.CLAIMED, suite="laptop"),
    evidence("tests.unit", GOOD_TESTS, trust=Trust.CLAIMED, name="laptop", at=NOW - HOUR / 4),
    evidence("scan.sast", {**GOOD_SCAN, "critical": 1.0}, findings=(finding(Severity.CRITICAL),), suite="more"),
    evidence("scan.sast", {**GOOD_SCAN, "high": 1.0}, findings=(finding(Severity.HIGH),), suite="more"),
    evidence("scan.sast", {**GOOD_SCAN, "unknown": 1.0}, findings=(finding(Severity.UNKNOWN),), suite="more"),
    evidence("load.peak", {**GOOD_LOAD, "p95": 2_001.0}, suite="more"),
    evidence("load.peak", {"requests": 1.0}, suite="more"),
    evidence("tests.unit", {**GOOD_TESTS, "executed": 3.0}, name="small", at=NOW - HOUR / 4),
)
_ORDER = {GateStatus.APPROVED: 2, GateStatus.APPROVED_WITH_RISK_ACCEPTANCE: 1}


@pytest.mark.parametrize("number", range(len(WORSE)))
def test_one_more_bad_result_never_leaves_a_complete_gate_approved(number: int) -> None:
    assert not decide(adding(approved_board(), [WORSE[number]]), NOW).status.is_approved


@settings(max_examples=60, deadline=None)
@for_all(st.sets(st.integers(0, len(WORSE) - 1)), st.integers(0, len(WORSE) - 1))
def test_adding_bad_news_never_improves_a_status(held: set[int], more: int) -> None:
    start = adding(approved_board(), [WORSE[one] for one in sorted(held)])
    before, after = decide(start, NOW).status, decide(adding(start, [WORSE[more]]), NOW).status
    assert _ORDER.get(after, 0) <= _ORDER.get(before, 0)


@pytest.mark.feature("D1.7", "DE.3")
@pytest.mark.parametrize(
    ("kind", "own", "foreign"),
    [
        (SubjectKind.RELEASE, RELEASE, other("another release")),
        (SubjectKind.SPACE, RELEASE, other("another release")),
        (SubjectKind.PART, PROMPT, other("another prompt")),
        (SubjectKind.WORKFLOW, WORKFLOW, "another-assistant"),
        (SubjectKind.SOURCE, "tree-1", "another tree"),
    ],
)
def test_evidence_counts_when_it_is_about_the_release_its_parts_workflow_or_source(
    kind: SubjectKind, own: str, foreign: str
) -> None:
    given = empty(role_gate())
    assert status(swap(given, evidence("tests.unit", GOOD_TESTS, subject=(kind, own)))) is GateStatus.READY
    assert status(swap(given, evidence("tests.unit", GOOD_TESTS, subject=(kind, foreign)))) is GateStatus.COLLECTING


def test_evidence_of_a_source_is_about_no_release_without_one() -> None:
    given = empty(role_gate())
    bare = replace(given, release=replace(given.release, source_tree=None))
    about = evidence("tests.unit", GOOD_TESTS, subject=(SubjectKind.SOURCE, "tree-1"))
    assert status(swap(bare, about)) is GateStatus.COLLECTING


def test_the_second_half_of_a_gate_asks_its_own_sign_offs() -> None:
    given = approved_roles()
    later = GateHalf(criteria=(), signoffs=(Signoff(role=Role.BUSINESS_OWNER),))
    given = replace(given, gate=replace(given.gate, post=later))
    assert status(given) is GateStatus.APPROVED
    after = replace(given, half=Half.POST)
    assert status(after) is GateStatus.READY
    assert status(voted(after, Role.BUSINESS_OWNER)) is GateStatus.APPROVED


def test_a_standard_change_keeps_the_criteria_and_asks_nobody() -> None:
    by_template = knowing(empty(board_gate()), standard_change=True)
    assert status(by_template) is GateStatus.APPROVED
    assert status(unmet(by_template)) is GateStatus.COLLECTING
    assert status(replace(by_template, evidence=())) is GateStatus.COLLECTING


def test_the_report_is_the_same_object_for_command_page_and_ledger() -> None:
    shown = decide(unmet(approved_board()), NOW).as_json()
    rows: Any = shown["criteria"]
    criteria = {one["id"]: one for one in rows}
    assert criteria["tests"]["observed"] == "1"
    assert criteria["tests"]["limit"] == "= 0"
    assert shown["status"] == "stale"
    assert EAST in board_gate().guards


def test_an_old_approval_is_too_old_to_the_second() -> None:
    given = approved_board(at=NOW - TTL)
    fresh = replace(given, evidence=tuple(replace(one, received_at=NOW - DAY) for one in given.evidence))
    assert decide(given, NOW).status is GateStatus.APPROVED
    late = decide(given, NOW + timedelta(seconds=1))
    assert late.status is GateStatus.EXPIRED
    assert fresh.votes == given.votes
