"""Emergency changes: two persons, an open incident, 72 hours; what they skip, and each way to stretch them refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import (
    BUILD,
    CAB,
    DAY,
    DEV,
    FELIX,
    KEIKO,
    PROMOTER,
    QA,
    GateWorld,
    codes,
    gate_world,
    junit,
    told,
)

from pilotage.control import end_emergency as ending
from pilotage.control.emergency_change import EmergencyRequest, declare_emergency, review_emergency
from pilotage.control.emergency_reports import emergency_report
from pilotage.control.gate_chain import chain_holds
from pilotage.control.manage_incident import Change, open_by_person, update_incident
from pilotage.control.preview_vote import view_gate
from pilotage.control.promote_release import Promoted, promote_release
from pilotage.control.rollout_facts import freezes_of
from pilotage.control.sign_gate import Signed
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PrincipalId, SpaceName
from pilotage.core.reason import Refusal
from pilotage.gate.emergency import EMERGENCY_SPAN, REVIEW_SPAN, Emergency
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.incident.records import IncidentState, Severity
from pilotage.jobs.emergencies import KIND, end_due, schedule_emergencies
from pilotage.jobs.handlers import Registry
from pilotage.jobs.reconciler import Reconciler
from pilotage.store.emergencies import find_emergency
from pilotage.store.incidents import StoredIncident
from pilotage.store.routes import read_route
from pilotage.store.runs import find_run
from pilotage.testing.rollouts import EAST, WORKFLOW
from pilotage.workspace.gate import Gate, GateHalf, Signoff, Trust
from pilotage.workspace.plan import Freeze

pytestmark = pytest.mark.store
ON_CALL, DIRECTOR, LEAD, MANAGER, LOOKER = (
    "dina.kowalski",
    "yusuf.demir",
    "elena.marchetti",
    "joseph.mbeki",
    "carol.whitfield",
)
WHY = "Answers quote a withdrawn rate sheet; customers are told wrong rates."


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def incident(world: GateWorld, *, severity: Severity = Severity.SEV2, space: str = DEV) -> StoredIncident:
    done = open_by_person(
        world.instance,
        actor=world.person(MANAGER),
        workflow=WORKFLOW,
        space=space,
        severity=severity,
        summary=f"Wrong rates, seen in {space}.",
    )
    assert isinstance(done, StoredIncident)
    return done


def ask(world: GateWorld, who: str | Principal, about: str, *spaces: str, reason: str = WHY) -> Any:
    actor = world.person(who) if isinstance(who, str) else who
    request = EmergencyRequest(incident=about, spaces=spaces or (DEV,), reason=reason)
    return declare_emergency(world.instance, actor=actor, release=world.release, request=request)


def opened(world: GateWorld, *spaces: str, severity: Severity = Severity.SEV2) -> Emergency:
    """Return a confirmed emergency for a fresh incident."""
    about = incident(world, severity=severity).id
    assert isinstance(ask(world, ON_CALL, about, *spaces), Emergency)
    done = ask(world, DIRECTOR, about, *spaces)
    assert isinstance(done, Emergency), done
    return done


def promote(world: GateWorld, space: str = DEV, who: str = PROMOTER) -> Any:
    return promote_release(world.instance, actor=world.person(who), release=world.release, space=space)


def refused(world: GateWorld, act: Any) -> set[str]:
    """Return the codes of a refusal, having seen that it left no trace."""
    before = (world.rows(), emergencies(world))
    found = codes(act())
    assert (world.rows(), emergencies(world)) == before
    return found


def emergencies(world: GateWorld) -> list[Any]:
    with world.inner.engine.connect() as connection:
        return list(connection.execute(text("SELECT id, confirmed_by, reviewed_by FROM emergency_change ORDER BY id")))


def entries(world: GateWorld, kind: str) -> int:
    """Return how many entries there are about this world's rows; the ledger also holds those of earlier worlds."""
    mine = "SELECT id FROM emergency_change UNION ALL SELECT id FROM rollout"
    query = f"SELECT count(*) FROM ledger_entry WHERE kind = :kind AND subject IN ({mine})"
    with world.inner.engine.connect() as connection:
        found = connection.scalar(text(query), {"kind": kind})
    return int(found or 0)


def serving(world: GateWorld, space: str = DEV) -> Digest | None:
    with world.inner.engine.connect() as connection:
        return read_route(connection, SpaceName(space), WORKFLOW).stable


def deployments(world: GateWorld) -> list[tuple[str, str]]:
    query = "SELECT basis, state FROM deployment WHERE release = :release ORDER BY at, id"
    with world.inner.engine.connect() as connection:
        return [(row.basis, row.state) for row in connection.execute(text(query), {"release": world.release})]


def pass_time(world: GateWorld, by: timedelta) -> None:
    """Let time pass and a worker look."""
    world.inner.clock.advance(by)
    Reconciler(world.instance, Registry(steps={KIND: end_due})).turn()


# what it opens


def test_two_persons_let_a_release_in_without_sign_offs(world: GateWorld) -> None:
    assert "GATE_NOT_MET" in codes(promote(world))
    one = opened(world)
    done = promote(world)
    assert isinstance(done, Promoted)
    assert deployments(world) == [("emergency", "active")]
    assert serving(world) == world.release
    assert (one.opened_role, one.confirmed_role) == (Role.ON_CALL, Role.SECURITY_DIRECTOR)
    assert one.expires_at - one.opened_at == EMERGENCY_SPAN
    assert entries(world, "gate.emergency_opened") == entries(world, "gate.emergency_confirmed") == 1


def test_the_gate_does_not_become_approved_and_says_what_lets_the_release_in(world: GateWorld) -> None:
    opened(world)
    assert world.status("code-review").status is GateStatus.READY
    view = view_gate(world.instance, actor=world.person(FELIX), release=world.release, gate="code-review")
    assert ["approves no gate" in one for one in view.changes] == [True]


def test_an_approved_release_comes_in_normally_whatever_emergency_is_open(world: GateWorld) -> None:
    opened(world, severity=Severity.SEV4)
    world.review()
    assert isinstance(promote(world), Promoted)
    assert deployments(world)[-1][0] == "normal"


# 29a: two persons, neither of them near


def test_one_person_is_not_two(world: GateWorld) -> None:
    about = incident(world).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    assert "EMERGENCY_TWO_PERSONS" in refused(world, lambda: ask(world, ON_CALL, about))
    assert "EMERGENCY_TWO_PERSONS" in refused(world, lambda: promote(world))


def test_who_may_open_and_confirm_still_needs_another_person(world: GateWorld) -> None:
    about = incident(world).id
    assert isinstance(ask(world, LEAD, about), Emergency)
    assert refused(world, lambda: ask(world, LEAD, about)) == {"EMERGENCY_TWO_PERSONS"}
    second = replace(world.person(LEAD), id=PrincipalId("https://login.example|9"), via="oidc")
    assert refused(world, lambda: ask(world, second, about)) == {"EMERGENCY_TWO_PERSONS"}


@pytest.mark.parametrize("who", [ON_CALL, DIRECTOR])
@pytest.mark.parametrize("how", ["author", "sealer"])
def test_neither_of_the_two_made_or_sealed_the_release(engine: Engine, who: str, how: str) -> None:
    world = gate_world(engine, author=who) if how == "sealer" else gate_world(engine)
    if how == "author":
        world.authored(who)
    about = incident(world).id
    if who == DIRECTOR:
        assert isinstance(ask(world, ON_CALL, about), Emergency)
    assert refused(world, lambda: ask(world, who, about)) == {"SOD_CONFLICT"}


@pytest.mark.parametrize("who", [FELIX, DIRECTOR, "anita.rao", BUILD])
def test_only_the_roles_that_may_open_one(world: GateWorld, who: str | Principal) -> None:
    about = incident(world).id
    wanted = {"SOD_SERVICE"} if who is BUILD else {"NOT_PERMITTED"}
    assert refused(world, lambda: ask(world, who, about)) == wanted


@pytest.mark.parametrize("who", [KEIKO, "carlos.vega", BUILD])
def test_only_the_roles_that_may_confirm_one(world: GateWorld, who: str | Principal) -> None:
    about = incident(world).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    wanted = {"SOD_SERVICE"} if who is BUILD else {"NOT_PERMITTED"}
    assert refused(world, lambda: ask(world, who, about)) == wanted


def test_who_confirms_names_the_same_spaces(world: GateWorld) -> None:
    about = incident(world).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    assert refused(world, lambda: ask(world, DIRECTOR, about, DEV, QA)) == {"EMERGENCY_SCOPE"}


# the incident and the scope


def test_the_incident_is_open_and_of_this_workflow(world: GateWorld, engine: Engine) -> None:
    about = incident(world).id
    assert refused(world, lambda: ask(world, ON_CALL, "nothing")) == {"EMERGENCY_INCIDENT"}
    for column, value in (("workflow", "other"), ("is_drill", True), ("state", "closed")):
        with engine.begin() as connection:
            before = connection.scalar(text(f"SELECT {column} FROM incident"))
            connection.execute(text(f"UPDATE incident SET {column} = :value"), {"value": value})
        assert refused(world, lambda: ask(world, ON_CALL, about)) == {"EMERGENCY_INCIDENT"}
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE incident SET {column} = :value"), {"value": before})
    assert isinstance(ask(world, ON_CALL, about), Emergency)


def test_an_incident_closed_before_the_second_person_confirms_nothing(world: GateWorld) -> None:
    about = incident(world, severity=Severity.SEV4).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    for state in (IncidentState.ACKNOWLEDGED, IncidentState.MITIGATED, IncidentState.RESOLVED):
        change = Change(state=state)
        done = update_incident(world.instance, actor=world.person(MANAGER), incident=about, change=change)
        assert isinstance(done, StoredIncident), done
    assert refused(world, lambda: ask(world, DIRECTOR, about)) == {"EMERGENCY_INCIDENT"}


def test_a_space_outside_its_scope_stays_shut(world: GateWorld) -> None:
    opened(world, DEV)
    assert isinstance(promote(world), Promoted)
    found = refused(world, lambda: promote(world, QA))
    assert {"GATE_NOT_MET", "SOAK_SHORT"} <= found


def test_the_order_of_spaces_is_not_skipped(world: GateWorld) -> None:
    opened(world, DEV, QA)
    world.attach(("tests.smoke", junit()), ("tests.security", junit()), space=DEV)
    assert refused(world, lambda: promote(world, QA)) == {"PROMOTION_ORDER"}


def test_scope_and_reason_are_said(world: GateWorld) -> None:
    about = incident(world).id
    with pytest.raises(NotFound, match="no space"):
        ask(world, ON_CALL, about, "*")
    with pytest.raises(UsageError, match="names its spaces"):
        declare_emergency(
            world.instance,
            actor=world.person(ON_CALL),
            release=world.release,
            request=EmergencyRequest(incident=about, spaces=(), reason=WHY),
        )
    assert refused(world, lambda: ask(world, ON_CALL, about, reason="Now!")) == {"REASON_NEEDED"}


# 29b: what it does not skip


def test_a_never_criterion_is_not_skipped(world: GateWorld) -> None:
    opened(world, DEV, QA)
    assert isinstance(promote(world), Promoted)
    world.attach(("tests.smoke", junit()), ("tests.security", junit(failed=1)), space=DEV)
    assert "RISK_NOT_ACCEPTABLE" in refused(world, lambda: promote(world, QA))


def test_other_criteria_stay_as_well(world: GateWorld) -> None:
    opened(world)
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit(failed=1)))
    assert refused(world, lambda: promote(world)) == {"GATE_NOT_MET"}


def test_a_no_is_not_a_missing_yes(world: GateWorld) -> None:
    opened(world)
    assert not isinstance(world.sign(FELIX, "code-review", Role.SENIOR_ENGINEER, "reject"), Refusal)
    assert refused(world, lambda: promote(world)) == {"GATE_REJECTED"}


@pytest.mark.parametrize("state", ["revoked", "quarantined", "deprecated"])
def test_a_release_that_fell_is_not_brought_back(world: GateWorld, engine: Engine, state: str) -> None:
    opened(world)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET state = :state"), {"state": state})
    assert f"RELEASE_{state.upper()}" in refused(world, lambda: promote(world))


def test_another_critical_incident_still_stops_it(world: GateWorld) -> None:
    opened(world)
    with world.inner.engine.begin() as connection:
        copied = (
            "INSERT INTO incident SELECT (jsonb_populate_record(i, jsonb_build_object('id', 'other', 'cause', 'x'))).*"
        )
        connection.execute(text(f"{copied} FROM incident i"))
    assert refused(world, lambda: promote(world)) == {"INCIDENT_OPEN"}


def test_the_freeze_is_skipped_there_and_nowhere_else(world: GateWorld) -> None:
    freeze = Freeze(
        name="year end",
        reason="the books are closed",
        spaces=(SpaceName(DEV), SpaceName(QA)),
        timezone="UTC",
        start="2020-01-01T00:00",
        end="2040-01-01T00:00",
        weekly=False,
    )
    world.declare(freezes=(freeze,))
    assert "FREEZE" in codes(promote(world))
    opened(world)
    assert isinstance(promote(world), Promoted)
    assert "FREEZE" in codes(promote(world, QA))


# what traffic asks while it goes up


def test_gates_and_freeze_hold_for_traffic_until_the_hour_and_not_beyond(world: GateWorld) -> None:
    one = opened(world, EAST)
    rollout = world.inner

    def asked() -> tuple[set[str], int]:
        now = rollout.clock.now()
        with rollout.engine.connect() as connection:
            found = chain_holds(connection, world.instance, release=world.release, space=EAST, now=now)
            stored = _Rollout(release=world.release)
            freezes = freezes_of(connection, world.instance, stored, EAST, now)  # type: ignore[arg-type]
        return {reason.code for reason in found}, len(freezes)

    world.declare(
        freezes=(
            Freeze(
                name="always",
                reason="quiet",
                spaces=(EAST,),
                timezone="UTC",
                start="2020-01-01T00:00",
                end="2040-01-01T00:00",
                weekly=False,
            ),
        )
    )
    assert asked() == (set(), 0)
    rollout.clock.advance(one.expires_at - rollout.clock.now())
    found, freezes = asked()
    assert {"GATE_NOT_MET", "EMERGENCY_EXPIRED"} <= found
    assert freezes == 1


class _Rollout:
    """What freezes look at."""

    workflow = WORKFLOW

    def __init__(self, *, release: Digest) -> None:
        self.release = release


# 72 hours


def test_without_full_approval_the_last_authorised_release_serves_again(world: GateWorld) -> None:
    old = world.inner.seal("Old.")
    world.inner.serve(old, (SpaceName(DEV),))
    one = opened(world)
    assert isinstance(promote(world), Promoted)
    pass_time(world, EMERGENCY_SPAN - timedelta(seconds=1))
    assert serving(world) == world.release
    pass_time(world, timedelta(seconds=1))
    assert serving(world) == old
    assert entries(world, "gate.emergency_ended") == 1
    assert entries(world, "rollback.started") == 1
    with world.inner.engine.connect() as connection:
        found = find_emergency(connection, one.id)
        assert found is not None
        assert found.outcome == "rolled_back"
    assert "EMERGENCY_EXPIRED" in refused(world, lambda: promote(world))


def test_with_full_approval_it_stays(world: GateWorld) -> None:
    one = opened(world)
    assert isinstance(promote(world), Promoted)
    world.review()
    pass_time(world, EMERGENCY_SPAN)
    assert serving(world) == world.release
    with world.inner.engine.connect() as connection:
        found = find_emergency(connection, one.id)
    assert found is not None
    assert found.outcome == "approved"
    assert found.state(world.inner.clock.now()) == "approved"


GO_LIVE = Gate(
    name="go-live",
    guards="production",
    trust=Trust.PUSHED,
    pre=GateHalf(criteria=(), signoffs=(Signoff(role=Role.OPERATIONS_LEAD),)),
    post=GateHalf(criteria=(), signoffs=(Signoff(role=Role.OPERATIONS_LEAD),), confirm_within_s=30 * 86_400),
)


def in_production(world: GateWorld, *, has_traffic: bool = True) -> Emergency:
    """Return an emergency that let the release into a production space, whose own gate is approved by now."""
    into = replace(CAB, name="into-east", pre=GateHalf(criteria=CAB.pre.criteria))
    world.declare(gates={gate.name: gate for gate in (into, GO_LIVE)})
    old = world.inner.seal("Old.")
    world.inner.serve(old, (EAST,))
    one = opened(world, EAST)
    if has_traffic:
        world.inner.serve(world.release, (EAST,))
    return one


def outcome_of(world: GateWorld, one: Emergency) -> str | None:
    """Return how an emergency was settled after its time."""
    pass_time(world, one.expires_at - world.inner.clock.now())
    with world.inner.engine.connect() as connection:
        found = find_emergency(connection, one.id)
    assert found is not None
    return found.outcome


@pytest.mark.parametrize(("half", "outcome"), [(None, "rolled_back"), (Half.PRE, "approved"), (Half.POST, "approved")])
def test_full_approval_in_production_is_that_of_its_go_live_too(
    world: GateWorld, half: Half | None, outcome: str
) -> None:
    one = in_production(world)
    if half is not None:
        done = world.sign(LEAD, "go-live", Role.OPERATIONS_LEAD, half=half, space=EAST)
        assert isinstance(done, Signed), done
    assert outcome_of(world, one) == outcome
    assert (serving(world, EAST) == world.release) is (outcome == "approved")


def test_go_live_is_not_asked_where_nobody_was_served(world: GateWorld) -> None:
    assert outcome_of(world, in_production(world, has_traffic=False)) == "approved"


def test_an_ended_emergency_is_no_target_of_a_later_rollback(world: GateWorld) -> None:
    old = world.inner.seal("Old.")
    world.inner.serve(old, (SpaceName(DEV),))
    world.inner.clock.advance(timedelta(minutes=1))
    first = world.release
    opened(world)
    assert isinstance(promote(world), Promoted)
    world.inner.clock.advance(timedelta(hours=1))
    world.release = world.inner.seal("Second fix.")
    world.attach(("tests.unit", junit()), ("tests.regression", junit()))
    about = incident(world).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    assert isinstance(ask(world, DIRECTOR, about), Emergency)
    assert isinstance(promote(world), Promoted)
    pass_time(world, EMERGENCY_SPAN - timedelta(hours=1))
    assert serving(world) == world.release, "the second has an hour left"
    pass_time(world, timedelta(hours=1))
    assert serving(world) == old
    assert serving(world) != first


def test_a_crash_while_it_ends_leaves_it_to_be_ended(world: GateWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    old = world.inner.seal("Old.")
    world.inner.serve(old, (SpaceName(DEV),))
    one = opened(world)
    assert isinstance(promote(world), Promoted)
    before = world.rows()

    def crash(*_: object, **__: object) -> None:
        raise ConnectionAbortedError

    with monkeypatch.context() as patched:
        patched.setattr(ending, "save_emergency", crash)
        pass_time(world, EMERGENCY_SPAN)
    assert world.rows() == before
    assert serving(world) == world.release
    with world.inner.engine.begin() as connection:
        connection.execute(text("DELETE FROM run"))
    schedule_emergencies(world.instance)
    pass_time(world, timedelta())
    assert serving(world) == old
    with world.inner.engine.connect() as connection:
        found = find_run(connection, KIND, one.id)
    assert found is not None
    assert found.state.value == "done"


def test_the_same_content_gets_no_second_emergency(world: GateWorld) -> None:
    opened(world)
    world.inner.clock.advance(EMERGENCY_SPAN)
    about = incident(world).id
    assert "EMERGENCY_EXPIRED" in refused(world, lambda: ask(world, ON_CALL, about))
    world.release = world.resealed()
    assert "EMERGENCY_EXPIRED" in refused(world, lambda: ask(world, ON_CALL, about))


def test_a_second_emergency_of_the_same_content_ends_no_later_than_the_first(world: GateWorld) -> None:
    first = opened(world, DEV)
    world.inner.clock.advance(timedelta(hours=70))
    about = first.incident
    assert refused(world, lambda: ask(world, ON_CALL, about, DEV)) == {"EMERGENCY_OPEN"}
    assert isinstance(ask(world, ON_CALL, about, QA), Emergency)
    second = ask(world, DIRECTOR, about, QA)
    assert isinstance(second, Emergency)
    assert second.expires_at == first.expires_at


def test_one_nobody_confirmed_in_time_opens_nothing(world: GateWorld) -> None:
    about = incident(world).id
    assert isinstance(ask(world, ON_CALL, about), Emergency)
    world.inner.clock.advance(EMERGENCY_SPAN)
    assert "EMERGENCY_EXPIRED" in refused(world, lambda: promote(world))
    assert refused(world, lambda: ask(world, DIRECTOR, about)) == {"NOT_PERMITTED"}
    assert isinstance(ask(world, ON_CALL, about), Emergency)


# the look back


def test_a_late_look_back_stops_the_next_emergency(world: GateWorld) -> None:
    one = opened(world)
    world.inner.clock.advance(REVIEW_SPAN - timedelta(seconds=1))
    world.release = world.inner.seal("Another.")
    about = incident(world).id
    world.inner.clock.advance(timedelta(seconds=1))
    assert refused(world, lambda: ask(world, ON_CALL, about)) == {"EMERGENCY_REVIEW_OVERDUE"}

    def look_back(who: str, notes: str = "It was one; the check is added.") -> Any:
        return review_emergency(world.instance, actor=world.person(who), name=one.id, notes=notes)

    assert refused(world, lambda: look_back(ON_CALL)) == {"NOT_PERMITTED"}
    assert refused(world, lambda: look_back(DIRECTOR)) == {"SOD_CONFLICT"}
    assert refused(world, lambda: look_back(LOOKER, "Fine.")) == {"REASON_NEEDED"}
    assert isinstance(look_back(LOOKER), Emergency)
    assert entries(world, "gate.emergency_reviewed") == 1
    assert isinstance(ask(world, ON_CALL, about), Emergency)


def test_an_unknown_or_unconfirmed_emergency_is_not_looked_back_at(world: GateWorld) -> None:
    with pytest.raises(NotFound, match="no emergency"):
        review_emergency(world.instance, actor=world.person(LOOKER), name="01J", notes="It was one.")
    one = ask(world, ON_CALL, incident(world).id)
    done = refused(
        world,
        lambda: review_emergency(world.instance, actor=world.person(LOOKER), name=one.id, notes="It was one, really."),
    )
    assert done == {"EMERGENCY_TWO_PERSONS"}


# the rate


@pytest.mark.parametrize(("normal", "alerts"), [(8, True), (9, False)])
def test_more_than_a_tenth_by_emergency_raises_an_alert(world: GateWorld, normal: int, alerts: bool) -> None:
    for number in range(normal):
        world.inner.serve(world.inner.seal(f"Release {number}."), (EAST,))
    row = (
        "INSERT INTO deployment (id, workflow, space, release, basis, engine, promoted_by, at, previous, state)"
        " VALUES (:id, :workflow, :space, :release, 'emergency', 'test', 'p', :at, NULL, :state)"
    )
    with world.inner.engine.begin() as connection:
        for state in ("waiting", "active"):
            values = {"space": EAST, "workflow": WORKFLOW, "release": world.release, "at": world.inner.clock.now()}
            connection.execute(text(row), {**values, "id": state, "state": state})
    rate = emergency_report(world.instance).rate
    assert (rate.emergencies, rate.changes, rate.is_alert) == (1, normal + 1, alerts)
    assert f"1 of {normal + 1} releases" in rate.text
    world.inner.clock.advance(90 * DAY + timedelta(seconds=1))
    assert emergency_report(world.instance).rate.share is None


def test_the_list_says_what_is_due(world: GateWorld) -> None:
    one = opened(world)
    world.inner.clock.advance(REVIEW_SPAN)
    report = emergency_report(world.instance, workflow=WORKFLOW)
    (found,) = report.emergencies
    shown = found.as_json(report.at)
    assert (shown["emergency"], shown["state"], shown["review_overdue"]) == (one.id, "expired", True)
    assert "GATE_NOT_MET" not in told(world.status("code-review"))
