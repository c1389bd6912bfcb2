"""A page that reached nobody goes to the fallback, and is an incident that pages on (operations.md 3.2)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world, trouble

from pilotage.control.escalate_incidents import escalate_incidents
from pilotage.control.open_incident import open_incident
from pilotage.control.rollout_moves import machine_deed
from pilotage.control.unreached_pages import watch_pages
from pilotage.incident.records import PAGE_UNREACHED as CAUSE
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld
from pilotage.workspace.records import Channel, MessageKind

pytestmark = pytest.mark.store
MINUTE = timedelta(minutes=1)
PAGER, SECOND, FALLBACK, TICKETS = (
    Channel(name=name, url_ref=f"env:{name.upper()}", kinds=kinds)
    for name, kinds in (
        ("pager", frozenset({MessageKind.PAGE})),
        ("second", frozenset({MessageKind.PAGE})),
        ("fallback", frozenset({MessageKind.REPORT})),
        ("tickets", frozenset({MessageKind.TICKET})),
    )
)


def world_of(engine: Engine, *channels: Channel) -> RolloutWorld:
    world = make_world(engine, replace(bank(), channels={one.name: one for one in channels}))
    with engine.begin() as connection:
        open_incident(connection, world.instance, trouble(), machine_deed(world.clock.now()))
    return world


def mark(world: RolloutWorld, target: str, state: str) -> None:
    with world.engine.begin() as connection:
        query = "UPDATE outbox SET state = :state WHERE target = :target AND state = 'waiting'"
        connection.execute(text(query), {"target": target, "state": state})


def watch(world: RolloutWorld, by: timedelta = timedelta()) -> int:
    world.clock.advance(by)
    with world.engine.begin() as connection:
        return len(watch_pages(connection, world.instance))


def rows(world: RolloutWorld, query: str) -> list[Any]:
    with world.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def messages(world: RolloutWorld, title: str) -> Counter[str]:
    return Counter(
        target for target, shown in rows(world, "SELECT target, payload->>'title' FROM outbox") if title in shown
    )


def graded(world: RolloutWorld, title: str) -> set[str | None]:
    """Return the severities that messages say."""
    query = "SELECT payload -> 'facts' ->> 'severity', payload->>'title' FROM outbox"
    return {severity for severity, shown in rows(world, query) if title in shown}


OPENED = "SELECT workflow, space, severity FROM incident WHERE cause = 'page unreached'"
FIRST = "reported by a person"


@pytest.mark.parametrize("state", ["waiting", "dead"])
def test_a_page_that_nobody_got_in_five_minutes_goes_to_the_fallback_and_is_an_incident_once(
    engine: Engine, state: str
) -> None:
    world = world_of(engine, PAGER, SECOND, FALLBACK, TICKETS)
    mark(world, "pager", state)
    assert watch(world, 5 * MINUTE - timedelta(seconds=1)) == 0
    assert watch(world, timedelta(seconds=1)) == 1
    assert messages(world, FIRST) == {
        "pager": 1,
        "second": 1,
        "tickets": 1,
        "fallback": 2,
    }, "the report and the page"
    assert rows(world, OPENED) == [(WORKFLOW, EAST, "SEV3")]
    assert messages(world, CAUSE) == {"pager": 1, "second": 1, "tickets": 1}
    assert graded(world, CAUSE) == {"SEV3"}
    assert watch(world, MINUTE) == 0
    assert messages(world, FIRST)["fallback"] == 2


def test_one_channel_that_has_it_is_enough_also_when_it_is_looked_into_later(engine: Engine) -> None:
    world = world_of(engine, PAGER, SECOND)
    mark(world, "pager", "dead")
    mark(world, "second", "done")
    assert watch(world, 10 * MINUTE) == 0
    assert watch(world, MINUTE) == 0
    assert rows(world, OPENED) == []


def test_without_a_fallback_the_workers_log_has_it(engine: Engine) -> None:
    world = world_of(engine, PAGER, TICKETS)
    mark(world, "pager", "dead")
    assert watch(world, 5 * MINUTE) == 1
    assert messages(world, FIRST)["log"] == 2, "the report and the page"


def test_what_the_incident_pages_and_does_not_arrive_joins_it_and_its_ladder_goes_on(engine: Engine) -> None:
    world = world_of(engine, PAGER)
    assert watch(world, 5 * MINUTE) == 1
    with world.engine.begin() as connection:
        escalate_incidents(connection, world.instance)
    assert watch(world, 5 * MINUTE) == 2, "the page of the incident, and the next level of the first one"
    assert len(rows(world, OPENED)) == 1
    before = messages(world, CAUSE)["pager"] + messages(world, "not acknowledged")["pager"]
    with world.engine.begin() as connection:
        escalate_incidents(connection, world.instance)
    assert messages(world, CAUSE)["pager"] + messages(world, "not acknowledged")["pager"] > before


def test_a_page_about_no_workflow_is_an_incident_of_none(engine: Engine) -> None:
    world = world_of(engine, PAGER)
    with world.engine.begin() as connection:
        connection.execute(text("""UPDATE outbox SET payload = payload || '{"links": {}, "facts": {}}'"""))
    assert watch(world, 5 * MINUTE) == 1
    assert rows(world, OPENED) == [("", "", "SEV3")]
