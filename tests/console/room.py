"""A board's room: the gate world with a console in front of it, and the people who sit there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine
from tests.console.asking import FakeAsking
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank
from tests.control.gate_world import CAB, SEATS, GateWorld, gate_world
from tests.emptied import empty

from pilotage.adapters.keyring import Keyring
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.core.ids import PersonId
from pilotage.identity.roles import Role
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.workspace.gate import Binding, Gate

CHAIR, LEADER, SPONSOR = SEATS[0], SEATS[1], "helena.stroud"


class Room:
    """A board's room: the world, its people's browsers, and the release as pages name it."""

    def __init__(self, world: GateWorld, site: Bank) -> None:
        self.world, self.site = world, site
        self.short = world.release.removeprefix("sha256:")[:12]

    def browser(self, name: str) -> Browser:
        found = Browser(application=self.site.console)
        answer = found.post("/login", {"local_key": self.site.key(name).text, "next": "/workflows"})
        assert answer.status == 303, answer.words
        return found

    def call(self) -> str:
        """Call a session by the form; return its address."""
        chair = self.browser(CHAIR)
        fields = chair.get("/cab").fields("/cab") | {f"release.{self.short}": "yes"}
        answer = chair.post("/cab", fields)
        assert answer.status == 303, answer.words
        return answer.header("location")

    def vote(self, name: str, where: str, decision: str, role: str, comment: str = "Read it all.") -> Answer:
        browser = self.browser(name)
        fields = browser.get(where).fields(f"{where}/votes")
        typed = {"role": role, "decision": decision, "comment": comment, "confirmed": self.short[:8]}
        return browser.post(f"{where}/votes", fields | typed)


def make_room(
    engine: Engine,
    folder: Path,
    *,
    also: Mapping[Role, str] | None = None,
    after: tuple[str, ...] = (),
    gates: Mapping[str, Gate] | None = None,
) -> Room:
    """Return a room whose database holds no session of before.

    `also` gives roles, and their seats, to one person each; the board's gate comes `after` these; `gates` are declared
    instead of the world's.
    """
    with engine.begin() as connection:
        empty(connection, "board_session", "console_session", "service_key", "console_form")
    world = gate_world(engine)
    board = {**world.workspace.gates, "cab": replace(CAB, after=after, binds=(Binding.CAB_PACK,))}
    world.declare(gates=board if gates is None else gates)
    for role, person in (also or {}).items():
        held = [replace(one, holder=PersonId(person)) if one.role is role else one for one in world.workspace.seats]
        world.declare(seats=tuple(held))
        world.appoint(role, person)
    keyring = Keyring.open(folder, {}, create=True)
    instance, clock = replace(world.instance, keyring=keyring), world.inner.clock
    asking = FakeAsking(clock)
    services = Services(instance=instance, reading=instance, redact=str, asking=asking, ports=rollout_ports())
    return Room(world, Bank(instance=instance, clock=clock, asking=asking, console=Console(services)))
