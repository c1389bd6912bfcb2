"""An alert goes through the channels that its space names, and never through none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.adapters.test_notify import ROUTING, taking
from tests.control.rollout_world import bank, make_world, trouble

from pilotage.control.manage_incident import Change, update_incident
from pilotage.control.open_incident import open_incident
from pilotage.control.reach_channel import try_channel
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.core.errors import NotFound, Unavailable
from pilotage.core.reason import Refusal
from pilotage.incident.records import IncidentState, Severity
from pilotage.rollout.transitions import Notify
from pilotage.space.settings import Monitoring
from pilotage.testing.rollouts import EAST, EU, WEST, RolloutWorld
from pilotage.workspace.records import Channel, MessageKind

pytestmark = pytest.mark.store
BOTH = frozenset({MessageKind.PAGE, MessageKind.TICKET})
CHANNELS = {name: Channel(name=name, url_ref=f"env:{name.upper()}", kinds=BOTH) for name in ("pagerduty", "second")}
DESK = Channel(name="desk", url_ref="env:DESK", kinds=frozenset({MessageKind.TICKET}))


def made(engine: Engine) -> RolloutWorld:
    workspace, listed = bank(), Monitoring(destinations=("splunk", "second"))
    spaces = {
        **workspace.spaces,
        EU: replace(workspace.spaces[EU], monitoring=Monitoring()),
        WEST: replace(workspace.spaces[WEST], monitoring=listed),
    }
    return make_world(engine, replace(workspace, channels={"desk": DESK, **CHANNELS}, spaces=spaces))


@pytest.mark.feature("D11.40", "D13.78")
@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"space": EAST}, {"pagerduty"}),
        ({"space": WEST}, {"second"}),
        ({"spaces": [EAST, WEST]}, {"pagerduty", "second"}),
        ({"space": EU}, {"pagerduty", "second"}),
        ({"spaces": [EAST, EU]}, {"pagerduty", "second"}),
        ({"spaces": [WEST, "gone"]}, {"pagerduty", "second"}),
        ({"spaces": []}, {"pagerduty", "second"}),
        ({}, {"pagerduty", "second"}),
    ],
    ids=["alerting", "list form", "both spaces", "names none", "one names none", "one unknown", "empty", "no space"],
)
def test_a_page_goes_through_the_channels_that_its_space_names(
    engine: Engine, facts: dict[str, object], told: set[str]
) -> None:
    world = made(engine)
    with engine.begin() as connection:
        notice = Notice(title="t", text="x", facts=facts)  # type: ignore[arg-type]
        assert send(connection, world.instance, [Notify.PAGE], notice, at=world.clock.now()) == len(told)
        assert set(connection.scalars(text("SELECT target FROM outbox"))) == told


def test_without_a_channel_of_its_kind_the_log_has_it(engine: Engine) -> None:
    world = made(engine)
    with engine.begin() as connection:
        notice = Notice(title="t", text="x", facts={"space": EAST})
        send(connection, world.instance, [Notify.STAKEHOLDERS], notice, at=world.clock.now())
        assert list(connection.scalars(text("SELECT target FROM outbox"))) == ["log"]


def test_a_pager_is_told_once_that_somebody_took_an_incident_on_and_once_that_it_ended(engine: Engine) -> None:
    world = made(engine)
    with engine.begin() as connection:
        found = open_incident(connection, world.instance, trouble(), Deed(actor="system:test", at=world.clock.now()))

    def told(**fields: object) -> list[tuple[str, str, str]]:
        """Change the incident; return the messages that this wrote: target, event, incident."""
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM outbox"))
        done = update_incident(
            world.instance,
            actor=world.person("dina.kowalski"),
            incident=found.id,
            change=Change(**fields),  # type: ignore[arg-type]
        )
        assert not isinstance(done, Refusal), done
        query = "SELECT target, payload ->> 'event', payload -> 'links' ->> 'incident' FROM outbox ORDER BY target"
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def each(event: str) -> list[tuple[str, str, str]]:
        return [(target, event, found.id) for target in ("desk", "pagerduty", "second")]

    assert told(note="Looking.") == []
    assert told(state=IncidentState.ACKNOWLEDGED) == each("acknowledge")
    assert told(state=IncidentState.MITIGATED) == []
    assert told(state=IncidentState.RESOLVED) == each("resolve")
    assert {event for _, event, _ in told(state=IncidentState.OPEN, note="Back.")} == {None}, "it is paged anew"
    assert told(state=IncidentState.RESOLVED) == each("resolve")


@pytest.mark.parametrize(
    ("state", "event"), [(IncidentState.ACKNOWLEDGED, "acknowledge"), (IncidentState.RESOLVED, "resolve")]
)
def test_what_pages_late_is_taken_or_over_for_the_pager_too(engine: Engine, state: IncidentState, event: str) -> None:
    world = made(engine)
    low = replace(trouble(), severity=Severity.SEV3)
    with engine.begin() as connection:
        found = open_incident(connection, world.instance, low, Deed(actor="system:test", at=world.clock.now()))
    for change in (Change(state=state), Change(severity=Severity.SEV2)):
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM outbox"))
        done = update_incident(world.instance, actor=world.person("dina.kowalski"), incident=found.id, change=change)
        assert not isinstance(done, Refusal), done
    query = "SELECT payload ->> 'event' FROM outbox WHERE target = 'pagerduty' ORDER BY seq"
    with engine.connect() as connection:
        events = list(connection.scalars(text(query)))
    assert (events[0], events[-1], events.count(event)) == (None, event, 1)


def test_a_channel_is_tried_by_who_manages_incidents_and_says_why_it_was_not_reached(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = made(engine)
    actor = world.person("dina.kowalski")
    monkeypatch.delenv("PAGERDUTY", raising=False)
    with pytest.raises(Unavailable, match="PAGERDUTY"):
        try_channel(world.instance, actor=actor, name="pagerduty")
    with pytest.raises(NotFound, match="no channel 'pager'") as found:
        try_channel(world.instance, actor=actor, name="pager")
    assert "pagerduty, second" in found.value.hint
    assert isinstance(try_channel(world.instance, actor=world.person("maria.chen"), name="pagerduty"), Refusal)
    with taking() as service:
        monkeypatch.setenv("PAGERDUTY", f"http://127.0.0.1:{service.port}/a")
        done = try_channel(world.instance, actor=actor, name="pagerduty")
        assert not isinstance(done, Refusal)
        ((_, message),) = service.seen
        monkeypatch.setenv("PAGERDUTY", f"pagerduty://{ROUTING}@127.0.0.1:{service.port}")
        try_channel(world.instance, actor=actor, name="pagerduty")
        (_, begun), (_, over) = service.seen[1:]
    assert message["title"].startswith("[test] ")
    assert actor.label in message["text"]
    assert (begun["event_action"], begun["payload"]["severity"], over["event_action"]) == ("trigger", "info", "resolve")
    assert begun["dedup_key"] == over["dedup_key"]
    query = "SELECT convert_from(bytes, 'UTF8') FROM ledger_entry WHERE kind = 'channel.tested' ORDER BY id"
    with engine.connect() as connection:
        entries = [json.loads(one) for one in connection.scalars(text(query))]
    assert [one["data"]["taken"] for one in entries].count(True) == 2
    assert [one["data"]["taken"] for one in entries].count(False) == 1
    assert {one["subject"] for one in entries} == {"pagerduty"}
    assert all(one["actor"].startswith("p_") for one in entries)
