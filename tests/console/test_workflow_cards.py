"""A workflow's card: how far it is and since when, where its newest release stands, and who is on call now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from selectolax.lexbor import LexborNode
from sqlalchemy import Engine
from tests.console.conftest import Bank, make_bank

from pilotage.console.pages.workflows import MOST_ROWS
from pilotage.console.render import lasting
from pilotage.control.gate_case import open_to_look
from pilotage.control.gate_status import all_reports
from pilotage.control.on_call_now import on_call_now
from pilotage.control.view_workflows import gates_on_the_way
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.deployments import Deployment, add_deployment
from pilotage.store.releases import named_release
from pilotage.store.tables.gates import gate_attempt

pytestmark = pytest.mark.store
NAME = WorkflowName("policy-assistant")


@pytest.fixture
def fresh(own_engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(own_engine, tmp_path)


def card(bank: Bank) -> LexborNode:
    found = bank.browser("omar.haddad").get("/workflows").page.css_first("article.card")
    assert found is not None
    return found


def words(node: LexborNode) -> str:
    return " ".join(node.text(separator=" ").split())


def test_the_gate_line_follows_the_order_of_the_gates_and_says_nothing_of_those_not_reached(bank: Bank) -> None:
    (line,) = card(bank).css("ol.gate-line")
    sides = [[words(stop) for stop in side.css(".stop")] for side in line.css("li")]
    assert sides == [
        ["development NOT MET"],
        ["code-review later", "compliance later", "model-validation later"],
        ["dev-exit later"],
        ["qa later"],
        ["uat later"],
        ["cab later"],
        ["go-live later"],
    ]
    short = bank.release.removeprefix("sha256:")[:12]
    links = [link.attributes["href"] for link in line.css("a")]
    assert links[0] == f"/releases/{short}/gates/development"
    assert all(bank.browser("omar.haddad").get(link or "").status == 200 for link in links)


def test_the_line_says_what_every_gate_says_by_itself(bank: Bank) -> None:
    with bank.instance.engine.begin() as connection:
        stored = named_release(connection, bank.release)
        line = gates_on_the_way(connection, bank.instance, [stored])[NAME]
        reports = {
            one.gate: one for one in all_reports(open_to_look(connection, bank.instance, stored, bank.clock.now()))
        }
    stops = [stop for side in line for stop in side]
    assert {stop.gate for stop in stops} == set(reports)
    for stop in stops:
        status = reports[stop.gate].status
        assert (stop.status or GateStatus.BLOCKED) is status
    assert not any(stop.is_open for stop in stops if stop.status is None)


def test_a_release_of_a_workflow_that_is_declared_no_more_stands_at_no_gate(bank: Bank) -> None:
    instance = replace(bank.instance, workspace=replace(bank.instance.workspace, workflows={}))
    with bank.instance.engine.begin() as connection:
        stored = named_release(connection, bank.release)
        assert gates_on_the_way(connection, instance, [stored]) == {}


def test_the_card_says_since_when_the_phase_and_the_open_gate_last(fresh: Bank) -> None:
    bank, now = fresh, fresh.clock.now()
    sealed = words(card(bank))
    assert "Stands at development (collecting)" in sealed
    assert " for " not in sealed.partition("Stands at")[2].partition(":")[0]
    space = SpaceName("sandbox")
    with bank.instance.engine.begin() as connection:
        stored = named_release(connection, bank.release)
        for days in (3, 1):
            one = Deployment(
                id=new_ulid(now - timedelta(days=days)),
                workflow=NAME,
                space=space,
                release=stored.digest,
                basis="sealed",
                engine="e",
                promoted_by="luis.ortega",
                at=now - timedelta(days=days),
                previous=None,
                state="retired",
            )
            add_deployment(connection, one, [])
        values = {"release": stored.digest, "gate": "development", "attempt": 1, "parts_digest": stored.parts_digest}
        opened = {"opened_at": now - timedelta(hours=5), "opened_by": "luis.ortega", "reason": ""}
        connection.execute(gate_attempt.insert().values(**values, **opened))
    later = words(card(bank))
    assert "Pilot in the sandbox for 3 d, since" in later
    assert "Stands at development (collecting) for 5 h:" in later


def test_whoever_is_on_call_this_minute_is_named(bank: Bank) -> None:
    workspace = bank.instance.workspace
    duty = on_call_now(workspace, workspace.workflows[NAME], bank.clock.now()).duty
    first, second = (workspace.people[one].name for one in duty)
    assert f"On call now: {first}, then {second}." in words(card(bank))


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(days=2), "2 d"),
    ],
)
def test_a_span_is_said_in_its_largest_whole_unit(span: timedelta, said: str) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert lasting(now - span, now).replace("\u00a0", " ") == said


def test_so_many_cards_stand_on_a_page_as_can_be_decided_for_it() -> None:
    assert MOST_ROWS == 20
