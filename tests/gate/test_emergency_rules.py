"""What a gate still asks in an emergency: everything but sign-offs, the freeze, and the one incident it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import HOUR, NOW, RELEASE, WORKFLOW, board_gate, empty, equal

from pilotage.core.ids import PersonId, SpaceName
from pilotage.gate.decide import decide
from pilotage.gate.emergency import EMERGENCY_SPAN, Emergency, gate_problems, standing, why_not
from pilotage.gate.records import GateInput
from pilotage.identity.roles import Role
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
