"""What a vote binds: everything that can change the decision, and a refresh for the better alone leaves it standing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gate.builders import (
    DAY,
    EAST,
    GOOD_LOAD,
    GOOD_SCAN,
    GOOD_TESTS,
    HOUR,
    MINUTE,
    NOW,
    SEATS,
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
    voted,
    with_seats,
)

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.evidence.records import Evidence, EvidenceState, Severity
from pilotage.gate.binding import bind_of, evidence_set, moved, policy_digest
from pilotage.gate.decide import decide
from pilotage.gate.records import Bound, GateInput
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Accept, Trust

COVERAGE, UNIT = Digest("sha256:" + "b5" * 32), Digest("sha256:" + "01" * 32)


def test_an_evidence_set_is_the_digest_of_its_sorted_rows() -> None:
    rows = [("tests.unit", UNIT, {"failed": 0.0, "executed": 120.0}), ("coverage", COVERAGE, {"line_rate": 0.91})]
    plain = [
        {"kind": "coverage", "sha256": COVERAGE, "claims": {"line_rate": 0.91}},
        {"kind": "tests.unit", "sha256": UNIT, "claims": {"executed": 120, "failed": 0}},
    ]
    assert evidence_set(rows) == evidence_set(reversed(rows)) == digest_of_json(plain)  # type: ignore[arg-type]


def test_a_bind_is_the_digest_of_what_the_gate_binds_and_nothing_absent() -> None:
    bound = Bound(instance="i", gate="cab", attempt=1, release=UNIT, evidence_set=COVERAGE, policy=UNIT)
    plain: dict[str, Json] = {
        "instance": "i",
        "gate": "cab",
        "attempt": 1,
        "release": UNIT,
        "evidence_set": COVERAGE,
        "policy": UNIT,
    }
    assert bind_of(bound) == digest_of_json(plain)
    assert bind_of(replace(bound, plan=UNIT)) == digest_of_json({**plain, "plan": UNIT})
    assert moved(bound, replace(bound, plan=UNIT, attempt=2)) == ("attempt", "plan")


def test_a_rule_without_canonical_form_has_no_digest_and_says_so() -> None:
    odd = replace(board_gate(), space=NOW)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"datetime.* has no canonical form"):
        policy_digest(odd)
    assert policy_digest(board_gate(), extra={"tier": 2}) != policy_digest(board_gate())


def looser(given: GateInput) -> GateInput:
    """Return the input under a gate file with one limit changed."""
    first, *others = given.gate.pre.criteria
    gate = replace(given.gate, pre=replace(given.gate.pre, criteria=(replace(first, accept=Accept.LOW), *others)))
    return replace(given, gate=gate, policy=policy_digest(gate))


BOUND: dict[str, Callable[[GateInput], GateInput]] = {
    "instance": lambda given: knowing(given, instance="another"),
    "attempt": lambda given: knowing(given, attempt=2),
    "release": lambda given: replace(given, release=replace(given.release, digest=other("x"))),
    "space": lambda given: knowing(given, space=EAST),
    "plan": lambda given: knowing(given, plan=other("x")),
    "space settings": lambda given: knowing(given, space_config=other("x")),
    "pack": lambda given: knowing(given, cab_pack=other("x")),
    "policy": lambda given: replace(given, policy=other("x")),
    "a limit of the gate file": looser,
    "gate": lambda given: replace(given, gate=replace(given.gate, name="another")),
    "new evidence": lambda given: adding(given, [evidence("tests.unit", GOOD_TESTS, suite="b", at=NOW - MINUTE)]),
    "evidence replaced for the worse": lambda given: adding(
        given, [evidence("tests.unit", {**GOOD_TESTS, "executed": 35.0}, name="b", at=NOW - MINUTE)]
    ),
    "evidence withdrawn": lambda given: replace(
        given, evidence=(*given.evidence[:-1], replace(given.evidence[-1], state=EvidenceState.WITHDRAWN))
    ),
    "one vote": lambda given: replace(given, votes=given.votes[1:]),
    "a member of the board": lambda given: replace(
        given, votes=(*(one for one in given.votes if one.role is not SEATS[0]),)
    ),
}


@pytest.mark.feature("D6.21", "D8.24", "D12.3", "D12.41")
@pytest.mark.parametrize("name", BOUND)
def test_moving_any_one_bound_input_ends_a_complete_approval(name: str) -> None:
    assert decide(approved_board(), NOW).status is GateStatus.APPROVED
    assert not decide(BOUND[name](approved_board()), NOW).status.is_approved


@pytest.mark.parametrize("name", ["plan", "space settings", "pack", "policy", "new evidence"])
def test_a_stale_vote_says_what_moved(name: str) -> None:
    report = decide(BOUND[name](approved_board()), NOW)
    assert report.status is GateStatus.STALE
    assert "VOTE_STALE" in codes(report)


def test_a_vote_cannot_be_carried_to_another_gate_or_space() -> None:
    given = approved_roles()
    twin = replace(given, gate=replace(given.gate, name="qa"))
    carried = replace(twin, votes=tuple(replace(one, gate="qa") for one in given.votes))
    assert decide(carried, NOW).status is GateStatus.STALE


REFRESHED = evidence("tests.unit", {**GOOD_TESTS, "executed": 41.0}, name="nightly", at=NOW - MINUTE)


@pytest.mark.parametrize("start", [approved_board, approved_roles], ids=["board", "roles"])
def test_a_nightly_run_that_is_no_worse_keeps_a_complete_approval(start: Callable[[], GateInput]) -> None:
    assert decide(adding(start(), [REFRESHED]), NOW).status is GateStatus.APPROVED


ADVERSE: dict[str, Evidence] = {
    "fewer tests": replace(REFRESHED, claims={**GOOD_TESTS, "executed": 35.0}),
    "lower trust": replace(REFRESHED, trust=Trust.CLAIMED),
    "a new finding": evidence(
        "scan.sast", {**GOOD_SCAN, "medium": 1.0}, findings=(finding(Severity.MEDIUM),), name="n", at=NOW - MINUTE
    ),
    "a claim is gone": evidence("load.peak", {"p95": 900.0}, name="n", at=NOW - MINUTE),
    "another suite": replace(REFRESHED, suite="other"),
    "too slow": evidence("load.peak", {**GOOD_LOAD, "p95": 2_500.0}, name="n", at=NOW - MINUTE),
}


@pytest.mark.parametrize("name", ADVERSE)
def test_a_run_that_is_worse_in_any_way_does_not(name: str) -> None:
    assert not decide(adding(approved_board(), [ADVERSE[name]]), NOW).status.is_approved


def test_before_the_approval_is_complete_a_refresh_asks_for_confirmation() -> None:
    given = with_seats(empty(board_gate()), dict.fromkeys(SEATS[:5], VoteDecision.APPROVE), at=NOW - HOUR)
    given = voted(adding(given, [REFRESHED]), SEATS[5], at=NOW - MINUTE / 2)
    given = voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - MINUTE / 4)
    report = decide(given, NOW)
    assert report.status is GateStatus.STALE


def test_a_withdrawn_failure_does_not_bring_the_old_pass_back() -> None:
    failed = evidence("tests.unit", {**GOOD_TESTS, "failed": 2.0}, name="failed", at=NOW - HOUR * 2)
    given = adding(approved_roles(), [replace(failed, state=EvidenceState.WITHDRAWN)])
    report = decide(given, NOW)
    assert not report.status.is_approved
    assert report.criteria[0].missing == ("tests.unit",)


def test_votes_stand_for_the_evidence_that_was_there_and_age_with_it() -> None:
    assert decide(approved_roles(), NOW + 12 * DAY).status is GateStatus.APPROVED
    assert decide(approved_roles(), NOW + 14 * DAY).status is GateStatus.EXPIRED


@given(st.dictionaries(st.sampled_from(["executed", "p95"]), st.floats(allow_nan=False, allow_infinity=False)))
def test_an_evidence_set_is_the_same_however_its_numbers_are_written(claims: dict[str, float]) -> None:
    plain = [{"kind": "tests.unit", "sha256": UNIT, "claims": claims}]
    assert evidence_set([("tests.unit", UNIT, claims)]) == digest_of_json(plain)  # type: ignore[arg-type]
