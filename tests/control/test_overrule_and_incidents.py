"""Two persons over an inconclusive step, and an incident from its opening to its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, trouble, with_plan

from pilotage.control.escalate_incidents import escalate_incidents
from pilotage.control.incident_reports import incident_detail, incident_list
from pilotage.control.manage_incident import Change, open_by_person, update_incident
from pilotage.control.open_incident import open_incident
from pilotage.control.overrule_rollout import Overruled, overrule_rollout
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.rollout_moves import Deed
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Refusal
from pilotage.incident.records import IncidentState, Severity
from pilotage.rollout.states import State
from pilotage.store.incidents import StoredIncident, incident_freezes
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.plan import Undecidable

pytestmark = pytest.mark.store
SUPPORT, OTHER = "dina.kowalski", "joseph.mbeki"
HOUR = timedelta(hours=1)


def deciding(engine: Engine, per_day: float) -> tuple[RolloutWorld, StoredRollout]:
    plan = replace(small_plan(), undecidable=Undecidable.HOLD)
    world = make_world(engine, with_plan(bank(), plan), observe=CountedTraffic(per_day=dict.fromkeys(PER_DAY, per_day)))
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=per_day, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    return world, world.step(stored.id, 2 * HOUR)


def acceptance(world: RolloutWorld, stored: StoredRollout, **changes: str) -> dict[str, str]:
    base = {
        "verdict": str(stored.decision),
        "release": stored.release,
        "space": EAST,
        "step": "canary",
        "bound": "errors < 0.2 %",
        "owner": "nadia.brooks",
        "severity": "medium",
        "reason": "month end",
        "expires_at": (world.clock.now() + timedelta(days=10)).isoformat(),
    }
    return {**base, **changes}


def sign(world: RolloutWorld, stored: StoredRollout, who: str, **changes: str) -> Overruled | Refusal:
    return overrule_rollout(
        world.instance,
        world.ports,
        actor=world.person(who),
        rollout=stored.id,
        acceptance=acceptance(world, stored, **changes),
    )


def test_two_persons_take_an_undecided_step_on_when_the_harm_is_bounded(engine: Engine) -> None:
    world, stored = deciding(engine, 400_000.0)
    assert (stored.state, stored.decision_outcome) == (State.DECIDING, "inconclusive")
    first = sign(world, stored, DECIDER)
    assert isinstance(first, Overruled), first
    assert first.waits
    again = sign(world, stored, DECIDER)
    assert isinstance(again, Overruled)
    assert again.waits
    for nobody in ("maria.chen", SUPPORT):  # neither decides about steps nor accepts risks
        assert "NOT_PERMITTED" in codes(sign(world, stored, nobody))
    starter = sign(world, stored, STARTER)
    assert isinstance(starter, Refusal)
    assert [reason.code for reason in starter.reasons] == ["SOD_CONFLICT", "NOT_PERMITTED"]
    second = sign(world, stored, "bruno.silva")
    assert isinstance(second, Overruled), second
    assert second.rollout.state is State.ADVANCING
    assert world.step(stored.id).place.step == 1


def test_unbounded_harm_and_stale_verdicts_are_not_overruled(engine: Engine) -> None:
    world, stored = deciding(engine, 20_000.0)
    refused = sign(world, stored, DECIDER)
    assert isinstance(refused, Refusal)
    assert {reason.code for reason in refused.reasons} == {"TRIP_UNPROVEN"}
    stale = sign(world, stored, DECIDER, verdict="sha256:0")
    assert isinstance(stale, Refusal)
    assert [reason.code for reason in stale.reasons] == ["STALE_VERDICT"]
    with pytest.raises(UsageError):
        sign(world, stored, DECIDER, expires_at="tomorrow")
    with pytest.raises(UsageError):
        overrule_rollout(world.instance, world.ports, actor=world.person(DECIDER), rollout=stored.id, acceptance={})


def change(world: RolloutWorld, found: str, who: str, **fields: Any) -> StoredIncident | Refusal:
    return update_incident(world.instance, actor=world.person(who), incident=found, change=Change(**fields))


def codes(found: object) -> list[str]:
    assert isinstance(found, Refusal), found
    return [reason.code for reason in found.reasons]


@pytest.mark.feature("DP.1", "DP.14")
def test_an_incident_goes_from_page_to_post_mortem(engine: Engine) -> None:
    world, stored = deciding(engine, 400_000.0)
    request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates")
    assert not isinstance(roll_back(world.instance, actor=world.person(DECIDER), request=request), Refusal)
    world.step(stored.id)
    listed: Any = incident_list(world.instance, only_open=True)
    (identifier,) = [str(one["incident"]) for one in listed["incidents"] if one["severity"] == "SEV2"]
    taken = change(world, identifier, SUPPORT, state=IncidentState.ACKNOWLEDGED)
    assert isinstance(taken, StoredIncident)
    assert taken.commander == SUPPORT
    assert codes(change(world, identifier, SUPPORT, state=IncidentState.RESOLVED)) == ["NOT_VERIFIED", "FREEZE"]
    assert world.step(stored.id, timedelta(seconds=61)).state is State.ROLLED_BACK
    assert codes(change(world, identifier, OTHER, lift_freeze=True)) == ["NOT_PERMITTED"]
    assert codes(change(world, identifier, SUPPORT, severity=Severity.SEV4)) == ["REASON_NEEDED"]
    change(world, identifier, SUPPORT, lift_freeze=True, state=IncidentState.RESOLVED)
    with engine.connect() as connection:
        assert incident_freezes(connection, WORKFLOW) == ()
    assert codes(change(world, identifier, SUPPORT, state=IncidentState.CLOSED)) == ["POST_MORTEM_MISSING"]
    account = {
        "cause": "A prompt that named old rates.",
        "informed": "Nobody had acted on it.",
        "actions": [{"text": "Golden case", "owner": "maria.chen", "due": "2026-04-01", "aim": "prevent"}],
    }
    change(world, identifier, SUPPORT, post_mortem=account)
    assert codes(change(world, identifier, SUPPORT, approve=True)) == ["SECOND_PERSON_NEEDED"]
    assert codes(change(world, identifier, SUPPORT, state=IncidentState.CLOSED)) == ["SECOND_PERSON_NEEDED"]
    change(world, identifier, OTHER, approve=True)
    closed = change(world, identifier, SUPPORT, state=IncidentState.CLOSED, note="learned")
    assert isinstance(closed, StoredIncident)
    back = change(world, identifier, SUPPORT, state=IncidentState.OPEN, note="again")
    assert isinstance(back, StoredIncident)
    assert (back.resolved_at, back.closed_at, back.mitigated_at) == (None, None, None)
    with engine.connect() as connection:
        assert [reason.where for reason in incident_freezes(connection, WORKFLOW)] == [identifier]
    assert codes(change(world, identifier, SUPPORT, state=IncidentState.CLOSED)) == ["FREEZE", "SECOND_PERSON_NEEDED"]
    change(world, identifier, OTHER, approve=True)
    change(world, identifier, SUPPORT, lift_freeze=True, state=IncidentState.CLOSED)
    shown: Any = incident_detail(world.instance, identifier)
    assert (shown["state"], shown["freezes"]) == ("closed", False)
    assert shown["post_mortem_due"] > shown["detected_at"]
    draft = shown["draft"]
    assert (draft["summary"], draft["requests"], draft["is_mitigated"]) == (shown["summary"], 0, True)
    assert [line["number"] for line in shown["timeline"]] == list(range(1, len(shown["timeline"]) + 1))
    assert draft["minutes_to_detect"] >= 0.0
    figures: Any = incident_list(world.instance)
    assert (figures["mttr_minutes"] > 0.0, figures["mttd_minutes"] >= 0.0) == (True, True)


def test_who_approves_a_post_mortem_changes_nothing_else(engine: Engine) -> None:
    world = make_world(engine)
    opened = reported(world, Severity.SEV2)
    change(world, opened.id, SUPPORT, post_mortem={"cause": "x", "informed": "y", "actions": []})
    for more in (
        {"severity": Severity.SEV4, "note": "small"},
        {"state": IncidentState.CLOSED},
        {"commander": "maria.chen"},
        {"lift_freeze": True},
        {"post_mortem": {"cause": "z"}},
    ):
        assert codes(change(world, opened.id, "maria.chen", approve=True, **more)) == ["NOT_PERMITTED"]
    approved = change(world, opened.id, "maria.chen", approve=True, note="read")
    assert isinstance(approved, StoredIncident)
    assert (approved.postmortem or {})["approved_by"] == "maria.chen"


def reported(world: RolloutWorld, severity: Severity) -> StoredIncident:
    found = open_by_person(
        world.instance, actor=world.person(SUPPORT), workflow=WORKFLOW, space=EAST, severity=severity, summary="Slow"
    )
    assert isinstance(found, StoredIncident)
    return found


def pages(engine: Engine) -> int:
    paged = text("SELECT count(*) FROM outbox WHERE payload->>'kind' = 'page' AND NOT payload ? 'event'")
    with engine.connect() as connection:
        return int(connection.scalar(paged) or 0)


@pytest.mark.feature("D14.38", "DL.5")
def test_incidents_are_counted_by_severity_and_by_who_found_them_drills_left_out(engine: Engine) -> None:
    world = make_world(engine)
    empty: Any = incident_list(world.instance)
    assert (sum(empty["by_severity"].values()), empty["found_by_machine"]) == (0, None)
    reported(world, Severity.SEV3)
    deed = Deed(actor="system:test", at=world.clock.now())
    with engine.begin() as connection:
        for cause, more in (("space unhealthy", {}), ("release drift", {}), ("drilled", {"is_drill": True})):
            open_incident(connection, world.instance, trouble(cause=cause, **more), deed)
    found: Any = incident_list(world.instance)
    assert found["by_severity"] == {"SEV1": 2, "SEV2": 0, "SEV3": 1, "SEV4": 0}
    assert found["found_by_machine"] == "0.6667"


def test_a_worse_trigger_raises_the_incident_it_joins_and_pages(engine: Engine) -> None:
    world = make_world(engine)
    small, none = reported(world, Severity.SEV3), pages(engine)
    worse = reported(world, Severity.SEV1)
    assert (worse.id, worse.severity, none) == (small.id, Severity.SEV1, 0)
    assert pages(engine) > 0
    before = pages(engine)
    assert reported(world, Severity.SEV4).severity is Severity.SEV1
    assert pages(engine) == before
    change(world, small.id, SUPPORT, severity=Severity.SEV3, note="smaller than it looked")
    change(world, small.id, SUPPORT, severity=Severity.SEV2)
    assert pages(engine) > before


@pytest.mark.feature("R4.2", "R4.8")
def test_an_incident_nobody_takes_on_pages_level_after_level_once(engine: Engine) -> None:
    world = make_world(engine)
    critical, small = reported(world, Severity.SEV1), pages(engine)

    def escalated(minutes: float) -> int:
        world.clock.advance(timedelta(minutes=minutes))
        with engine.begin() as connection:
            escalate_incidents(connection, world.instance)
        return pages(engine) - small

    assert escalated(4) == 0
    channels = escalated(1)
    assert channels > 0
    assert escalated(0) == channels
    assert escalated(10) == 2 * channels
    shown: Any = incident_detail(world.instance, critical.id)
    with engine.connect() as connection:
        name = pseudonym_of(connection, "local|joseph.mbeki")
        told = connection.scalars(text("SELECT payload->>'text' FROM outbox ORDER BY seq DESC LIMIT 1")).one()
    assert shown["timeline"][-1]["text"].endswith(f"role:operations-manager ({name}) is paged.")
    assert "role:operations-manager (joseph.mbeki) is paged" in told
    change(world, critical.id, SUPPORT, commander="joseph.mbeki")
    assert f"commander: {name}" in lines(world, critical.id)
    assert "joseph" not in lines(world, critical.id)
    change(world, critical.id, SUPPORT, state=IncidentState.ACKNOWLEDGED)
    assert escalated(60) == 2 * channels


def lines(world: RolloutWorld, incident: str) -> str:
    shown: Any = incident_detail(world.instance, incident)
    return "\n".join(line["text"] for line in shown["timeline"])


def escalate(world: RolloutWorld, minutes: float) -> int:
    """Let time pass and the worker look; return how many pages left."""
    before = pages(world.engine)
    world.clock.advance(timedelta(minutes=minutes))
    with world.engine.begin() as connection:
        escalate_incidents(connection, world.instance)
    return pages(world.engine) - before


def test_that_the_machine_mitigated_it_acknowledges_nothing_and_that_a_person_moved_it_on_does(engine: Engine) -> None:
    world = make_world(engine)
    critical = reported(world, Severity.SEV2)
    with engine.begin() as connection:
        connection.execute(text("UPDATE incident SET state = 'mitigated', mitigated_at = now()"))
    assert escalate(world, 5) > 0
    moved = change(world, critical.id, SUPPORT, state=IncidentState.RESOLVED)
    assert isinstance(moved, StoredIncident)
    assert moved.acknowledged_at == world.clock.now()
    assert escalate(world, 60) == 0


def test_what_the_machine_mitigated_is_taken_on_as_it_stands_and_pages_no_further(engine: Engine) -> None:
    world = make_world(engine)
    critical = reported(world, Severity.SEV2)
    with engine.begin() as connection:
        connection.execute(text("UPDATE incident SET state = 'mitigated', mitigated_at = now()"))
    taken = change(world, critical.id, SUPPORT, state=IncidentState.ACKNOWLEDGED)
    assert isinstance(taken, StoredIncident)
    assert (taken.state, taken.acknowledged_at) == (IncidentState.MITIGATED, world.clock.now())
    assert taken.commander is not None
    assert escalate(world, 60) == 0
    again = change(world, critical.id, SUPPORT, state=IncidentState.ACKNOWLEDGED)
    assert isinstance(again, Refusal)
    assert again.reasons[0].code == "ILLEGAL_TRANSITION"


def test_one_that_is_open_again_escalates_anew_from_then(engine: Engine) -> None:
    world = make_world(engine)
    critical = reported(world, Severity.SEV2)
    assert escalate(world, 30) > 0
    change(world, critical.id, SUPPORT, state=IncidentState.RESOLVED)
    world.clock.advance(HOUR)
    change(world, critical.id, SUPPORT, state=IncidentState.OPEN)
    assert escalate(world, 4) == 0
    assert escalate(world, 1) > 0
    with engine.connect() as connection:
        kinds = "SELECT count(*) FROM ledger_entry WHERE subject = :id AND kind = 'incident.updated'"
        lines = "SELECT count(*) FROM incident_line WHERE incident = :id"
        said = [connection.execute(text(query), {"id": critical.id}).scalar_one() for query in (kinds, lines)]
    assert said[0] == said[1] - 1, "the first line is that of incident.opened"


def test_a_small_incident_or_one_of_a_drill_is_not_escalated(engine: Engine) -> None:
    world = make_world(engine)
    reported(world, Severity.SEV3)
    world.clock.advance(timedelta(days=1))
    with engine.begin() as connection:
        assert escalate_incidents(connection, world.instance) == ()
        connection.execute(text("UPDATE incident SET severity = 'SEV1', is_drill = true"))
        assert escalate_incidents(connection, world.instance) == ()


def test_a_second_rollback_freezes_again_and_has_to_be_verified_too(engine: Engine) -> None:
    world = make_world(engine)
    rolled_back = trouble(cause="rolled back by a person", severity=Severity.SEV2, freezes=True)
    deed = Deed(actor="system:test", at=world.clock.now())
    with engine.begin() as connection:
        first = open_incident(connection, world.instance, rolled_back, deed)
    change(world, first.id, SUPPORT, state=IncidentState.MITIGATED, commander=SUPPORT)
    change(world, first.id, SUPPORT, lift_freeze=True)
    with engine.begin() as connection:
        assert incident_freezes(connection, WORKFLOW) == ()
        again = open_incident(connection, world.instance, replace(rolled_back, spaces=(EAST, WEST), rollout="r2"), deed)
        assert len(incident_freezes(connection, WORKFLOW)) == 1
    assert (again.id, again.state, again.rollout, again.spaces) == (first.id, IncidentState.OPEN, "r2", (EAST, WEST))


def test_a_person_opens_an_incident_and_the_same_one_again_joins_it(engine: Engine) -> None:
    world = make_world(engine)

    def opened(who: str = SUPPORT, workflow: str = WORKFLOW) -> StoredIncident | Refusal:
        return open_by_person(
            world.instance,
            actor=world.person(who),
            workflow=workflow,
            space=EAST,
            severity=Severity.SEV3,
            summary="Slow",
        )

    first, again = opened(), opened()
    assert isinstance(first, StoredIncident)
    assert isinstance(again, StoredIncident)
    assert first.id == again.id
    assert codes(opened("maria.chen")) == ["NOT_PERMITTED"]
    with pytest.raises(NotFound):
        opened(workflow="nothing")
    with pytest.raises(NotFound):
        change(world, "nothing", SUPPORT, note="x")
    with pytest.raises(NotFound):
        incident_detail(world.instance, "nothing")


def test_each_line_of_a_timeline_stands_in_the_ledger_as_a_commitment(engine: Engine) -> None:
    world, stored = deciding(engine, 400_000.0)
    request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates")
    assert not isinstance(roll_back(world.instance, actor=world.person(DECIDER), request=request), Refusal)
    world.step(stored.id)
    world.step(stored.id, timedelta(seconds=61))
    with engine.connect() as connection:
        (identifier,) = connection.scalars(text("SELECT id FROM incident WHERE freezes")).all()
    change(world, identifier, SUPPORT, note="on it")
    with engine.connect() as connection:
        told = connection.execute(
            text(
                "SELECT CAST(convert_from(e.bytes, 'UTF8') AS jsonb)->'data'->>'line', d.value, d.field"
                " FROM ledger_entry e LEFT JOIN ledger_disclosure d ON d.entry = e.id"
                " WHERE e.subject = :id ORDER BY 1"
            ),
            {"id": identifier},
        ).all()
    shown: Any = incident_detail(world.instance, identifier)
    assert [(str(line["number"]), line["text"], "line") for line in shown["timeline"]] == [tuple(one) for one in told]
    assert len(told) >= 3


@pytest.mark.feature("DP.17")
def test_a_post_mortem_keeps_what_went_well_and_badly_and_names_what_it_does_not_know(engine: Engine) -> None:
    world = make_world(engine)
    opened = reported(world, Severity.SEV2)
    account = {"cause": "x", "informed": "y", "actions": [], "went_badly": "Slow.", "golden_cases": ["rates-7"]}
    kept = change(world, opened.id, SUPPORT, post_mortem={**account, "lucky": ""})
    assert isinstance(kept, StoredIncident)
    assert kept.postmortem == {**account, "author": SUPPORT, "approved_by": None}
    with pytest.raises(UsageError, match="no went_wel") as refused:
        change(world, opened.id, SUPPORT, post_mortem={**account, "went_wel": "Fast."})
    assert "went_well" in str(refused.value.hint)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cause": 7},
        {"informed": ["all"]},
        {"actions": 7},
        {"actions": [{"text": "x"}]},
        {"actions": [{"text": "x", "owner": "ben", "due": 20261201, "aim": "detect"}]},
    ],
)
def test_a_post_mortem_that_is_not_made_of_texts_is_refused_when_it_is_written(engine: Engine, wrong: Any) -> None:
    world = make_world(engine)
    opened = reported(world, Severity.SEV2)
    account = {"cause": "x", "informed": "y", "actions": [], **wrong}
    with pytest.raises(UsageError, match="holds cause, informed and actions"):
        change(world, opened.id, SUPPORT, post_mortem=account)
