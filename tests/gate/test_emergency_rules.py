"""What a gate still asks in an emergency: everything but sign-offs, the freeze, and the one incident it is for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from tests.gate.builders import (
    AUTHOR,
    HOUR,
    NOW,
    RELEASE,
    SEALER,
    WORKFLOW,
    Accepting,
    board_gate,
    empty,
    equal,
    holder,
    release,
    voted,
)

from pilotage.core.ids import PersonId, SpaceName
from pilotage.gate.decide import decide
from pilotage.gate.emergency import (
    EMERGENCY_SPAN,
    REVIEW_SPAN,
    Emergency,
    gate_problems,
    history_problems,
    person_problems,
    standing,
    why_not,
)
from pilotage.gate.records import GateInput, ReleaseFacts
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.release.authorship import UNKNOWN
from pilotage.workspace.gate import Accept, Criterion, Trust

EAST = SpaceName("production-us-east-space")
ONE = Emergency(
    id="E1",
    release=RELEASE,
    workflow=WORKFLOW,
    incident="INC-1",
    spaces=(EAST,),
    reason="It cannot wait.",
    opened_by=PersonId("on-call.0"),
    opened_role=Role.ON_CALL,
    opened_at=NOW,
    confirmed_by=PersonId("director.0"),
    confirmed_role=Role.SECURITY_DIRECTOR,
    confirmed_at=NOW,
    expires_at=NOW + EMERGENCY_SPAN,
)


def _fact(name: str, claim: str) -> Criterion:
    return Criterion(id=name, of=(f"fact.{name}",), all=(equal(claim, 0),), accept=Accept.NEVER, trust=Trust.ATTESTED)


def given(**claims: float) -> GateInput:
    """Return the approved board gate with facts as further criteria, and nobody's vote."""
    base = empty(board_gate())
    facts = {"freeze": ("active", 0.0), "incident": ("open_critical", 0.0), "drift": ("open", 0.0)}
    rows = {f"fact.{name}": {claim: claims.get(name, value)} for name, (claim, value) in facts.items()}
    criteria = (*base.gate.pre.criteria, *(_fact(name, claim) for name, (claim, _) in facts.items()))
    gate = replace(base.gate, pre=replace(base.gate.pre, criteria=criteria))
    return replace(base, gate=gate, votes=(), facts=replace(base.facts, claims={**base.facts.claims, **rows}))


def asked(found: GateInput, *critical: str) -> list[str]:
    report = decide(found, NOW)
    assert not report.status.is_approved
    return [reason.code for reason in gate_problems(report, found, ONE, critical)]


def test_missing_sign_offs_are_skipped() -> None:
    assert asked(given()) == []


@pytest.mark.parametrize(
    ("claims", "critical", "codes"),
    [
        ({"freeze": 1}, (), []),
        ({"incident": 1}, ("INC-1",), []),
        ({"incident": 2}, ("INC-1", "INC-2"), ["RISK_NOT_ACCEPTABLE"]),
        ({"incident": 1}, ("INC-2",), ["RISK_NOT_ACCEPTABLE"]),
        ({"freeze": 1, "incident": 1}, ("INC-1",), []),
        ({"drift": 1}, ("INC-1",), ["RISK_NOT_ACCEPTABLE"]),
    ],
)
def test_the_freeze_and_the_named_incident_alone_are_skipped(
    claims: dict[str, float], critical: tuple[str, ...], codes: list[str]
) -> None:
    assert asked(given(**claims), *critical) == codes


def test_a_gate_before_is_asked_itself_and_everything_else_that_blocks_stays() -> None:
    found = given()
    unmet = replace(found, facts=replace(found.facts, gates={}))
    assert asked(unmet) == []
    assert asked(replace(unmet, release=replace(found.release, state="quarantined"))) == ["RELEASE_QUARANTINED"]
    assert asked(replace(unmet, release=replace(found.release, is_verified=False))) == ["VERIFY_BYTES"]


def test_parts_that_were_rejected_under_another_name_stay_out() -> None:
    found = given()
    facts = replace(found.facts, rejected_elsewhere=("sha256:other",), gates={})
    assert asked(replace(found, facts=facts)) == ["REJECTED_PARTS"]


def test_a_no_that_somebody_gave_stays_a_no_unless_its_seat_is_covered() -> None:
    found = voted(given(), Role.IT_DIRECTOR, decision=VoteDecision.REJECT)
    assert asked(found) == ["GATE_REJECTED"]
    assert asked(replace(found, acceptances=(Accepting(seats=(Role.IT_DIRECTOR,)).made(),))) == []
    assert asked(replace(found, acceptances=(Accepting(seats=(Role.OPERATIONS_LEAD,)).made(),))) == ["GATE_REJECTED"]


def test_an_approved_gate_asks_nothing() -> None:
    found = given()
    report = replace(decide(found, NOW), status=GateStatus.APPROVED)
    assert gate_problems(report, replace(found, evidence=()), ONE, ()) == ()


def test_missing_evidence_is_no_pass() -> None:
    found = given()
    assert set(asked(replace(found, evidence=()))) == {"RISK_NOT_ACCEPTABLE", "GATE_NOT_MET"}


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (replace(ONE, confirmed_at=None, confirmed_by=None), "EMERGENCY_TWO_PERSONS"),
        (replace(ONE, expires_at=NOW), "EMERGENCY_EXPIRED"),
        (replace(ONE, confirmed_at=None, expires_at=NOW - HOUR), "EMERGENCY_EXPIRED"),
    ],
)
def test_one_that_opens_nothing_says_why(one: Emergency, code: str) -> None:
    assert standing([one], EAST, NOW) is None
    assert [reason.code for reason in why_not([one], EAST, NOW)] == [code]
    assert why_not([one], SpaceName("elsewhere"), NOW) == ()
    assert standing([one, ONE], EAST, NOW) is ONE
    assert why_not([one, ONE], EAST, NOW) == ()
    assert why_not([replace(one, outcome="approved")], EAST, NOW) == ()


# Who may open one, and when another may begin

MAKERS = release()


@pytest.mark.parametrize(
    ("person", "made", "told"),
    [
        (holder(Role.ON_CALL), MAKERS, None),
        (AUTHOR, MAKERS, ("SOD_CONFLICT", "made prompt of this release")),
        (AUTHOR, replace(MAKERS, sealer=AUTHOR), ("SOD_CONFLICT", "made prompt of this release")),
        (SEALER, MAKERS, ("SOD_CONFLICT", "sealed this release")),
        (holder(Role.ON_CALL), replace(MAKERS, authors={"prompt": frozenset({UNKNOWN})}), ("AUTHOR_UNKNOWN", "")),
    ],
    ids=["neither", "author", "author and sealer", "sealer", "authors not known"],
)
def test_neither_of_the_two_made_the_release(
    person: PersonId, made: ReleaseFacts, told: tuple[str, str] | None
) -> None:
    found = person_problems(person, made)
    assert [one.code for one in found] == ([] if told is None else [told[0]])
    assert told is None or told[1] in found[0].text


OVER = NOW + EMERGENCY_SPAN
DUE = NOW + REVIEW_SPAN
REVIEWED = replace(ONE, reviewed_by=PersonId("risk.0"), reviewed_at=OVER)
UNCONFIRMED = replace(ONE, confirmed_by=None, confirmed_role=None, confirmed_at=None)


@pytest.mark.parametrize(
    ("one", "at", "codes"),
    [
        (ONE, OVER - HOUR, []),
        (ONE, OVER, ["EMERGENCY_EXPIRED"]),
        (ONE, DUE, ["EMERGENCY_EXPIRED", "EMERGENCY_REVIEW_OVERDUE"]),
        (REVIEWED, DUE, ["EMERGENCY_EXPIRED"]),
        (UNCONFIRMED, DUE, []),
    ],
    ids=["still open", "spent", "not looked back at", "looked back at", "never confirmed"],
)
def test_the_same_parts_have_one_and_a_late_look_back_bars_the_next(
    one: Emergency, at: datetime, codes: list[str]
) -> None:
    assert [reason.code for reason in history_problems([one], [one], at)] == codes
    assert [reason.code for reason in history_problems([], [one], at)] == codes[1:]


@pytest.mark.parametrize(
    ("one", "at", "state", "said"),
    [
        (UNCONFIRMED, NOW, "waiting", "waits for its second person."),
        (ONE, NOW, "open", "lets this release into production-us-east-space until 2026-03-05 09:00 UTC."),
        (ONE, OVER, "expired", "opens nothing any more."),
        (UNCONFIRMED, OVER, "expired", "opens nothing any more."),
        (REVIEWED, DUE, "expired", "opens nothing any more."),
        (ONE, DUE, "expired", "opens nothing any more. The look back was due 2026-03-07."),
        (replace(ONE, outcome="approved"), OVER, "approved", "by then every gate was approved."),
        (replace(ONE, outcome="rolled_back"), OVER, "rolled_back", "it was rolled back."),
    ],
)
def test_its_state_is_told_in_a_word_and_in_a_sentence(one: Emergency, at: datetime, state: str, said: str) -> None:
    assert one.state(at) == state
    assert said in one.statement(at)
    assert one.statement(at).endswith((said, "rolled back."))
    shown = one.as_json(at)
    assert (shown["state"], shown["review_overdue"]) == (state, one.is_overdue(at))
    assert (shown["confirmed_at"] is None) is (one.confirmed_at is None)
