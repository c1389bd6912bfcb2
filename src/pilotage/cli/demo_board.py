"""The demo's second act, at its height: user acceptance, the board with a dissent, and the door of production.

Rule: the dissent is real, the risk acceptance names it, and the sponsor sees both before signing. Fail mode:
SceneError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from pilotage.cli.demo_gates import EAST, STAGING, WORKFLOW, ReleasePath
from pilotage.cli.demo_scene import agreed
from pilotage.control.accept_risk import RiskText, accept_risk
from pilotage.control.call_session import call_session
from pilotage.control.close_session import close_session
from pilotage.control.gate_duties import confirm_fact
from pilotage.control.gate_status import gate_status
from pilotage.control.make_cab_pack import make_cab_pack
from pilotage.control.session_questions import answer_question, ask_question
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.identity.roles import Role
from pilotage.workspace.plan import Wave
from pilotage.workspace.principals import local_principal

_BETWEEN = timedelta(milliseconds=1)
"""What passes between two votes, so that each has its place; evidence of the spaces before does not age by it."""
_DISSENTER = Role.BUSINESS_LEADERSHIP
_QUESTION = "Who helps a branch when the assistant and the old paper policy disagree?"
_ANSWER = "The floor walkers of the first week, and the policy desk by telephone; the answer names its source."
_DISSENT = "Branches have not rehearsed the first week; I would wait one more."


@dataclass(slots=True, kw_only=True)
class Board:
    """The release before the board. `drill` measures a rollback in a space and attaches its evidence."""

    path: ReleasePath
    drill: Callable[[str], str]
    has_dissent: bool = True

    def accept(self) -> None:
        """User acceptance in staging, with a rollback that was rehearsed."""
        path = self.path
        path.say("A rollback is rehearsed", self.drill(STAGING))
        path.sign("uat", Role.BUSINESS_OWNER)
        path.sign("uat", Role.UAT_PARTICIPANT, count=2)
        path.sign("uat", Role.OPERATIONS_MANAGER)
        path.soak(STAGING)

    def decide(self) -> None:
        """Let the board vote: one seat dissents, under a risk acceptance, and the sponsor signs last."""
        path = self.path
        chair = path.person(Role.IT_DIRECTOR)
        session = agreed(call_session(path.instance, actor=chair, releases=[path.release]))
        made = agreed(make_cab_pack(path.instance, actor=path.person(Role.DEVOPS_LEAD), release=path.release))
        path.say("The board's pack", f"{made.digest[:19]}: generated from facts, nothing typed in.")
        board = path.instance.workspace.gates["cab"].pre.board
        for seat in board.seats if board is not None else ():
            holder = next(one.holder for one in path.instance.workspace.seats if one.role is seat)
            who = local_principal(path.instance.workspace, PersonId(holder))
            path.clock.advance(_BETWEEN)
            if seat is _DISSENTER and self.has_dissent:
                path.cast("cab", seat, who, "reject", comment=_DISSENT)
            else:
                path.cast("cab", seat, who, "approve")
        if self.has_dissent:
            self._ask(session.id)
            self._accept_dissent()
        path.clock.advance(_BETWEEN)
        read = "I read the dissent; the floor walkers answer it." if self.has_dissent else "I read the pack."
        path.sign("cab", Role.EXECUTIVE_SPONSOR, comment=read)
        closed = agreed(close_session(path.instance, actor=chair, session=session.id, note="Decided in one session."))
        path.say("The board's session is closed", f"Its minutes, {str(closed.minutes)[:19]}, stand in the ledger.")

    def _ask(self, session: str) -> None:
        path = self.path
        asker, answerer = path.person(_DISSENTER), path.person(Role.PRODUCT_OWNER)
        asked = agreed(ask_question(path.instance, actor=asker, session=session, release=path.release, text=_QUESTION))
        agreed(answer_question(path.instance, actor=answerer, session=session, question=asked.id, text=_ANSWER))

    def _accept_dissent(self) -> None:
        path = self.path
        until = (path.clock.now() + timedelta(days=60)).date()
        spaces = ", ".join(wave.space for wave in _waves(path))
        text = _RISK.format(until=until, spaces=spaces).encode()
        who = path.person(Role.RISK_MANAGEMENT)
        done = agreed(accept_risk(path.instance, actor=who, release=path.release, gate="cab", text=RiskText(data=text)))
        path.say(
            "The dissent is not voted away",
            f"{who.label} accepts the risk it names until {done.risk.expires:%Y-%m-%d}; the gate is "
            f"{done.report.status.value}. The text of the dissent stays in the pack and the ledger.",
        )

    def open_door(self) -> None:
        """Everything go-live asks for before the first user: alert and page tested, on duty, signed."""
        path = self.path
        on_call = path.person(Role.ON_CALL)
        for kind in ("alert_test", "test_page"):
            agreed(confirm_fact(path.instance, actor=on_call, workflow=WORKFLOW, kind=kind))
        path.say("Alert and page are tested", f"{on_call.label} is on duty and saw both arrive.")
        path.say("The way back in production", self.drill(EAST))
        path.enter(EAST, "into production")
        path.sign("go-live", Role.OPERATIONS_LEAD, space=EAST)

    def show(self) -> None:
        """Tell where the release stands at every gate."""
        reports = gate_status(self.path.instance, self.path.release)
        line = "; ".join(f"{one.gate} {one.status.value}" for one in reports)
        self.path.say("Where the release stands", line)


def _waves(path: ReleasePath) -> tuple[Wave, ...]:
    rollout = path.instance.workspace.workflows[WorkflowName(WORKFLOW)].rollout
    return () if rollout is None else rollout.plans[rollout.default_plan].waves


_RISK = """risk: branches-not-rehearsed
severity: medium
seats: [business-leadership]
rationale: >-
  Branch staff have had the training material for two weeks and the old paper policies stay in every branch,
  so a slow start costs time and no customer.
compensating_controls:
  - Floor walkers in the twelve largest branches during the first week
  - Weekly reading of 50 answers by quality monitoring
residual: {{likelihood: 2, impact: 2}}
owner: nadia.brooks
requester: zoe.papadakis
spaces: [{spaces}]
expires: {until}
"""
