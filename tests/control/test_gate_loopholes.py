"""Attempts to get past a gate, through the use cases: each is refused with its code, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import (
    BUILD,
    DAY,
    DEV,
    FATIMA,
    FELIX,
    KEIKO,
    PRODUCTION,
    PROMOTER,
    QA,
    REVIEW,
    RISK_OFFICER,
    SEAT_ROLES,
    SEATS,
    SPONSOR,
    GateWorld,
    codes,
    gate_world,
    junit,
    told,
    with_gates,
)

from pilotage.control.accept_risk import Accepted, RiskText, accept_risk
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.change_release_state import StateChange, deprecate_release
from pilotage.control.gate_case import open_chain
from pilotage.control.gate_duties import Handing, StandAside, delegate_role, recuse, reopen_gate
from pilotage.control.gate_withdrawals import revoke_named
from pilotage.control.promote_release import Promoted, promote_release, stays
from pilotage.control.sign_gate import Signed
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, PrincipalId, SpaceName
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.ledger.entry import decode_entry
from pilotage.release.authorship import UNKNOWN
from pilotage.store.deployments import Deployment, add_deployment
from pilotage.store.ledger_entries import entries_of
from pilotage.store.releases import named_release
from pilotage.testing.rollouts import EAST, WORKFLOW
from pilotage.workspace.gate import Accept, Signoff

pytestmark = pytest.mark.store
ENGINEER = Role.SENIOR_ENGINEER
PERSONA = Principal(
    id=PrincipalId("persona|x"), kind=PrincipalKind.PERSONA, roles=frozenset({ENGINEER}), label="x", via="evaluation"
)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def refused(world: GateWorld, act: Callable[[], object]) -> set[str]:
    """Return the codes of a refusal, having seen that it left no trace."""
    before = world.rows()
    found = codes(act())
    assert world.rows() == before
    return found


def sign(world: GateWorld, who: str | Principal = FELIX, **how: Any) -> object:
    return world.sign(who, "code-review", ENGINEER, **how)


def handing(to: str, *, days: int = 3, role: Role = ENGINEER, now: Any) -> Handing:
    return Handing(to=to, role=role, until=now + days * DAY, reason="On leave")


# 1-4: who votes


@pytest.mark.parametrize("who", [FELIX, KEIKO])
def test_an_author_cannot_vote(world: GateWorld, who: str) -> None:
    world.authored(who)
    assert refused(world, lambda: sign(world, who)) == {"SOD_CONFLICT"}


def test_the_sealer_cannot_vote(engine: Engine) -> None:
    world = gate_world(engine, author=FELIX)
    assert refused(world, lambda: sign(world)) == {"SOD_CONFLICT"}


@pytest.mark.parametrize("who", [BUILD, PERSONA], ids=["a service key", "a test persona"])
def test_only_people_vote(world: GateWorld, who: Principal) -> None:
    assert "SOD_SERVICE" in refused(world, lambda: sign(world, who))


def test_a_second_account_of_one_person_is_the_same_person(world: GateWorld) -> None:
    first = world.person(FELIX)
    assert isinstance(sign(world, first), Signed)
    second = replace(first, id=PrincipalId("https://login.example|77"), via="oidc")
    done = sign(world, second)
    assert isinstance(done, Signed)
    assert done.report.status is GateStatus.IN_REVIEW
    world.authored(FELIX)
    assert "SOD_CONFLICT" in refused(world, lambda: sign(world, second))


def test_one_person_cannot_fill_two_seats(world: GateWorld) -> None:
    role = Role.OPERATIONS_LEAD
    seats = tuple(replace(one, holder=PersonId(SEATS[0])) if one.role is role else one for one in world.workspace.seats)
    world.declare(seats=seats)
    world.appoint(role, SEATS[0])
    world.status("cab")
    world.inner.clock.advance(8 * DAY)
    assert isinstance(world.sign(SEATS[0], "cab", Role.IT_DIRECTOR), Signed)
    assert "SEAT_DUPLICATE" in refused(world, lambda: world.sign(SEATS[0], "cab", role))


def test_who_does_not_hold_the_role_cannot_vote(world: GateWorld) -> None:
    assert refused(world, lambda: sign(world, "olivia.grant")) == {"NOT_PERMITTED", "VOTER_INELIGIBLE"}


# 5-8, 22: what a vote stands on


def test_worse_evidence_after_the_approval_ends_it(world: GateWorld) -> None:
    world.review()
    assert world.status("code-review").status is GateStatus.APPROVED
    world.inner.clock.advance(timedelta(minutes=5))
    world.attach(("tests.unit", junit(passed=2)))
    report = world.status("code-review")
    assert report.status is GateStatus.STALE
    assert "VOTE_STALE" in told(report)


def test_a_weaker_policy_after_the_vote_ends_the_approval(world: GateWorld) -> None:
    world.review()
    first = replace(REVIEW.pre.criteria[0], accept=Accept.LOW)
    weaker = replace(REVIEW, pre=replace(REVIEW.pre, criteria=(first,)))
    world.declare(gates={**world.workspace.gates, REVIEW.name: weaker})
    report = world.status("code-review")
    assert report.status is GateStatus.STALE
    assert {"VOTE_STALE", "POLICY_CHANGED"} <= told(report)


def test_who_edited_the_policy_cannot_vote_under_it(world: GateWorld, engine: Engine) -> None:
    with engine.begin() as connection:
        values = {"at": world.inner.clock.now(), "who": FELIX}
        query = "INSERT INTO policy_version VALUES ('sha256:edited', :at, :who, '{}')"
        connection.execute(text(query), values)
    assert refused(world, lambda: sign(world)) == {"SOD_CONFLICT"}


# 28: what is computed, and what was recorded


def test_a_fact_is_computed_and_never_brought(world: GateWorld) -> None:
    uploads = [Upload(name="f.json", data=b'{"healthy": 1}', kind="fact.deployment")]
    bringer = Bringer(actor=world.person("maria.chen"))
    act = partial(attach_evidence, world.instance, bringer=bringer, release=world.release, uploads=uploads)
    assert refused(world, act) == {"FIELD_COMPUTED"}


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE gate_vote SET decision = 'approve' WHERE decision = 'reject'",
        "UPDATE gate_vote SET at = at + interval '1 day'",
        "UPDATE gate_vote SET bind = 'sha256:' || repeat('0', 64)",
        "UPDATE gate_vote SET person = 'fatima.hassan' WHERE person = 'felix.braun'",
        "UPDATE evidence SET claims = jsonb_set(claims, '{executed}', '99') WHERE kind = 'tests.unit'",
        "UPDATE evidence SET trust = 'attested'",
        "UPDATE evidence SET produced_at = produced_at + interval '30 days'",
        "UPDATE risk_acceptance SET expires = expires + interval '9 days'",
        "UPDATE risk_acceptance SET body = body || '{\"open_then\": null}'",
        'UPDATE risk_acceptance SET body = body || \'{"findings": ["MODEL_NOT_PINNED"]}\'',
        "UPDATE evidence SET id = 'made by hand' WHERE kind = 'tests.unit'",
    ],
)
def test_a_row_edited_in_the_database_passes_no_gate(world: GateWorld, engine: Engine, edit: str) -> None:
    sign(world)
    sign(world, KEIKO, decision="reject")
    assert isinstance(accept(world), Accepted)
    with engine.begin() as connection:
        assert connection.execute(text(edit)).rowcount
    assert "LEDGER_MISMATCH" in told(world.status("code-review"))
    assert "LEDGER_MISMATCH" in refused(world, lambda: promote(world))
    world.inner.clock.advance(timedelta(minutes=1))
    assert "LEDGER_MISMATCH" in refused(world, lambda: sign(world, FATIMA))


def test_a_withdrawn_release_brought_back_in_the_database_is_seen(world: GateWorld, engine: Engine) -> None:
    other = GateWorld(inner=world.inner, release=world.inner.seal("Withdrawn, and brought back by hand."))
    owner = world.person("maria.chen")
    done = deprecate_release(world.instance, actor=owner, release=other.release, reason="It leaks names.")
    assert isinstance(done, StateChange), done
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET state = 'sealed'"))
    assert "LEDGER_MISMATCH" in refused(other, lambda: promote(other))


def test_rows_as_the_ledger_holds_them_stand_in_nobodys_way(world: GateWorld) -> None:
    world.review()
    assert isinstance(accept(world), Accepted)
    assert "LEDGER_MISMATCH" not in told(world.status("qa"))
    assert isinstance(promote(world), Promoted)


# 9-10: who may, since when


def test_an_empty_role_blocks(world: GateWorld) -> None:
    world.appoint(Role.QA_LEAD)
    world.declare(gates={name: gate for name, gate in world.workspace.gates.items() if name != "code-review"})
    with_no_order = replace(world.workspace.gates["qa"], after=())
    world.declare(gates={**world.workspace.gates, "qa": with_no_order})
    report = world.status("qa")
    assert report.status is GateStatus.BLOCKED
    assert "ROSTER_EMPTY" in told(report)


def test_a_role_granted_just_before_the_vote_is_too_young(world: GateWorld) -> None:
    world.appoint(ENGINEER, FELIX, KEIKO, "wei.zhang")
    world.status("code-review")
    world.inner.clock.advance(timedelta(hours=23))
    assert refused(world, lambda: sign(world, "wei.zhang")) == {"ROLE_TENURE"}
    world.inner.clock.advance(timedelta(hours=2))
    assert isinstance(sign(world, "wei.zhang"), Signed)


def test_a_role_revoked_after_the_vote_takes_it_away(world: GateWorld) -> None:
    world.review()
    world.appoint(ENGINEER, KEIKO, FATIMA)
    report = world.status("code-review")
    assert not report.status.is_approved
    assert "VOTER_INELIGIBLE" in told(report)


def test_a_dissenter_removed_from_the_role_still_dissents(world: GateWorld) -> None:
    assert isinstance(sign(world, FATIMA, decision="reject"), Signed)
    world.inner.clock.advance(timedelta(seconds=1))
    world.appoint(ENGINEER, FELIX, KEIKO)
    world.status("code-review")  # the change of the roster is noticed, and recorded, before the vote
    assert "GATE_REJECTED" in refused(world, lambda: sign(world))
    assert world.status("code-review").status is GateStatus.REJECTED


def test_a_new_holder_of_a_seat_does_not_vote_in_a_running_attempt(world: GateWorld) -> None:
    assert isinstance(world.sign(SEATS[0], "cab", SEAT_ROLES[0]), Signed)
    seats = tuple(
        replace(one, holder=PersonId("chloe.martin")) if one.role is Role.SECURITY_DIRECTOR else one
        for one in world.workspace.seats
    )
    world.declare(seats=seats)
    world.status("cab")
    world.inner.clock.advance(8 * DAY)
    found = refused(world, lambda: world.sign("chloe.martin", "cab", Role.SECURITY_DIRECTOR))
    assert "ROSTER_CHANGED" in found


# 11-12: voting until yes


def test_a_reject_is_not_voted_over(world: GateWorld) -> None:
    assert isinstance(sign(world, decision="reject"), Signed)
    assert "REVOTE_NO_NEW_EVIDENCE" in refused(world, lambda: sign(world))
    assert "GATE_REJECTED" in refused(world, lambda: sign(world, KEIKO))


def test_a_new_attempt_needs_new_evidence(world: GateWorld) -> None:
    sign(world, decision="reject")
    actor = world.person("maria.chen")

    def again() -> object:
        return reopen_gate(world.instance, actor=actor, release=world.release, gate="code-review", reason="Fixed it")

    assert refused(world, again) == {"REVOTE_NO_NEW_EVIDENCE"}
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit(passed=9)))
    assert codes_or_none(again()) == set()
    world.review()
    assert world.status("code-review").status is GateStatus.APPROVED


def codes_or_none(done: object) -> set[str]:
    return codes(done) if done.__class__.__name__ == "Refusal" else set()


def test_rejected_parts_stay_rejected_under_a_new_parent_and_note(world: GateWorld) -> None:
    sign(world, FATIMA, decision="reject")
    again = GateWorld(inner=world.inner, release=world.resealed())
    again.attach(("tests.unit", junit()))
    assert again.status("code-review").status is GateStatus.REJECTED
    assert "REJECTED_PARTS" in refused(again, lambda: sign(again))


# 13-15, 33: what was shown, and when


@pytest.mark.parametrize(
    ("bind", "code"), [("sha256:" + "0" * 64, "VOTE_BIND_MISMATCH"), ("", "VOTE_BIND_MISSING")], ids=["other", "none"]
)
def test_a_vote_names_what_was_shown(world: GateWorld, bind: str, code: str) -> None:
    assert refused(world, lambda: sign(world, bind=bind)) == {code}
    assert isinstance(sign(world, bind=world.status("code-review").bind), Signed)


def test_the_bind_of_one_gate_is_none_of_another(world: GateWorld) -> None:
    bind = world.status("cab").bind
    assert refused(world, lambda: sign(world, bind=bind)) == {"VOTE_BIND_MISMATCH"}


def test_an_old_approval_lapses(world: GateWorld) -> None:
    world.review()
    world.inner.clock.advance(5 * DAY + timedelta(seconds=1))
    report = world.status("code-review")
    assert (report.status, "GATE_EXPIRED" in told(report)) == (GateStatus.EXPIRED, True)


def test_a_double_click_counts_once_and_nobody_else_may_repeat_it(world: GateWorld) -> None:
    first = sign(world, nonce="click")
    before = world.rows()
    again = sign(world, nonce="click")
    assert isinstance(first, Signed)
    assert isinstance(again, Signed)
    assert (again.repeated, again.vote.id) == (True, first.vote.id)
    assert world.rows() == before
    assert refused(world, lambda: sign(world, KEIKO, nonce="click")) == {"VOTE_REPLAY"}


def test_a_production_gate_without_a_second_factor_takes_no_vote(world: GateWorld) -> None:
    world.declare(identity=replace(world.workspace.identity, local_demo=False))
    assert "MFA_UNKNOWN" in refused(world, lambda: world.sign(SEATS[0], "cab", SEAT_ROLES[0]))


def test_who_brought_a_release_into_production_signs_for_it_nowhere(world: GateWorld) -> None:
    brought = (
        "INSERT INTO deployment (id, workflow, space, release, basis, engine, promoted_by, at, previous, state)"
        " VALUES ('d', :workflow, :space, :release, 'normal', '1', :who, now(), NULL, 'waiting')"
    )
    values = {"workflow": WORKFLOW, "space": EAST, "release": world.release, "who": SEATS[0]}
    with world.inner.engine.begin() as connection:
        connection.execute(text(brought), values)
    assert "SOD_CONFLICT" in refused(world, lambda: world.sign(SEATS[0], "cab", SEAT_ROLES[0]))
    assert isinstance(world.sign(SEATS[1], "cab", SEAT_ROLES[1]), Signed)


def test_a_coverage_file_is_held_against_paths_that_golden_cases_prove(world: GateWorld) -> None:
    (item,) = world.attach(("coverage", b"TN:\nSF:a.py\nDA:1,1\nLF:1\nLH:1\nend_of_record\n"))
    assert item.claims["critical_rate"] == 0


@pytest.mark.feature("D10.13", "D10.29")
def test_an_integration_report_is_held_against_the_systems_that_the_workflow_declares(world: GateWorld) -> None:
    named = "".join(f'<property name="integration" value="{one}"/>' for one in ("crm", "ticketing", "made-up"))
    report = f"<testsuite><properties>{named}</properties><testcase name='reaches'/></testsuite>"
    (item,) = world.attach(("tests.integration", report.encode()))
    assert item.claims["points_tested"] == 2
    assert item.summary.endswith("not tested: document-store, sign-on")


# 16-19, 25: evidence


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("tests.unit", junit(at="2026-03-01T00:00:00Z"), "EV_BEFORE_SEAL"),
        ("tests.unit", junit(at="2026-03-09T00:00:00Z"), "EV_FUTURE"),
        ("tests.unit", junit(passed=0), "EV_EMPTY"),
        ("evaluation", b"{}", None),
    ],
    ids=["made before the seal", "made in the future", "nothing ran", "an own run by hand"],
)
def test_a_file_that_cannot_count_is_kept_as_rejected(
    world: GateWorld, kind: str, data: bytes, code: str | None
) -> None:
    (item,) = world.attach((kind, data))
    assert item.state.value == "rejected"
    assert item.reason is not None
    assert code is None or item.reason.code == code


def test_old_evidence_expires(world: GateWorld) -> None:
    world.inner.clock.advance(15 * DAY)
    assert "EV_EXPIRED" in refused(world, lambda: sign(world))
    assert world.status("code-review").status is GateStatus.EXPIRED


def test_evidence_of_another_space_does_not_count(world: GateWorld) -> None:
    world.review()
    world.attach(("tests.smoke", junit()), space=QA)
    world.attach(("tests.security", junit()), space=DEV)
    report = world.status("qa")
    assert "EV_WRONG_SPACE" in told(report)
    assert not report.status.is_approved
    assert "EV_WRONG_SPACE" in refused(world, lambda: world.sign("sofia.lindgren", "qa", Role.QA_LEAD))


def test_a_result_from_a_laptop_does_not_meet_a_pushed_criterion(world: GateWorld) -> None:
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit(passed=50)), by="maria.chen")
    assert "EV_TRUST" in refused(world, lambda: sign(world))


def test_a_key_pushes_only_the_kinds_it_lists(world: GateWorld) -> None:
    (item,) = world.attach(("tests.unit", junit(passed=5)), kinds="scan.*")
    assert item.reason is not None
    assert item.reason.code == "EV_TRUST"


def test_a_set_is_taken_whole_or_not_at_all(world: GateWorld) -> None:
    half = world.attach(("tests.unit", junit(passed=7)), ("tests.api", junit(passed=0)))
    assert {one.reason.code for one in half if one.reason} == {"EV_PARTIAL_SET", "EV_EMPTY"}
    twice = world.attach(("tests.unit", junit(passed=8)), ("tests.unit", junit(failed=1)))
    assert {one.reason.code for one in twice if one.reason} == {"EV_DUPLICATE_SUITE"}
    assert {one.state.value for one in (*half, *twice)} == {"rejected"}


def test_missing_evidence_is_no_pass(world: GateWorld) -> None:
    world.review()
    found = refused(world, lambda: world.sign("sofia.lindgren", "qa", Role.QA_LEAD))
    assert "CRITERION_INCONCLUSIVE" in found


def test_a_failure_is_refused_by_its_numbers(world: GateWorld) -> None:
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit(failed=1)))
    assert "CRITERION_NOT_MET" in refused(world, lambda: sign(world))


# 31: risk acceptances


def risk_file(world: GateWorld, **changed: object) -> bytes:
    expires = world.inner.clock.now() + timedelta(days=20)
    fields: dict[str, object] = {
        "risk": "Smoke tests are not there yet",
        "severity": "medium",
        "criteria": "[smoke]",
        "rationale": '"'
        + "The smoke suite moves to the new runner this week; the same paths run in regression. " * 2
        + '"',
        "compensating_controls": "[Regression covers the same paths]",
        "residual": "{likelihood: 2, impact: 2}",
        "owner": "nadia.brooks",
        "requester": "amara.diallo",
        "spaces": f"[{QA}]",
        "expires": f"{expires:%Y-%m-%d}",
        **changed,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()


def accept(world: GateWorld, who: str = RISK_OFFICER, *, gate: str = "qa", **changed: Any) -> object:
    data = risk_file(world, **changed)
    return accept_risk(
        world.instance, actor=world.person(who), release=world.release, gate=gate, text=RiskText(data=data)
    )


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"criteria": "['*']"}, "RISK_BLANKET"),
        ({"spaces": "[all]"}, "RISK_BLANKET"),
        ({"criteria": "[nothing-like-it]"}, "RISK_BLANKET"),
        ({"criteria": "[unit]", "gate": "code-review", "spaces": f"[{DEV}]"}, "RISK_BLANKET"),
        ({"expires": "2027-03-01"}, "RISK_EXPIRY"),
        ({"expires": "2020-01-01"}, "RISK_EXPIRY"),
        ({"rationale": "Fine."}, "RISK_RATIONALE"),
        ({"owner": RISK_OFFICER}, "SOD_CONFLICT"),
        ({"requester": RISK_OFFICER}, "SOD_CONFLICT"),
        ({"owner": "arthur.bell"}, "SOD_CONFLICT"),
        ({"severity": "critical"}, "RISK_NOT_ACCEPTABLE"),
        ({"severity": "low"}, "RISK_AUTHORITY"),
        ({"criteria": "[authorisation]", "severity": "high"}, "RISK_NOT_ACCEPTABLE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(f"{k}={v}"[:24] for k, v in value.items()),
)
def test_a_faulty_acceptance_is_refused(world: GateWorld, changed: dict[str, Any], code: str) -> None:
    assert code in refused(world, lambda: accept(world, **changed))


@pytest.mark.parametrize(
    ("who", "changed", "code"),
    [
        ("maria.chen", {}, "NOT_PERMITTED"),
        ("nadia.brooks", {"owner": "carol.whitfield"}, "NOT_PERMITTED"),
        ("helena.stroud", {}, "NOT_PERMITTED"),
    ],
)
def test_only_the_authority_accepts(world: GateWorld, who: str, changed: dict[str, Any], code: str) -> None:
    assert refused(world, lambda: accept(world, who, **changed)) == {code}


def test_an_author_does_not_accept_the_risk_of_the_own_work(world: GateWorld) -> None:
    world.authored(RISK_OFFICER)
    assert refused(world, lambda: accept(world)) == {"SOD_CONFLICT"}


def test_a_risk_is_renewed_once(world: GateWorld) -> None:
    long = ["One more reason, number one, is that the new runner is ordered and not yet here, sadly so. " * 2]
    long.append("Another reason, number two, is that the runner came and is being installed this very week. " * 2)
    assert isinstance(accept(world), Accepted)
    assert isinstance(accept(world, rationale=f'"{long[0]}"'), Accepted)
    assert "RISK_CHAINED" in refused(world, lambda: accept(world, rationale=f'"{long[1]}"'))


def test_a_high_risk_takes_two_persons(world: GateWorld) -> None:
    first = accept(world, severity="high")
    assert isinstance(first, Accepted)
    assert {one.code for one in first.open} == {"RISK_AUTHORITY"}
    second = accept(world, SPONSOR, severity="high")
    assert isinstance(second, Accepted)
    assert second.open == ()
    assert second.risk.id == first.risk.id


# 32: delegation and recusal


def test_a_delegate_cannot_delegate_further(world: GateWorld) -> None:
    now = world.inner.clock.now()
    done = delegate_role(world.instance, actor=world.person(FELIX), handing=handing("noor.rahman", now=now))
    assert codes_or_none(done) == set()

    def on() -> object:
        return delegate_role(world.instance, actor=world.person("noor.rahman"), handing=handing("wei.zhang", now=now))

    assert refused(world, on) == {"DELEGATION_CHAIN"}


def test_a_delegation_has_its_end_and_the_holder_waits(world: GateWorld) -> None:
    now = world.inner.clock.now()
    long = handing("noor.rahman", days=31, now=now)
    assert refused(world, lambda: delegate_role(world.instance, actor=world.person(FELIX), handing=long)) == {
        "DELEGATION_EXPIRED"
    }
    delegate_role(world.instance, actor=world.person(FELIX), handing=handing("noor.rahman", now=now))
    assert refused(world, lambda: sign(world)) == {"DELEGATION_ACTIVE"}
    world.inner.clock.advance(3 * DAY)
    late = refused(world, lambda: sign(world, "noor.rahman", delegated_from=FELIX))
    assert late == {"DELEGATION_EXPIRED"}
    assert isinstance(sign(world), Signed)


def test_a_delegate_who_made_the_release_cannot_vote(world: GateWorld) -> None:
    now = world.inner.clock.now()
    delegate_role(world.instance, actor=world.person(FELIX), handing=handing("maria.chen", now=now))
    assert refused(world, lambda: sign(world, "maria.chen", delegated_from=FELIX)) == {"SOD_CONFLICT"}


def test_a_seat_is_handed_to_its_registered_alternate_only(world: GateWorld) -> None:
    now = world.inner.clock.now()
    to = handing("olivia.grant", role=Role.IT_DIRECTOR, now=now)
    holder = world.person(SEATS[0])
    assert refused(world, lambda: delegate_role(world.instance, actor=holder, handing=to)) == {"VOTER_INELIGIBLE"}
    aside = StandAside(gate="cab", role=Role.IT_DIRECTOR, alternate="olivia.grant", reason="On leave")
    done = refused(world, lambda: recuse(world.instance, actor=holder, release=world.release, aside=aside))
    assert done == {"VOTER_INELIGIBLE"}


# 34: promotion


def promote(world: GateWorld, who: str = PROMOTER, space: str = DEV) -> object:
    return promote_release(world.instance, actor=world.person(who), release=world.release, space=space)


@pytest.mark.parametrize("who", ["olivia.grant", "anita.rao", "nadia.brooks", SPONSOR])
def test_who_may_not_promote_is_refused_whatever_the_page_showed(world: GateWorld, who: str) -> None:
    world.review()
    assert refused(world, lambda: promote(world, who)) == {"NOT_PERMITTED"}


def test_a_refused_promotion_says_what_the_next_gates_lack_and_who_gives_it(world: GateWorld) -> None:
    done = promote(world)
    assert isinstance(done, Refusal)
    (short,) = [one for one in done.reasons if one.code == "SIGNOFF_SHORT"]
    assert (short.where, short.text[:30]) == ("code-review/senior-engineer", "code-review: Sign-off missing:")
    assert FELIX in short.text
    later = promote(world, space=QA)
    assert isinstance(later, Refusal)
    assert {str(one.where).partition("/")[0] for one in later.reasons if one.code != "PROMOTION_ORDER"} == {
        "qa",
        "code-review",
    }, "what comes after a gate that is open waits for it"
    world.review()
    assert not [one for one in getattr(promote(world, space=QA), "reasons", ()) if "code-review/" in str(one.where)]


def test_a_gate_that_is_not_approved_lets_nobody_in(world: GateWorld) -> None:
    assert "GATE_NOT_MET" in refused(world, lambda: promote(world))
    world.review()
    assert isinstance(promote(world), Promoted)


@pytest.mark.feature("D9.4")
def test_a_promotion_leaves_a_deployment_a_route_and_one_entry_with_the_gates_it_came_through(
    world: GateWorld, engine: Engine
) -> None:
    world.review()
    done = promote(world)
    assert isinstance(done, Promoted)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT id, space, release, state, promoted_by FROM deployment")).one()
        served = connection.execute(text("SELECT stable FROM routing WHERE space = :space"), {"space": DEV}).scalar()
        entries = entries_of(connection, done.deployment)
    assert tuple(row) == (done.deployment, DEV, world.release, "active", PROMOTER)
    assert served == world.release
    (entry,) = entries
    assert entry.kind == "deployment.promoted"
    gates = decode_entry(entry.bytes).data["gates"]
    assert isinstance(gates, list)
    assert [(one["gate"], one["status"]) for one in gates if isinstance(one, dict)] == [("code-review", "approved")]


def test_a_gate_lost_after_it_was_shown_is_lost_at_promotion(world: GateWorld) -> None:
    world.review()
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit(failed=1)))
    assert "GATE_NOT_MET" in refused(world, lambda: promote(world))


@pytest.mark.feature("D0.2", "D10.4", "D11.4", "DL.2")
def test_a_space_is_not_skipped_and_the_soak_not_cut_short(world: GateWorld) -> None:
    world.review()
    assert {"PROMOTION_ORDER", "GATE_NOT_MET"} <= refused(world, lambda: promote(world, space=QA))
    assert isinstance(promote(world), Promoted)
    world.attach(("tests.smoke", junit()), ("tests.security", junit()), space=DEV)
    assert isinstance(world.sign("sofia.lindgren", "qa", Role.QA_LEAD), Signed)
    assert refused(world, lambda: promote(world, space=QA)) == {"SOAK_SHORT"}


@pytest.mark.parametrize("state", ["revoked", "quarantined", "deprecated"])
def test_a_release_that_fell_enters_nowhere(world: GateWorld, engine: Engine, state: str) -> None:
    world.review()
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET state = :state"), {"state": state})
    assert f"RELEASE_{state.upper()}" in refused(world, lambda: promote(world))
    assert f"RELEASE_{state.upper()}" in refused(world, lambda: promote(world, space="sandbox"))


def test_an_author_does_not_bring_the_own_work_into_production(world: GateWorld) -> None:
    world.authored(PROMOTER)
    for space in ("staging-deployment-space", *PRODUCTION):
        assert "SOD_CONFLICT" in refused(world, lambda space=space: promote(world, space=space))  # type: ignore[misc]


def test_who_voted_does_not_promote_into_production(world: GateWorld) -> None:
    world.appoint(Role.PLATFORM_ENGINEER, PROMOTER, FELIX)
    world.review()
    assert "SOD_CONFLICT" in refused(world, lambda: promote(world, FELIX, PRODUCTION[0]))


# 40: an address nobody knows


def test_an_author_nobody_knows_stops_the_gate(world: GateWorld) -> None:
    world.authored(UNKNOWN)
    assert "AUTHOR_UNKNOWN" in refused(world, lambda: sign(world))
    assert world.status("code-review").status is GateStatus.BLOCKED


# ends before their time


def test_the_giver_takes_a_delegation_back_and_nobody_else(world: GateWorld) -> None:
    now = world.inner.clock.now()
    made = delegate_role(world.instance, actor=world.person(FELIX), handing=handing("noor.rahman", now=now))
    assert not isinstance(made, Refusal)

    def revoke(who: str) -> object:
        return revoke_named(world.instance, actor=world.person(who), name=made.id, reason="Back from leave.")

    assert refused(world, lambda: revoke("noor.rahman")) == {"NOT_PERMITTED"}
    assert revoke(FELIX) == "delegation"
    world.inner.clock.advance(timedelta(seconds=1))
    assert "DELEGATION_EXPIRED" in refused(world, lambda: sign(world, "noor.rahman", delegated_from=FELIX))


def test_a_withdrawn_acceptance_covers_nothing(world: GateWorld) -> None:
    done = accept(world)
    assert isinstance(done, Accepted)
    assert done.report.acceptances == () or done.risk.id in done.report.acceptances

    def withdraw(who: str) -> object:
        return revoke_named(world.instance, actor=world.person(who), name=done.risk.id, reason="It is repaired.")

    assert refused(world, lambda: withdraw(KEIKO)) == {"NOT_PERMITTED"}
    assert withdraw(RISK_OFFICER) == "acceptance"
    assert world.status("qa").acceptances == ()


def test_an_id_that_names_nothing_is_said_so(world: GateWorld) -> None:
    with pytest.raises(NotFound, match="names no delegation"):
        revoke_named(world.instance, actor=world.person(FELIX), name="01J", reason="x")


# a gate of the workspace's own


def test_a_gate_the_table_does_not_know_is_open_to_who_votes_anywhere_and_to_nobody_else(world: GateWorld) -> None:
    asked = replace(REVIEW, name="house-rule", pre=replace(REVIEW.pre, signoffs=(Signoff(role=Role.QA_LEAD),)))
    world.inner.workspace = with_gates(world.workspace, *world.workspace.gates.values(), asked)
    assert isinstance(world.sign("sofia.lindgren", "house-rule", Role.QA_LEAD), Signed)
    assert "NOT_PERMITTED" in refused(world, lambda: world.sign("maria.chen", "house-rule", Role.QA_LEAD))


# soak


def test_a_space_in_which_nothing_was_answered_is_no_soak(world: GateWorld) -> None:
    with world.inner.engine.begin() as connection:
        stored = named_release(connection, world.release)
        add_deployment(
            connection,
            Deployment(
                id="d1",
                workflow=WORKFLOW,
                space=SpaceName(DEV),
                release=world.release,
                basis="normal",
                engine="test",
                promoted_by=PROMOTER,
                at=world.inner.clock.now(),
                previous=None,
                state="active",
            ),
            [],
        )
        world.inner.clock.advance(3 * DAY)
        (stay,) = stays(open_chain(connection, world.instance, stored, world.inner.clock.now()))
    assert stay.healthy_since is None
