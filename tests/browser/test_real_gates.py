"""A release goes its whole way by the gates of the sample bank's own pipeline, every person's part in the browser.

Machines push what machines push, by their key, and measure what they measure; the askers and the time are played. The
two drills and the tested alert are commands, as no page has them yet.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine
from tests.browser.board_steps import DISSENT, accept_the_risk, vote
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, make_bank

from pilotage.app import Joined, _drive_job
from pilotage.cli.demo_board import Board
from pilotage.cli.demo_gates import EAST, PROMOTER, ReleasePath
from pilotage.cli.demo_rollout import PLAN, Rollouts, spaces_of
from pilotage.cli.runtime import Question
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.driven_run import Driven
from pilotage.control.gate_status import gate_status
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.promote_release import Promoted
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evaluation.run import Progress
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.rollout.states import State
from pilotage.testing.clock import SimulatedClock

Done = TypeVar("Done")
AFTER_THE_TRAINING: Final = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)
"""The bank's people were trained in the weeks before, as its own file says."""
pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(3_600)]
Come = Callable[[str, str], AbstractContextManager[Page]]
"""Signs a person in, led to an address; who has done their part closes the browser."""


class Aside(Joined):
    """Runs what needs an event loop of its own beside the browser's, which has this thread."""

    def ask(self, instance: Instance, actor: Principal, question: Question) -> dict[str, Any]:
        return _aside(lambda: Joined.ask(self, instance, actor, question))

    def drive(self, instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
        progress(Progress(done=0, total=0))
        return _aside(lambda: asyncio.run(_drive_job(instance, run, threading.Event())))


def _aside(work: Callable[[], Done]) -> Done:
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(work).result()


@dataclass(slots=True, kw_only=True)
class InTheBrowser(ReleasePath):
    """The way of a release on which people decide on pages. `cast` and `enter` are what the walk asks of them."""

    come: Come

    @property
    def short(self) -> str:
        return self.release.removeprefix("sha256:")[:12]

    def cast(
        self,
        gate: str,
        role: Role,
        who: Principal,
        decision: str,
        *,
        comment: str = "",
        space: str | None = None,
        half: Half = Half.PRE,
    ) -> None:
        kept = {"space": space or "", "half": half.value if half is Half.POST else ""}
        address = f"/releases/{self.short}/gates/{gate}?{urlencode(kept)}"
        with self.come(str(who.person), address) as page:
            page.check(f"#decide input[name=role][value='{role.value}']")
            for box in page.locator("#decide input[type=checkbox]").all():
                box.check()
            page.check(f"input[name=decision][value={decision}]")
            page.fill("#comment", comment or "I read all of it.")
            if page.locator("#confirmed").count():
                page.fill("#confirmed", self.short[:8])
            with page.expect_navigation():
                page.click("#decide button.main")
            assert page.url.endswith("#votes"), page.locator("main").inner_text()
            expect(page.locator("#votes")).to_contain_text(f"{decision} as {role.value}")

    def enter(self, space: str, what: str) -> Promoted:
        with self.come(str(self.person(PROMOTER).person), f"/releases/{self.short}") as page:
            page.select_option("#space", space)
            page.click("form[action$='/promotions'] button.main")
            page.wait_for_load_state()
            expect(page.locator("#problems")).to_have_count(0)
            is_live = page.locator("ul.way li.served").count() > len(self.spaces) + 1
        if is_live:
            self.spaces.append(space)
            self.ask_everywhere()
        status = "active" if is_live else "waiting"
        return Promoted(space=SpaceName(space), digest=Digest(self.release), deployment=what, status=status)

    def meet(self) -> None:
        """Hold the board's session on its page: one seat dissents, its risk is accepted, the sponsor authorises."""
        board = self.instance.workspace.gates["cab"].pre.board
        assert board is not None
        held = {one.role: str(one.holder) for one in self.instance.workspace.seats}
        with self.come(held[Role.IT_DIRECTOR], "/cab") as chair:
            chair.check(f'input[name="release.{self.short}"]')
            chair.click("form[action='/cab'] button.main")
            expect(chair.locator("h1")).to_have_text("Session of the cab board")
            where = urlsplit(chair.url).path
            chair.click("button:has-text('Make the pack')")
            expect(chair.locator("#pack")).to_contain_text("Pack as PDF")
        for seat in board.seats:
            decision, comment = ("reject", DISSENT) if seat is Role.BUSINESS_LEADERSHIP else ("approve", "Read it all.")
            with self.come(held[seat], where) as page:
                vote(page, self.short, decision, comment)
                expect(page.locator("#votes")).to_contain_text(f"{decision} as {seat.value}")
        with self.come(str(self.person(Role.RISK_MANAGEMENT).person), where) as officer:
            accept_the_risk(officer, self.short, *map(str, spaces_of(self)), until="2027-01-15")
        self.clock.advance(timedelta(minutes=1))
        with self.come(str(self.person(Role.EXECUTIVE_SPONSOR).person), where) as sponsor:
            expect(sponsor.locator("#dissent")).to_contain_text(DISSENT)
            vote(sponsor, self.short, "approve", "I read the dissent.")
            expect(sponsor.locator("nav[aria-label=Agenda]")).to_contain_text("approved with risk acceptance")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Path) -> Bank:
    """The sample bank as it is; only its plan is the one that a trial's traffic can decide."""
    made = make_bank(own_engine, tmp_path, clock=SimulatedClock(AFTER_THE_TRAINING))
    file = made.instance.root / "workflows" / "policy-assistant" / "workflow.yaml"
    file.write_text(file.read_text().replace("default_plan: bank-standard", f"default_plan: {PLAN}"))
    made.instance = replace(made.instance, workspace=load_workspace(made.instance.root))
    return made


def test_a_release_passes_every_gate_of_the_pipeline_and_is_taken_back(bank: Bank, browser: Browser) -> None:
    told: list[tuple[str, str]] = []

    @contextmanager
    def come(name: str, to: str) -> Iterator[Page]:
        page = sign_in(browser, served.address, bank.key(name).text, to=to)
        yield page
        page.context.close()

    path = InTheBrowser(
        runtime=Aside(),
        instance=bank.instance,
        clock=bank.clock,
        release=bank.release,
        say=lambda title, words: told.append((title, words)),
        come=come,
    )
    rollouts = Rollouts(path=path)
    services = Services(
        instance=bank.instance, reading=bank.instance, redact=str, asking=bank.asking, ports=rollouts.world.ports
    )
    with Served(Console(services)) as served:
        path.walk()
        board = Board(path=path, drill=rollouts.drill)
        board.accept()
        path.meet()
        board.open_door()
        reports = gate_status(path.instance, path.release)
        assert {one.gate for one in reports} == set(path.instance.workspace.gates)
        assert {one.gate: one.status for one in reports if one.status is not GateStatus.APPROVED} == {
            "cab": GateStatus.APPROVED_WITH_RISK_ACCEPTANCE
        }
        _taken_back(path, rollouts)


def _taken_back(path: InTheBrowser, rollouts: Rollouts) -> None:
    """Start the rollout on the release's page; its answers are not grounded, and the page tells what followed."""
    with path.come(str(path.person(Role.PLATFORM_ENGINEER).person), f"/releases/{path.short}") as page:
        page.select_option("#rollout-space", EAST)
        page.check("input[name=accepted]")
        page.click("button:has-text('Start')")
        page.wait_for_url("**/rollouts/*")
        rollout = page.url.rsplit("/", 1)[-1]
    ended = rollouts.run(rollout, bad_in=EAST)
    if not ended.state.is_over:
        ended = rollouts.world.step(rollout, timedelta(minutes=2))
    with path.come(str(path.person(Role.ON_CALL).person), f"/rollouts/{rollout}") as page:
        region = page.locator("#region")
        expect(region).to_contain_text("ROLLED BACK" if ended.state is State.ROLLED_BACK else "ROLLING BACK")
        expect(region).to_contain_text("Taken back to")
        expect(region).to_contain_text("Incident")
        expect(region.locator("tbody tr", has_text="ungrounded").first).to_contain_text("NOT MET")
