"""The sample bank with a release in production and a better prompt in its folder: everything before somebody seals.

Gates, board, rollout and store are the real ones; gates are few, and the askers and the time are played.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page
from sqlalchemy import Engine
from tests.browser.served import Served, sign_in
from tests.console.conftest import Bank, make_bank
from tests.control.gate_world import CAB, REVIEW, SEAT_ROLES
from tests.control.rollout_world import small_plan, with_plan

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.gate_chain import chain_holds
from pilotage.control.load_workspace import load_workspace
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import Digest
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import Behaviour, CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProber, FakeProcesses, RolloutWorld
from pilotage.workspace.gate import Binding, Gate, Trust
from pilotage.workspace.records import Workspace

SEATED: Final = 4
"""Seats of the board."""
PER_DAY: Final = 4_800_000
BAD: Final = Behaviour(error=0.05)
"""One answer in twenty fails: what the candidate turns out to be."""
RULE: Final = "10. Name the document's effective date when the question names a year."


def _by_people(gate: Gate) -> Gate:
    """Return the gate with criteria that evidence brought by a person may meet."""
    criteria = tuple(replace(one, trust=Trust.CLAIMED) for one in gate.pre.criteria)
    return replace(gate, trust=Trust.CLAIMED, pre=replace(gate.pre, criteria=criteria))


def _declared(root: Path) -> Workspace:
    """Return the folder as declared, with two gates, a small board, and a plan of one space."""
    cab = _by_people(CAB)
    assert cab.pre.board is not None
    few = replace(cab.pre, board=replace(cab.pre.board, seats=SEAT_ROLES[:SEATED], quorum=SEATED - 1))
    cab = replace(cab, after=("code-review",), binds=(Binding.CAB_PACK, Binding.PLAN), pre=few)
    gates = {gate.name: gate for gate in (_by_people(REVIEW), cab)}
    planned = with_plan(replace(load_workspace(root), gates=gates), small_plan())
    workflow = replace(planned.workflows[WORKFLOW], expected_per_day=PER_DAY)
    return replace(planned, workflows={**planned.workflows, WORKFLOW: workflow})


@dataclass(frozen=True, kw_only=True)
class BankOnItsWay:
    """The bank, and the world that its rollouts run in. `console()` makes a console of its own."""

    site: Bank
    world: RolloutWorld

    def console(self) -> Console:
        """Return a console, as a process that was started now has it."""
        instance = self.site.instance
        services = Services(
            instance=instance, reading=instance, redact=str, asking=self.site.asking, ports=self.world.ports
        )
        return Console(services)

    def come(self, browser: Browser, served: Served, name: str, **options: Any) -> Page:
        """Return a page of a fresh profile, signed in as this person."""
        return sign_in(browser, served.address, self.site.key(name).text, **options)

    def drilled(self, release: str) -> None:
        """Record the rollback drills that production asks for."""
        pass_drills(self.world, Digest(release))


def bank_on_its_way(engine: Engine, folder: Path) -> BankOnItsWay:
    """Return the bank with one release in production and another prompt in its folder."""
    site = make_bank(engine, folder)
    prompt = site.instance.root / "workflows" / "policy-assistant" / "prompt.md"
    prompt.write_text(prompt.read_text().replace("\n\nPassages:", f"\n{RULE}\n\nPassages:", 1))
    workspace = _declared(site.instance.root)
    site.instance = replace(site.instance, workspace=workspace)
    processes = FakeProcesses()
    ports = RolloutPorts(
        gate=chain_holds,
        observe=CountedTraffic(per_day={EAST: PER_DAY}, candidate=BAD),
        probe=FakeProber(processes=processes.names),
        owner="worker-1",
    )
    world = RolloutWorld(engine=engine, workspace=workspace, ports=ports, processes=processes, clock=site.clock)
    world.serve(Digest(site.release), [EAST])
    site.clock.advance(timedelta(hours=1))
    return BankOnItsWay(site=site, world=world)
