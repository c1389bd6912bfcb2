"""A standard change on its way: approved once by the board, then by its criteria alone, for as long as it fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import (
    CAB,
    DAY,
    PROMOTER,
    SEAT_ROLES,
    SEATS,
    SPONSOR,
    GateWorld,
    codes,
    gate_world,
    junit,
    told,
)

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.change_state import change_of
from pilotage.control.promote_release import promote_release
from pilotage.control.standard_change import (
    Declared,
    Proposed,
    TemplateBallot,
    TemplateRequest,
    declare_standard,
    propose_template,
    sign_template,
    standard_templates,
)
from pilotage.core.ids import new_ulid
from pilotage.gate.servicenow import ChangeState, ChangeType
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.principal import Principal, PrincipalKind, service_principal_id
from pilotage.identity.roles import Role
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.authorship import UNKNOWN
from pilotage.store.ledger_entries import append
from pilotage.testing.rollouts import EAST, WORKFLOW
from pilotage.workspace.gate import Board, BoardRule

pytestmark = pytest.mark.store
ADMIN = "kwame.asante"
WHY = "Prompts are reworded every week; the golden set judges them."
SERVICE = Principal(
    id=service_principal_id("bot"),
    kind=PrincipalKind.SERVICE,
    roles=frozenset({Role.SERVICE, Role.PLATFORM_ENGINEER, Role.WORKSPACE_ADMIN, Role.IT_DIRECTOR}),
    label="bot",
    via="key",
)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    """The first release serves in production; the next one, with another prompt, has passed its tests."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE standard_template, document CASCADE"))
    first = gate_world(engine)
    first.inner.serve(first.release, (EAST,))
    first.inner.clock.advance(timedelta(hours=1))
    release = first.inner.seal("Second, reworded.", parent=first.release)
    found = GateWorld(inner=first.inner, release=release)
    first.inner.clock.advance(timedelta(minutes=1))
    found.attach(("tests.unit", junit()), ("tests.regression", junit()))
    return found


def run(world: GateWorld, kind: str, **claims: float) -> None:
    now = world.inner.clock.now()
    made = OwnRun(kind=kind, claims=claims, body=f"{kind}{claims}{now}".encode(), produced_at=now, summary="")
    with world.inner.engine.begin() as connection:
        attach_own_run(connection, world.instance, release=world.release, run=made)


def proposed(world: GateWorld, **fields: Any) -> str:
    request = TemplateRequest(reason=WHY, **{"parts": ("prompt",), **fields})
    done = propose_template(world.instance, actor=world.person(ADMIN), workflow=WORKFLOW, request=request)
    assert isinstance(done, Proposed), done
    return done.template.id


def say(world: GateWorld, template: str, who: str, role: Role, decision: str = "approve") -> object:
    ballot = TemplateBallot(role=role.value, decision=decision, comment="Read it all.")
    return sign_template(world.instance, actor=world.person(who), name=template, ballot=ballot)


def approved(world: GateWorld) -> str:
    template, first = proposed(world), world.inner.clock.now()
    for who, role in zip(SEATS, SEAT_ROLES, strict=True):
        assert isinstance(say(world, template, who, role), Proposed)
        world.inner.clock.advance(timedelta(seconds=1))
    done = say(world, template, SPONSOR, Role.EXECUTIVE_SPONSOR)
    assert isinstance(done, Proposed)
    assert done.approval.until == first + 90 * DAY
    return template


def declare(world: GateWorld, template: str, who: str | Principal = PROMOTER) -> object:
    actor = world.person(who) if isinstance(who, str) else who
    return declare_standard(world.instance, actor=actor, release=world.release, template=template)


def fits(world: GateWorld) -> None:
    run(world, "evaluation", scored=40, regressions=0)
    run(world, "permissions", scored=40, leaks=0)


def refused(world: GateWorld, act: Callable[[], object]) -> set[str]:
    before = world.rows()
    found = codes(act())
    assert world.rows() == before
    return found


def kinds(world: GateWorld) -> list[str]:
    query = text("SELECT kind FROM ledger_entry WHERE kind LIKE 'gate.standard%' ORDER BY inserted_at DESC, id DESC")
    with world.inner.engine.connect() as connection:
        return [str(kind) for kind in connection.scalars(query)]


def test_the_boards_gate_is_passed_by_its_criteria_alone(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert world.status("cab").status is GateStatus.READY
    assert change_of(world.instance, world.release).kind is ChangeType.NORMAL
    done = declare(world, template)
    assert isinstance(done, Declared), done
    assert kinds(world)[0] == "gate.standard_declared"
    report = world.status("cab")
    assert (report.status, report.signoffs) == (GateStatus.APPROVED, ())
    assert "GATE_NOT_MET" not in codes(promote(world))
    change = change_of(world.instance, world.release)
    assert (change.state, change.kind) == (ChangeState.SCHEDULED, ChangeType.STANDARD)
    again = declare(world, template)
    assert isinstance(again, Declared)
    assert (again.created, again.change.id) == (False, done.change.id)


def promote(world: GateWorld) -> object:
    return promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=EAST)


def test_other_gates_and_all_criteria_stay(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    assert world.status("code-review").status is GateStatus.READY
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.regression", junit(failed=1)))
    assert world.status("cab").status is GateStatus.COLLECTING
    assert "GATE_NOT_MET" in codes(promote(world))


def test_a_given_no_stays_a_no(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    world.sign(SEATS[2], "cab", SEAT_ROLES[2], "reject")
    assert isinstance(declare(world, template), Declared)
    assert world.status("cab").status is GateStatus.REJECTED


def test_an_unknown_author_blocks_it(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    world.authored(UNKNOWN)
    assert world.status("cab").status is GateStatus.BLOCKED


def widen(world: GateWorld) -> None:
    """Let more people read a document, as a refresh records it."""
    now = world.inner.clock.now()
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.DOCUMENT_ACL_CHANGED,
        at=now,
        actor="system:test",
        subject="policies/rates",
        data={"added": {"groups": ["all"], "groups_total": 1, "users": 0}, "removed": {"groups_total": 0, "users": 0}},
    )
    with world.inner.engine.begin() as connection:
        connection.execute(text("INSERT INTO corpus (name) VALUES ('policies') ON CONFLICT DO NOTHING"))
        connection.execute(
            text(
                "INSERT INTO document (corpus, id, classification, region, acl_confirmed_at, changed)"
                " VALUES ('policies', 'rates', 'internal', 'eu', now(), 1)"
            )
        )
        append(connection, entry)


def test_a_widened_permission_is_out_of_scope_before_and_after(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    assert world.status("cab").status is GateStatus.APPROVED
    widen(world)
    assert world.status("cab").status is GateStatus.READY
    assert {"STANDARD_OUT_OF_SCOPE", "GATE_NOT_MET"} <= codes(promote(world))
    assert refused(world, lambda: declare(world, template)) == {"STANDARD_OUT_OF_SCOPE"}


def test_a_regression_or_a_leak_ends_it(world: GateWorld) -> None:
    template = approved(world)
    assert refused(world, lambda: declare(world, template)) == {"STANDARD_OUT_OF_SCOPE"}
    fits(world)
    assert isinstance(declare(world, template), Declared)
    run(world, "permissions", scored=40, leaks=1)
    assert world.status("cab").status is GateStatus.READY


def test_a_part_that_the_template_does_not_name_is_out_of_scope(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE standard_template SET parts = '{corpus}'"))
    assert refused(world, lambda: declare(world, template)) == {"STANDARD_OUT_OF_SCOPE"}


def test_what_follows_nothing_from_production_is_out_of_scope(world: GateWorld) -> None:
    template = approved(world)
    alone = GateWorld(inner=world.inner, release=world.inner.seal("Alone, without a parent."))
    fits(alone)
    assert refused(alone, lambda: declare(alone, template)) == {"STANDARD_OUT_OF_SCOPE"}
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET basis = 'emergency'"))
    fits(world)
    assert refused(world, lambda: declare(world, template)) == {"STANDARD_OUT_OF_SCOPE"}


def test_what_follows_a_release_that_was_rolled_back_is_out_of_scope(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    back = (
        "INSERT INTO space_quarantine (space, workflow, release, reason, at) SELECT d.space, d.workflow, d.release,"
        " 'errors', now() FROM deployment d JOIN release r ON r.parent = d.release WHERE r.digest = :release"
    )
    with world.inner.engine.begin() as connection:
        assert connection.execute(text(back), {"release": world.release}).rowcount == 1
    assert world.status("cab").status is GateStatus.READY
    assert refused(world, lambda: declare(world, template)) == {"STANDARD_OUT_OF_SCOPE"}
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE space_quarantine SET lifted_at = now()"))
    assert world.status("cab").status is GateStatus.APPROVED


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE standard_template SET max_documents = max_documents - 1",
        "UPDATE standard_template SET max_share = max_share / 2",
        "UPDATE standard_template SET parts = '{corpus,prompt}'",
        "UPDATE standard_template SET proposed_by = 'maria.chen'",
        "UPDATE standard_vote SET at = at + interval '1 day'",
        "UPDATE standard_vote SET decision = 'abstain' WHERE role = 'it-director'",
        "UPDATE standard_vote SET person = 'maria.chen' WHERE role = 'it-director'",
        "UPDATE standard_vote SET id = 'made by hand' WHERE role = 'it-director'",
        "UPDATE standard_change SET declared_by = 'maria.chen'",
        "UPDATE standard_change SET declared_at = declared_at - interval '1 day'",
        "UPDATE standard_change SET id = 'made by hand'",
    ],
)
def test_a_row_of_it_edited_in_the_database_passes_no_gate(world: GateWorld, edit: str) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    assert "LEDGER_MISMATCH" not in told(world.status("cab"))
    with world.inner.engine.begin() as connection:
        assert connection.execute(text(edit)).rowcount
    assert "LEDGER_MISMATCH" in told(world.status("cab"))
    assert "LEDGER_MISMATCH" in codes(promote(world))


def test_an_approver_lets_no_own_work_by(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    assert world.status("cab").status is GateStatus.APPROVED
    world.authored(SEATS[0])
    assert world.status("cab").status is GateStatus.READY
    assert refused(world, lambda: declare(world, template)) == {"SOD_CONFLICT"}


def test_who_sealed_a_release_let_no_template_by_for_it(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE release SET sealed_by = :who"), {"who": SEATS[1]})
    assert refused(world, lambda: declare(world, template)) == {"SOD_CONFLICT"}


def test_who_changed_the_rules_lately_approves_no_template(world: GateWorld) -> None:
    template = proposed(world)
    row = "INSERT INTO policy_version (digest, seen_at, seen_by, body) VALUES ('sha256:edited', :at, :who, '{}')"
    with world.inner.engine.begin() as connection:
        connection.execute(text(row), {"at": world.inner.clock.now(), "who": SEATS[0]})
    assert refused(world, lambda: say(world, template, SEATS[0], SEAT_ROLES[0])) == {"SOD_CONFLICT"}
    assert isinstance(say(world, template, SEATS[1], SEAT_ROLES[1]), Proposed)


def test_a_seat_of_a_board_under_another_name_signs_as_it_votes_there(world: GateWorld) -> None:
    seats = (Role.QA_LEAD, *SEAT_ROLES[1:])
    half = replace(CAB.pre, board=Board(seats=seats, rule=BoardRule.UNANIMOUS_OR_RISK_ACCEPTED, quorum=4))
    world.declare(gates={"change-board": replace(CAB, name="change-board", pre=half)})
    template, (lead,) = proposed(world), world.workspace.roster[Role.QA_LEAD]
    assert isinstance(say(world, template, lead, Role.QA_LEAD), Proposed)
    assert "NOT_PERMITTED" in refused(world, lambda: say(world, template, "maria.chen", Role.QA_LEAD))


def test_an_approval_of_ninety_days_ends(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    assert isinstance(declare(world, template), Declared)
    world.inner.clock.advance(90 * DAY)
    world.attach(("tests.regression", junit(passed=4)))
    fits(world)
    assert world.status("cab").status is not GateStatus.APPROVED
    assert "GATE_EXPIRED" in refused(world, lambda: declare(world, template))
    (listed,) = standard_templates(world.instance)
    assert (listed.as_json()["approved"], listed.as_json()["until"]) == (False, None)


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("maria.chen", "NOT_PERMITTED"),
        (ADMIN, "NOT_PERMITTED"),
        (SEATS[0], "NOT_PERMITTED"),
        (SERVICE, "SOD_SERVICE"),
    ],
)
def test_who_promotes_declares_it_and_nobody_else(world: GateWorld, who: str | Principal, code: str) -> None:
    template = approved(world)
    fits(world)
    assert code in refused(world, lambda: declare(world, template, who))


def test_an_account_of_no_declared_person_declares_nothing(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    who = replace(world.person(PROMOTER), person=None)
    assert refused(world, lambda: declare(world, template, who)) == {"SOD_CONFLICT"}


def test_an_author_does_not_declare_the_own_work_a_standard_change(world: GateWorld) -> None:
    template = approved(world)
    fits(world)
    world.authored(PROMOTER)
    assert refused(world, lambda: declare(world, template)) == {"SOD_CONFLICT"}


def test_an_unapproved_template_lets_nothing_by(world: GateWorld) -> None:
    template = proposed(world)
    fits(world)
    assert "SIGNOFF_SHORT" in refused(world, lambda: declare(world, template))


def test_only_seats_speak_and_the_proposer_never(world: GateWorld) -> None:
    template = proposed(world)
    world.appoint(Role.IT_DIRECTOR, ADMIN)
    world.status("cab")
    assert "VOTER_INELIGIBLE" in refused(world, lambda: say(world, template, ADMIN, Role.IT_DIRECTOR))
    assert "SOD_CONFLICT" in refused(world, lambda: say(world, template, ADMIN, Role.IT_DIRECTOR))
    assert {"NOT_PERMITTED", "VOTER_INELIGIBLE"} <= refused(
        world, lambda: say(world, template, PROMOTER, Role.IT_DIRECTOR)
    )
    assert "ROLE_NOT_ASKED" in refused(world, lambda: say(world, template, SEATS[0], Role.QA_LEAD))


def test_one_person_fills_one_seat_and_a_no_is_not_voted_over(world: GateWorld) -> None:
    template = proposed(world)
    assert isinstance(say(world, template, SEATS[0], SEAT_ROLES[0], "reject"), Proposed)
    assert "REVOTE_NO_NEW_EVIDENCE" in refused(world, lambda: say(world, template, SEATS[0], SEAT_ROLES[0]))
    assert "SEAT_DUPLICATE" in refused(world, lambda: say(world, template, SEATS[0], SEAT_ROLES[1]))


@pytest.mark.parametrize(
    ("fields", "who", "code"),
    [
        ({"parts": ("model",)}, ADMIN, "STANDARD_OUT_OF_SCOPE"),
        ({"max_share": 0.5}, ADMIN, "STANDARD_OUT_OF_SCOPE"),
        ({"max_documents": 501}, ADMIN, "STANDARD_OUT_OF_SCOPE"),
        ({"reason": "Because"}, ADMIN, "REASON_NEEDED"),
        ({}, "maria.chen", "NOT_PERMITTED"),
    ],
)
def test_a_faulty_template_is_not_proposed(world: GateWorld, fields: dict[str, Any], who: str, code: str) -> None:
    request = TemplateRequest(**{"reason": WHY, **fields})

    def act() -> object:
        return propose_template(world.instance, actor=world.person(who), workflow=WORKFLOW, request=request)

    assert refused(world, act) == {code}
    assert standard_templates(world.instance) == ()
