"""What lapses at the gates of a release that serves, and what it cannot stay with (gates.md 4.5, 4.9)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import (
    DAY,
    EAST,
    GOOD_LOAD,
    GOOD_SCAN,
    HOUR,
    NOW,
    OWNER,
    SEATS,
    SPONSOR,
    TTL,
    Accepting,
    approved_board,
    board_gate,
    criterion,
    empty,
    equal,
    evidence,
    finding,
    knowing,
    role_gate,
    swap,
    voted,
    with_seats,
)

from pilotage.core.ids import SpaceName
from pilotage.evidence.records import Severity
from pilotage.gate.decide import decide
from pilotage.gate.lapse import FLOATING, Lapse, lapses_at, unpinned
from pilotage.gate.records import Claim, GateInput
from pilotage.gate.vocabulary import GateStatus, RiskLevel, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Accept, Gate

MINUTES = HOUR / 2
SLOW = evidence("load.peak", {**GOOD_LOAD, "p95": 2_100.0})


def lapses(given: GateInput) -> tuple[Lapse, ...]:
    return lapses_at(decide(given, NOW), given, NOW)


def about(given: GateInput) -> list[str]:
    return [one.about for one in lapses(given)]


def approving() -> GateInput:
    """Return a board that approved although the latency fails: nothing of it stands by itself."""
    return swap(approved_board(), SLOW)


def test_an_approved_gate_has_no_lapse() -> None:
    assert lapses(approved_board()) == ()


def test_votes_over_their_age_are_a_lapse_of_the_gate_alone() -> None:
    (one,) = lapses(approved_board(NOW - TTL - DAY))
    assert (one.about, one.since, one.owner, one.is_never) == ("", None, None, False)
    assert (one.reason.code, one.reason.observed) == ("GATE_NOT_MET", "expired")
    assert one.reason.text.startswith("Gate cab is expired. ")


def test_what_only_an_earlier_gate_lacks_is_told_there() -> None:
    given = knowing(approved_board(), gates={"qa": GateStatus.EXPIRED})
    assert decide(given, NOW).status is GateStatus.BLOCKED
    assert lapses(given) == ()


def test_what_blocks_a_gate_by_itself_is_a_lapse_of_it() -> None:
    given = approved_board()
    assert about(replace(given, release=replace(given.release, is_verified=False))) == [""]


def with_fact(kind: str, accept: Accept = Accept.NEVER) -> GateInput:
    fact = criterion("now", kind, equal("open", 0), accept=accept)
    gate = role_gate()
    given = empty(Gate(name=gate.name, guards=gate.guards, trust=gate.trust, pre=replace(gate.pre, criteria=(fact,))))
    return knowing(given, claims={kind: {"open": 1.0}})


@pytest.mark.parametrize(("kind", "found"), [("fact.incident", []), ("fact.residency", ["never:now", ""])])
def test_a_fact_of_the_moment_is_no_lapse_and_one_that_lasts_is(kind: str, found: list[str]) -> None:
    assert about(with_fact(kind)) == found


def test_that_there_is_no_way_back_is_told_and_drives_nothing_out() -> None:
    (one,) = lapses(with_fact("fact.rollout"))
    assert (one.about, one.is_never, one.reason.code) == ("", False, "GATE_NOT_MET")
    assert about(with_fact("fact.rollout", Accept.MEDIUM)) == [], "what preflight can prove changes with the traffic"


def test_a_failure_nobody_may_accept_comes_first_with_its_numbers() -> None:
    bad = evidence("scan.sast", {**GOOD_SCAN, "critical": 2.0}, findings=(finding(Severity.CRITICAL),))
    found = lapses(swap(approved_board(), bad))
    assert [(one.about, one.is_never) for one in found][:1] == [("never:no-critical", True)]
    assert (found[0].reason.observed, found[0].reason.code) == ("2", "CRITERION_NOT_MET")


@pytest.mark.parametrize("how", ["gone", "old"])
def test_what_is_unknown_or_only_old_is_a_lapse_and_never_a_failure(how: str) -> None:
    given = approved_board()
    if how == "gone":
        given = replace(given, evidence=tuple(one for one in given.evidence if one.kind != "scan.sast"))
    else:
        given = swap(given, evidence("scan.sast", GOOD_SCAN, at=NOW - 40 * DAY))
    assert about(given) == [""]


def test_a_failure_that_may_be_accepted_does_not_drive_the_release_out() -> None:
    assert about(approving()) == [""]


ENDED = Accepting(criteria=("latency",), created=NOW - 10 * DAY, expires=NOW - HOUR)


def accepted(*risks: Accepting) -> GateInput:
    return replace(approving(), acceptances=tuple(one.made() for one in risks))


def test_an_acceptance_that_ended_is_a_lapse_with_its_owner_and_its_end() -> None:
    first, second = lapses(accepted(ENDED))
    assert (first.about, first.since, first.owner) == ("risk:risk-1", NOW - HOUR, OWNER)
    assert first.reason.code == "RISK_EXPIRY"
    assert second.about == ""


def test_one_that_was_withdrawn_ended_then_and_one_by_its_own_condition_now() -> None:
    withdrawn = replace(ENDED, expires=NOW + DAY, change={"withdrawn_at": NOW - 2 * HOUR})
    assert lapses(accepted(withdrawn))[0].since == NOW - 2 * HOUR
    fired = {"revoke_when": (Claim(kind="load.peak", text="p95 > 2000"),)}
    assert lapses(accepted(replace(ENDED, expires=NOW + DAY, change=fired)))[0].since is None


def test_of_an_acceptance_and_its_renewal_the_last_end_counts() -> None:
    later = replace(ENDED, name="risk-2", expires=NOW - MINUTES)
    assert about(accepted(ENDED, later)) == ["risk:risk-2", ""]


def test_an_acceptance_that_covered_nothing_that_is_missing_is_no_lapse() -> None:
    assert about(accepted(replace(ENDED, criteria=("no-high",)))) == [""]


ALIAS = Accepting(severity=RiskLevel.HIGH, created=NOW - 10 * DAY, expires=NOW + DAY, change={"findings": (FLOATING,)})


def alias(*risks: Accepting, space: str = EAST) -> Lapse | None:
    given = replace(approved_board(), acceptances=tuple(one.made() for one in risks))
    return unpinned([(decide(given, NOW), given)], SpaceName(space), NOW)


def test_an_alias_is_covered_while_an_acceptance_names_it_in_this_space() -> None:
    assert alias(ALIAS) is None
    assert unpinned([], SpaceName(EAST), NOW) is None


def test_an_alias_whose_acceptance_ended_is_a_lapse_of_that_risk_by_the_last_end() -> None:
    first = replace(ALIAS, expires=NOW - DAY)
    found = alias(first, replace(first, name="risk-2", expires=NOW - HOUR))
    assert found is not None
    assert (found.about, found.since, found.owner, found.gate) == ("risk:risk-2", NOW - HOUR, OWNER, "cab")
    assert (found.reason.code, found.reason.observed) == ("MODEL_NOT_PINNED", "risk-2")
    assert alias(first, replace(ALIAS, name="risk-3")) is None


@pytest.mark.parametrize(
    "risk",
    [
        None,
        replace(ALIAS, change={"findings": ("FREEZE",)}),
        replace(ALIAS, spaces=("other-space",)),
        replace(ALIAS, severity=RiskLevel.LOW),
        replace(ALIAS, approvers=()),
    ],
    ids=["none", "of another finding", "of another space", "too low", "by nobody"],
)
def test_an_alias_nobody_accepted_is_told_and_drives_nothing_out(risk: Accepting | None) -> None:
    found = alias(*([] if risk is None else [risk]))
    assert found is not None
    assert (found.about, found.risk, found.since, found.is_never) == ("floating", None, None, False)


def test_a_dissenting_seat_whose_acceptance_ended_is_bare_again() -> None:
    seat = Role.IT_DIRECTOR
    given = empty(board_gate())
    decisions: dict[Role, VoteDecision | None] = dict.fromkeys(SEATS, VoteDecision.APPROVE)
    given = with_seats(given, {**decisions, seat: VoteDecision.ABSTAIN}, at=NOW - HOUR)
    risk = replace(ENDED, criteria=(), seats=(seat,), expires=NOW - MINUTES)
    given = replace(given, acceptances=(risk.made(),))
    assert about(voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - HOUR + HOUR / 4, person=SPONSOR))[0] == "risk:risk-1"
