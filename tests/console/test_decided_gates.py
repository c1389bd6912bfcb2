"""What was decided at a gate, and when, stands next to what would be decided today: evidence ages after it was used."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.conftest import Bank, make_bank
from tests.console.room import make_room
from tests.control.gate_world import DEV, FELIX, PROMOTER, junit
from tests.control.test_emergency import opened

from pilotage.control.decided_gates import Decided, decided_gates
from pilotage.control.promote_release import Promoted, promote_release
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.deployments import Deployment, add_deployment
from pilotage.store.passed_gates import passed_gates

pytestmark = pytest.mark.store
EAST = SpaceName("production-us-east-space")


def test_a_live_release_whose_evidence_aged_says_what_was_decided_and_what_would_be_today(
    own_engine: Engine, tmp_path: Path
) -> None:
    room = make_room(own_engine, tmp_path)
    world, reader = room.world, room.browser(FELIX)
    gate, page = f"/releases/{room.short}/gates/code-review", f"/releases/{room.short}"
    world.attach(("tests.unit", junit()))
    world.review()
    assert "What follows" not in reader.get(gate).words
    assert reader.get(gate).page.css("[aria-label='What was decided']") == []
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=DEV)
    assert isinstance(done, Promoted), done
    world.inner.clock.advance(timedelta(days=60))
    reader = room.browser(FELIX)
    told = reader.get(gate)
    (notice,) = told.page.css("[aria-label='What was decided']")
    said = " ".join(notice.text().split())
    assert said.startswith("MET Approved ")
    assert f"when Hanna Virtanen let it into {DEV}." in said
    assert "Below stands what would be decided today." in said
    headline = told.page.css_first(".says")
    assert headline is not None
    assert " ".join(headline.text().split()).startswith("Today: ")
    assert "MET" not in headline.text().replace("NOT MET", "")
    shown = reader.get(page)
    headline = shown.page.css_first(".says")
    assert headline is not None
    said = " ".join(headline.text().split())
    assert said.startswith("Live in dev-deployment. May it move on? Not past cab: ")
    entry = next(one for one in shown.page.css("ol.gates li") if "code-review" in one.text())
    words = " ".join(entry.text().split())
    assert words.startswith("code-review MET on ")
    assert "Today it would be:" in words
    assert not words.partition("Today it would be:")[2].startswith(" MET")


def test_an_emergency_is_told_as_what_it_was(own_engine: Engine, tmp_path: Path) -> None:
    room = make_room(own_engine, tmp_path)
    world = room.world
    world.attach(("tests.unit", junit()))
    opened(world)
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=DEV)
    assert isinstance(done, Promoted), done
    (notice,) = (
        room.browser(FELIX).get(f"/releases/{room.short}/gates/code-review").page.css("[aria-label='What was decided']")
    )
    said = " ".join(notice.text().split())
    assert said.startswith("NOT MET ")
    assert f"let it into {DEV}, by an emergency change." in said


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(own_engine, tmp_path)


def entered(bank: Bank, number: int, *, status: str, basis: str = "normal", space: SpaceName = EAST) -> None:
    one = Deployment(
        id=f"D{number}",
        workflow=next(iter(bank.instance.workspace.workflows)),
        space=space,
        release=Digest(bank.release),
        basis=basis,
        engine="1",
        promoted_by="hanna.virtanen",
        at=bank.clock.now() + timedelta(hours=number),
        previous=None,
        state="waiting",
    )
    with bank.instance.engine.begin() as connection:
        add_deployment(connection, one, [{"gate": "cab", "status": status, "input_digest": bank.release}])


def traffic(bank: Bank) -> None:
    rollout = bank.roll_out()
    step = text("INSERT INTO rollout_step VALUES (:id, 0, 0, 1, 50000, 1, :at, NULL)")
    with bank.instance.engine.begin() as connection:
        connection.execute(step, {"id": rollout, "at": bank.clock.now() + timedelta(hours=9)})


def decided(bank: Bank) -> dict[str, Decided]:
    with bank.instance.engine.connect() as connection:
        found = decided_gates(passed_gates(connection, Digest(bank.release)), bank.instance.workspace.gates)
    assert all(len(told) == 1 for told in found.values())
    return {gate: told[0] for gate, told in found.items()}


def test_gates_before_an_approved_one_held_then_and_traffic_tells_of_go_live(bank: Bank) -> None:
    assert decided(bank) == {}
    entered(bank, 1, status="approved_with_risk_acceptance")
    traffic(bank)
    found = decided(bank)
    assert set(found) == set(bank.instance.workspace.gates)
    assert (found["cab"].status, found["cab"].through) == (GateStatus.APPROVED_WITH_RISK_ACCEPTANCE, None)
    assert (found["qa"].status, found["qa"].through, found["qa"].space) == (GateStatus.APPROVED, "go-live", EAST)
    assert (found["go-live"].is_traffic, found["go-live"].by) == (True, "luis.ortega")
    words = bank.browser("omar.haddad").get(f"/releases/{bank.release[7:19]}/gates/go-live").words
    assert f"when its traffic began in {EAST}, in a rollout started by Luis Ortega." in words
    words = bank.browser("omar.haddad").get(f"/releases/{bank.release[7:19]}/gates/qa").words
    assert "as gate go-live was, which comes after it, when its traffic began" in words


def test_an_emergency_tells_nothing_of_the_gates_before_and_none_of_its_traffic(bank: Bank) -> None:
    entered(bank, 1, status="blocked", basis="emergency")
    traffic(bank)
    found = decided(bank)
    assert set(found) == {"cab"}
    assert (found["cab"].status, found["cab"].is_emergency) == (GateStatus.BLOCKED, True)
    entered(bank, 2, status="approved")
    assert (decided(bank)["cab"].status, decided(bank)["cab"].is_emergency) == (GateStatus.APPROVED, False)
    assert json.dumps(sorted(decided(bank))).count("code-review") == 1


def test_what_let_it_into_one_space_is_still_ahead_on_the_way_into_the_next(bank: Bank) -> None:
    browser, page = bank.browser("omar.haddad"), f"/releases/{bank.release[7:19]}"
    entered(bank, 1, status="approved")
    traffic(bank)
    assert "Not past development on its way into production-us-west: " in browser.get(page).words
    for number, space in enumerate(("production-us-west-space", "production-eu-space"), start=2):
        entered(bank, number, status="approved", space=SpaceName(space))
    assert "Not past go-live on its way into production-us-west: " in browser.get(page).words
