"""A mitigation from the run that found it to the run or acceptance that closes it: at gates, inboxes, ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import CAB, QA, REVIEW, TESTED, GateWorld, codes, gate_world, junit
from tests.control.test_gate_loopholes import accept
from tests.evaluation.test_mitigation_rules import result

from pilotage.control.accept_risk import Accepted
from pilotage.control.change_mitigation import MitigationChange, change_mitigation
from pilotage.control.inbox import list_tasks
from pilotage.control.ledger_rows import row_mismatches
from pilotage.control.mitigate import (
    MitigationRequest,
    close_by_acceptance,
    close_by_run,
    mitigations_of,
    open_mitigation,
)
from pilotage.control.reopen_mitigations import reopen_mitigations
from pilotage.control.risk_reports import risks_of
from pilotage.control.watch_mitigations import watch_mitigations
from pilotage.core.canonical import Form, canonical_bytes
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import Conflict, NotFound, UsageError
from pilotage.core.ids import new_ulid
from pilotage.evaluation.mitigation import Mitigation, MitigationState
from pilotage.evaluation.run import EvaluationRun, RunKind, RunState
from pilotage.store.evaluation_runs import add_run, complete_run
from pilotage.store.gate_people import withdraw_acceptance
from pilotage.store.ledger_state_rows import unmatched
from pilotage.testing.rollouts import WORKFLOW
from pilotage.workspace.gate import Condition, Criterion, Operator

pytestmark = pytest.mark.store
OPENER, OWNER, APPROVER = "mei.lin", "keiko.tanaka", "clara.dupont"
FAIR = Criterion(
    id="fair",
    of=("fairness",),
    all=(Condition(claim="groups", operator=Operator.GE, limit=2),),
    accept=REVIEW.pre.criteria[0].accept,
    trust=REVIEW.trust,
)
RISKS = replace(
    FAIR, id="risks", of=("fact.risks",), all=(Condition(claim="untreated", operator=Operator.EQ, limit=0),)
)
LATE = replace(RISKS, id="late", all=(Condition(claim="mitigations_overdue", operator=Operator.EQ, limit=0),))


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    qa = replace(TESTED, pre=replace(TESTED.pre, criteria=(*TESTED.pre.criteria, FAIR, RISKS, LATE)))
    made.declare(gates={one.name: one for one in (REVIEW, qa, CAB)})
    return made


def ran(world: GateWorld, release: Digest, verdict: str, body: Mapping[str, Any]) -> str:
    """Store a completed fairness run."""
    world.inner.clock.advance(timedelta(minutes=1))
    now = world.inner.clock.now()
    run = EvaluationRun(
        id=new_ulid(now),
        kind=RunKind.FAIRNESS,
        workflow=WORKFLOW,
        release=release,
        golden_digest=digest_of(b"golden"),
        as_of=now.date(),
        state=RunState.RUNNING,
        requested_by="ada",
        requested_at=now,
    )
    with world.inner.engine.begin() as connection:
        add_run(connection, run)
        assert complete_run(
            connection, run.id, verdict=verdict, result=canonical_bytes(body, form=Form.PLAIN), measured={}, at=now
        )
    return run.id


def opened(world: GateWorld, **changed: Any) -> Any:
    who = changed.pop("who", OPENER)
    run = changed.pop("run", None) or ran(world, world.release, "no_go", result(20))
    due = (world.inner.clock.now() + timedelta(days=7)).date().isoformat()
    values = {
        "attribute": "name",
        "metric": "flip_rate",
        "action": "Names are taken out of the question.",
        "owner": OWNER,
        "due": due,
    }
    request = MitigationRequest(**{**values, **changed})
    return open_mitigation(world.instance, actor=world.person(who), run=run, request=request)


def one_of(world: GateWorld, **changed: Any) -> Mitigation:
    done = opened(world, **changed)
    assert isinstance(done, Mitigation), done
    return done


def register(world: GateWorld) -> dict[str, tuple[str, str]]:
    return {one.id: (one.owner, one.due) for one in risks_of(world.instance, world.release) if "mitigation" in one.id}


def observed(world: GateWorld, criterion: str) -> list[float]:
    (found,) = (one for one in world.status("qa").criteria if one.id == criterion)
    return [float(check.observed or -1) for check in found.checks]


@pytest.mark.feature("D6.11")
def test_an_open_one_stands_at_the_gates_and_in_its_owners_inbox_until_a_go_on_the_next_release(
    world: GateWorld,
) -> None:
    one = one_of(world)
    assert register(world) == {f"mitigation:{one.id}": (OWNER, one.due.isoformat())}
    (task,) = (task for task in list_tasks(world.instance, world.person(OWNER)).tasks if one.id in task.key)
    assert task.due is not None
    assert (task.due.date(), one.id in task.why) == (one.due + timedelta(days=1), True)
    assert not any(one.id in task.key for task in list_tasks(world.instance, world.person(APPROVER)).tasks)
    better = world.inner.seal("Without names.", parent=world.release)
    run = ran(world, better, "go", result(0))
    assert "SOD_CONFLICT" in codes(close(world, one, run, by=OWNER, role_of=APPROVER))
    done = close(world, one, run)
    assert isinstance(done, Mitigation), done
    (shown,) = mitigations_of(world.instance, workflow=WORKFLOW)["mitigations"]
    assert {name: shown[name] for name in ("state", "decision", "approver", "release_after", "run_after")} == {
        "state": "closed",
        "decision": "go",
        "approver": APPROVER,
        "release_after": better,
        "run_after": run,
    }
    assert (shown["value_before"], shown["value_after"]) == (0.1, 0.0)
    assert register(world) == {}
    assert mitigations_of(world.instance, workflow="other") == {"mitigations": []}
    with pytest.raises(Conflict):
        close(world, one, run)
    assert recorded(world) == []


def close(world: GateWorld, one: Mitigation, run: str, *, by: str = APPROVER, role_of: str | None = None) -> Any:
    actor = world.person(by)
    if role_of is not None:
        actor = replace(actor, roles=world.person(role_of).roles)
    return close_by_run(world.instance, actor=actor, name=one.id, run=run)


def recorded(world: GateWorld) -> list[str]:
    """Return what of mitigations the ledger contradicts."""
    with world.inner.engine.connect() as connection:
        kept = {str(one["mitigation"]) for one in mitigations_of(world.instance)["mitigations"]}
        found = [str(one.subject) for one in unmatched(connection) if one.table == "mitigation" and one.subject in kept]
    return found + [
        reason.text
        for reason in row_mismatches(world.inner.engine, world.inner.clock.now())
        if "mitigation" in reason.text
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"who": OWNER}, "NOT_PERMITTED"),
        ({"owner": "nobody.known"}, "MITIGATION_OWNER"),
        ({"metric": "odds"}, "MITIGATION_FINDING"),
        ({"due": "2020-01-01"}, "MITIGATION_DUE"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(world: GateWorld, changed: dict[str, Any], code: str) -> None:
    assert code in codes(opened(world, **changed))
    assert mitigations_of(world.instance) == {"mitigations": []}


def test_what_is_not_there_or_no_day_is_said(world: GateWorld) -> None:
    for run, due, error in (("none", "2027-01-01", NotFound), (None, "soon", UsageError)):
        with pytest.raises(error):
            opened(world, run=run, due=due)
    one = one_of(world)
    for name, run in (("none", "none"), (one.id, "none")):
        with pytest.raises(NotFound):
            close_by_run(world.instance, actor=world.person(APPROVER), name=name, run=run)
    with pytest.raises(NotFound):
        close_by_acceptance(world.instance, actor=world.person(APPROVER), name=one.id, acceptance="none")


def test_a_go_closes_nothing_for_who_made_that_release_nor_on_the_same_parts(world: GateWorld) -> None:
    one = one_of(world)
    assert "NOT_PERMITTED" in codes(close(world, one, one.run_before, by=OWNER))
    again = world.resealed()
    assert "MITIGATION_SAME_RELEASE" in codes(close(world, one, ran(world, again, "go", result(0))))
    own = world.inner.seal("Mine.", parent=world.release, author=APPROVER)
    assert "SOD_CONFLICT" in codes(close(world, one, ran(world, own, "go", result(0))))
    unlike = world.inner.seal("Elsewhere.")
    assert "MITIGATION_LINE" in codes(close(world, one, ran(world, unlike, "go", result(0))))
    assert "NOT_PERMITTED" in codes(
        close_by_acceptance(world.instance, actor=world.person(OWNER), name=one.id, acceptance="x")
    )


def test_an_acceptance_closes_one_only_while_it_holds(world: GateWorld) -> None:
    one = one_of(world)

    def closed_by(acceptance: str) -> Any:
        actor = world.person(APPROVER)
        return close_by_acceptance(world.instance, actor=actor, name=one.id, acceptance=acceptance)

    other = accept(world)
    assert isinstance(other, Accepted), other
    assert "MITIGATION_SCOPE" in codes(closed_by(other.risk.id))
    fair = accept(world, criteria="[fair]", risk="Names sway answers")
    assert isinstance(fair, Accepted), fair
    done = closed_by(fair.risk.id)
    assert isinstance(done, Mitigation), done
    assert register(world) == {}
    assert recorded(world) == []
    with world.inner.engine.begin() as connection:
        withdraw_acceptance(connection, fair.risk.id, world.inner.clock.now())
    assert set(register(world)) == {f"mitigation:{one.id}"}
    assert "RISK_EXPIRY" in codes(closed_by(fair.risk.id))


def reopened(world: GateWorld) -> tuple[str, ...]:
    with world.inner.engine.begin() as connection:
        return reopen_mitigations(connection, world.instance)


@pytest.mark.feature("D6.11")
def test_one_is_open_again_when_the_condition_of_its_acceptance_comes_true_and_stays_so(world: GateWorld) -> None:
    one = one_of(world)
    condition = "[{kind: tests.smoke, when: failed > 0}]"
    fair = accept(world, criteria="[fair]", risk="Names sway answers", revoke_when=condition)
    assert isinstance(fair, Accepted), fair
    actor = world.person(APPROVER)
    assert isinstance(
        close_by_acceptance(world.instance, actor=actor, name=one.id, acceptance=fair.risk.id), Mitigation
    )
    assert (reopened(world), register(world)) == ((), {})
    world.attach(("tests.smoke", junit(passed=4, failed=1)), space=QA)
    assert (reopened(world), reopened(world)) == ((one.id,), ())
    assert set(register(world)) == {f"mitigation:{one.id}"}
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.smoke", junit(passed=5)), space=QA)
    assert reopened(world) == ()
    assert set(register(world)) == {f"mitigation:{one.id}"}
    assert recorded(world) == []
    with world.inner.engine.connect() as connection:
        texts = connection.execute(text("SELECT payload ->> 'text' FROM outbox")).scalars().all()
    assert any("Its own condition came true: failed > 0" in each and OWNER in each for each in texts)
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE mitigation SET reopened_at = NULL"))
    assert "LEDGER_MISMATCH" in {reason.code for reason in world.status("qa").reasons}


@pytest.mark.feature("D6.11")
def test_one_is_open_again_when_its_acceptance_cannot_be_judged_and_no_other_row_is_held(world: GateWorld) -> None:
    one, other = one_of(world), one_of(world, metric="difference")
    fair = accept(world, criteria="[fair]", risk="Names sway answers")
    assert isinstance(fair, Accepted), fair
    for each in (one, other):
        actor = world.person(APPROVER)
        assert isinstance(
            close_by_acceptance(world.instance, actor=actor, name=each.id, acceptance=fair.risk.id), Mitigation
        )
    with world.inner.engine.begin() as connection:
        assert reopen_mitigations(connection, world.instance) == ()
        assert unheld(world) == {one.id, other.id}, "what is only looked at is not held"
        connection.execute(text("UPDATE release SET manifest = 'x' WHERE digest = :it"), {"it": world.release})
    assert reopened(world) == (one.id, other.id)
    states = {each["mitigation"]: each["state"] for each in mitigations_of(world.instance)["mitigations"]}
    assert states == {one.id: "open", other.id: "open"}
    with world.inner.engine.connect() as connection:
        texts = connection.execute(text("SELECT payload ->> 'text' FROM outbox")).scalars().all()
    assert any("cannot be judged" in each and OWNER in each for each in texts)


def unheld(world: GateWorld) -> set[str]:
    with world.inner.engine.begin() as connection:
        return set(connection.execute(text("SELECT id FROM mitigation FOR UPDATE SKIP LOCKED")).scalars())


@pytest.mark.feature("D6.11")
def test_owner_and_day_change_with_a_reason_that_the_ledger_keeps(world: GateWorld) -> None:
    one = one_of(world)
    later = (one.due + timedelta(days=10)).isoformat()
    why = "Keiko leaves the team, and Felix takes over."

    def changed(by: str, **how: Any) -> Any:
        asked = MitigationChange(**{"reason": why, **how})
        return change_mitigation(world.instance, actor=world.person(by), name=one.id, change=asked)

    assert "NOT_PERMITTED" in codes(changed(OWNER, due=later))
    assert "MITIGATION_OWNER" in codes(changed(OPENER, owner="nobody.known"))
    assert "MITIGATION_REASON" in codes(changed(OPENER, owner="felix.braun", reason="Leave."))
    with pytest.raises(UsageError, match="4,000"):
        changed(OPENER, owner="felix.braun", reason="x" * 4_001)
    done = changed(OPENER, owner="felix.braun", due=later)
    assert isinstance(done, Mitigation), done
    assert register(world) == {f"mitigation:{one.id}": ("felix.braun", later)}
    assert recorded(world) == []
    assert "LEDGER_MISMATCH" not in {reason.code for reason in world.status("qa").reasons}
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE mitigation SET due = due + 30"))
    assert "LEDGER_MISMATCH" in {reason.code for reason in world.status("qa").reasons}


def test_who_put_it_off_does_not_take_it_over_afterwards_as_the_ledger_says(world: GateWorld) -> None:
    one = one_of(world)

    def changed(by: str, **how: Any) -> Any:
        asked = MitigationChange(reason="Felix is away for the whole of the month.", **how)
        return change_mitigation(world.instance, actor=world.person(by), name=one.id, change=asked)

    later, sooner = ((one.due + timedelta(days=days)).isoformat() for days in (10, 5))
    assert isinstance(changed(APPROVER, due=later), Mitigation)
    assert isinstance(changed(OPENER, due=sooner), Mitigation)
    assert codes(changed(OPENER, owner=APPROVER)) == {"SOD_CONFLICT"}
    assert isinstance(changed(APPROVER, owner=OPENER), Mitigation), "a first or a sooner day puts off nothing"
    assert codes(changed(APPROVER, owner=APPROVER)) == {"SOD_CONFLICT"}


def test_the_same_finding_is_not_opened_twice_while_one_is_open(world: GateWorld) -> None:
    one = one_of(world)
    refused = opened(world)
    assert codes(refused) == {"MITIGATION_OPEN"}
    assert one.id in refused.reasons[0].text
    better = world.inner.seal("Without names.", parent=world.release)
    again = ran(world, better, "no_go", result(20))
    assert codes(opened(world, run=again)) == {"MITIGATION_OPEN"}, "it descends from the release of the open one"
    assert isinstance(
        close(world, one, ran(world, world.inner.seal("Now.", parent=better), "go", result(0))), Mitigation
    )
    assert isinstance(opened(world, run=again), Mitigation)


@pytest.mark.feature("D6.11")
def test_an_overdue_one_is_untreated_at_the_gate_and_told_once_a_week(world: GateWorld) -> None:
    one = one_of(world)
    assert (observed(world, "late"), told(world)) == ([0.0], ())
    untreated = observed(world, "risks")[0]
    world.inner.clock.advance(timedelta(days=8))
    assert observed(world, "late") == [1.0]
    assert observed(world, "risks") == [untreated + 1]
    assert (told(world), told(world)) == ((one.id,), ())
    world.inner.clock.advance(timedelta(days=8))
    assert told(world) == (one.id,)
    with world.inner.engine.connect() as connection:
        texts = connection.execute(text("SELECT payload ->> 'text' FROM outbox")).scalars().all()
    assert sum(f"{OWNER} was to mitigate it by {one.due}" in each for each in texts) >= 2
    assert mitigations_of(world.instance)["mitigations"][0]["state"] == MitigationState.OVERDUE.value


def told(world: GateWorld) -> tuple[str, ...]:
    with world.inner.engine.begin() as connection:
        return watch_mitigations(connection, world.instance)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("due = due + 30", "due"),
        ("owner = 'felix.braun'", "owner"),
        ("action = 'Nothing at all is done.'", "action"),
        (
            "decision='go', approver='mei.lin', closed_at=due, run_after=run_before, release_after=release_before",
            "no ledger entry",
        ),
    ],
)
def test_a_row_that_no_command_wrote_blocks_the_gates(world: GateWorld, change: str, field: str) -> None:
    one_of(world)
    assert "LEDGER_MISMATCH" not in {reason.code for reason in world.status("qa").reasons}
    with world.inner.engine.begin() as connection:
        connection.execute(text(f"UPDATE mitigation SET {change}"))
    (found,) = {reason.text for reason in world.status("qa").reasons if reason.code == "LEDGER_MISMATCH"}
    assert field in found
    assert any(field in each for each in recorded(world))
