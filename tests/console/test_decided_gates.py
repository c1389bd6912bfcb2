"""What was decided at a gate, and when, stands next to what would be decided today: evidence ages after it was used."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.conftest import Bank, make_bank
from tests.console.room import Room, make_room
from tests.control.gate_world import DEV, FELIX, PROMOTER, REVIEW, junit
from tests.control.test_emergency import opened

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.decided_gates import Decided, decided_gates
from pilotage.control.promote_release import Promoted, promote_release
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.roles import Role
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.store.deployments import Deployment, add_deployment
from pilotage.store.gates_then import gates_then

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


def notices(room: Room, gate: str) -> list[str]:
    page = room.browser(FELIX).get(f"/releases/{room.short}/gates/{gate}").page
    return [" ".join(one.text(separator=" ").split()) for one in page.css("[aria-label='What was decided'] p")]


def test_what_held_before_is_told_from_its_record_whatever_people_and_gates_there_are_now(
    own_engine: Engine, tmp_path: Path
) -> None:
    built = replace(REVIEW, name="development", guards="review", pre=replace(REVIEW.pre, signoffs=()))
    gates = {"development": built, "code-review": replace(REVIEW, after=("development",))}
    room = make_room(own_engine, tmp_path, gates=gates)
    world = room.world
    world.attach(("tests.unit", junit()))
    world.review()
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=DEV)
    assert isinstance(done, Promoted), done
    held = replace(REVIEW, name="legal-hold")
    world.declare(gates={**gates, "legal-hold": held, "code-review": replace(REVIEW, after=("legal-hold",))})
    world.appoint(Role.SENIOR_ENGINEER, "maria.chen")
    today = replace(room.site.instance, workspace=world.workspace)
    services = Services(instance=today, reading=today, redact=str, asking=room.site.asking, ports=rollout_ports())
    room.site.console = Console(services)
    assert notices(room, "legal-hold") == [], "no record tells of it: it was declared afterwards"
    assert notices(room, "development")[0].startswith("MET Approved "), "it came before, though today it does not"
    first, signed, *_ = notices(room, "code-review")
    assert first.startswith("MET Approved ")
    people = [f"{name} approved as senior-engineer" for name in ("Felix Braun", "Keiko Tanaka")]
    assert sorted(signed.removeprefix("Signed by then: ").removesuffix(".").split("; ")) == people
    rows = room.browser(FELIX).get(f"/releases/{room.short}").page.css("ol.gates li")
    told = {one.text().split()[0]: " MET on " in f" {' '.join(one.text().split())}" for one in rows}
    assert told == {"legal-hold": False, "development": False, "code-review": True}, "development is met today as well"


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
        later = bank.clock.now() + timedelta(days=1)
        found = decided_gates(gates_then(connection, Digest(bank.release), later))
    assert all(len(told) == 1 for told in found.values())
    return {gate: told[0] for gate, told in found.items()}


_VOTE = text("""
INSERT INTO gate_vote (id, release, parts_digest, gate, half, attempt, role, is_seat, person, is_person, decision,
  comment, checklist, bind, bound, evidence, login, nonce, at)
SELECT :id, digest, parts_digest, 'go-live', 'pre', 1, 'operations-lead', false, 'elena.marchetti', true, :decision, '',
  '{}', '', CAST(:bound AS jsonb), '{}', CAST(:login AS jsonb), :id, :at FROM release WHERE digest = :release
""")
_LOGIN = json.dumps({"method": "local", "at": "2026-03-02T09:00:00Z", "second_factor": False})


def signed_go_live(bank: Bank, decision: str, *, hours: int, space: str = EAST) -> None:
    bound = dict.fromkeys(("instance", "release", "evidence_set", "policy"), "x")
    values = {
        "id": f"v{hours}{space}",
        "release": bank.release,
        "decision": decision,
        "bound": json.dumps({**bound, "gate": "go-live", "attempt": 1, "space": space}),
        "login": _LOGIN,
        "at": bank.clock.now() + timedelta(hours=hours),
    }
    with bank.instance.engine.begin() as connection:
        connection.execute(_VOTE, values)


def test_traffic_tells_of_the_gates_that_were_signed_for_its_space(bank: Bank) -> None:
    assert decided(bank) == {}
    entered(bank, 1, status="approved_with_risk_acceptance")
    signed_go_live(bank, "reject", hours=7)
    signed_go_live(bank, "approve", hours=8, space="production-eu-space")
    traffic(bank)
    assert set(decided(bank)) == {"cab"}, "nobody approved it for this space"
    signed_go_live(bank, "approve", hours=8)
    signed_go_live(bank, "reject", hours=10)
    found = decided(bank)
    assert set(found) == {"cab", "go-live"}, "what nobody recorded is not told, whatever gates there are today"
    assert (found["cab"].status, found["cab"].signed) == (GateStatus.APPROVED_WITH_RISK_ACCEPTANCE, [])
    assert (found["go-live"].is_traffic, found["go-live"].by) == (True, "luis.ortega")
    bank.clock.advance(timedelta(days=1))
    words = bank.browser("omar.haddad").get(f"/releases/{bank.release[7:19]}/gates/go-live").words
    assert f"when its traffic began in {EAST}, in a rollout started by Luis Ortega." in words
    assert "Signed by then: Elena Marchetti approved as operations-lead." in words


def test_an_emergency_tells_nothing_of_the_gates_before_and_none_of_its_traffic(bank: Bank) -> None:
    entered(bank, 1, status="blocked", basis="emergency")
    signed_go_live(bank, "approve", hours=8)
    traffic(bank)
    found = decided(bank)
    assert set(found) == {"cab"}
    assert (found["cab"].status, found["cab"].is_emergency) == (GateStatus.BLOCKED, True)
    entered(bank, 2, status="approved")
    found = decided(bank)
    assert (found["cab"].status, found["cab"].is_emergency) == (GateStatus.APPROVED, False)
    assert set(found) == {"cab", "go-live"}


def test_what_let_it_into_one_space_is_still_ahead_on_the_way_into_the_next(bank: Bank) -> None:
    page = f"/releases/{bank.release[7:19]}"
    entered(bank, 1, status="approved")
    traffic(bank)
    bank.clock.advance(timedelta(hours=10))
    ahead = "Not past development on its way into production-us-west: "
    assert ahead in bank.browser("omar.haddad").get(page).words
    for number, space in enumerate(("production-us-west-space", "production-eu-space"), start=2):
        entered(bank, number, status="approved", space=SpaceName(space))
    bank.clock.advance(timedelta(hours=10))
    ahead = "Not past go-live on its way into production-us-west: "
    assert ahead in bank.browser("omar.haddad").get(page).words
