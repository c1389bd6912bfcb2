"""The critical questions a process asks itself while a rollback is validated: again until passed, then once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.control.rollout_world import bank

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.identity.principal import PrincipalKind
from pilotage.serving.context import Answer, Known, Received
from pilotage.serving.critical_rounds import AGAIN_S, Round
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.rollback_probes import RollbackProbes
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.golden import Expect, GoldenCase, GoldenFile, Persona

pytestmark = pytest.mark.anyio
STABLE = Digest("sha256:stable")
SPACE, WORKFLOW = SpaceName("production-us-east-space"), WorkflowName("policy-assistant")


def case(name: str, *, refuse: bool | None = False, must_pass: bool = True) -> GoldenCase:
    return GoldenCase(
        id=name,
        question=f"What of {name}?",
        asker="clerk",
        expect=Expect(refuse=refuse),
        must_pass=must_pass,
        cluster=name,
        line=1,
    )


@dataclass
class Desk:
    """A pipeline that answers as told, and a place for the rounds."""

    refused: frozenset[str] = frozenset()
    release: Digest = STABLE
    asked: list[Received] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    seconds: float = 0.0

    async def answer(self, received: Received) -> Any:
        self.asked.append(received)
        is_refused = received.asked.messages[0].text in self.refused
        fields: dict[str, Any] = dict.fromkeys(Answer.__dataclass_fields__)
        fields["refusal"] = "not_found" if is_refused else None
        answer = Answer(**fields)
        return SimpleNamespace(result=answer, release=self.release)

    async def write(self, _row: RoutingRow, found: Round) -> None:
        self.rounds.append(found)


def probes(desk: Desk, *, is_probed: bool = True, cases: tuple[GoldenCase, ...]) -> RollbackProbes:
    workspace = bank()
    workflow = workspace.workflows[WORKFLOW]
    evaluation = replace(workflow.evaluation, personas={"clerk": Persona(name="clerk")})
    workflow = replace(workflow, golden=(GoldenFile(name="g", cases=cases),), evaluation=evaluation)
    workspace = replace(workspace, workflows={**workspace.workflows, WORKFLOW: workflow})
    row = RoutingRow(space=SPACE, workflow=WORKFLOW, generation=7, stable=STABLE, is_probed=is_probed)
    serving = SimpleNamespace(workspace=workspace, clock=SimulatedClock(), monotonic=lambda: desk.seconds)
    table = RoutingTable(rows={(SPACE, WORKFLOW): row})
    return RollbackProbes(cast(Any, serving), desk, table=lambda: table, answer=desk.answer)


async def test_each_question_goes_through_the_pipeline_as_a_persona_and_as_probe_traffic() -> None:
    desk = Desk()
    asking = probes(desk, cases=(case("b"), case("a"), case("c", must_pass=False)))
    await asking.probe_once()
    await asking.probe_once()
    assert [one.asked.messages[0].text for one in desk.asked] == ["What of a?", "What of b?"]
    credentials = [one.credential for one in desk.asked]
    assert all(isinstance(one, Known) and one.kind is TrafficKind.PROBE for one in credentials)
    assert all(isinstance(one, Known) and one.principal.kind is PrincipalKind.PERSONA for one in credentials)
    assert desk.rounds == [Round(release=STABLE, asked=2, passed=2, right_release=True)]


async def test_a_round_that_fails_is_asked_again_after_a_while_until_it_passes() -> None:
    desk = Desk(refused=frozenset({"What of a?"}))
    asking = probes(desk, cases=(case("a"), case("b", refuse=None)))
    await asking.probe_once()
    await asking.probe_once()
    assert desk.rounds == [Round(release=STABLE, asked=2, passed=1, right_release=True)]
    desk.refused, desk.seconds = frozenset(), AGAIN_S
    await asking.probe_once()
    assert desk.rounds[-1] == Round(release=STABLE, asked=2, passed=2, right_release=True)


async def test_an_answer_of_another_release_is_told() -> None:
    desk = Desk(release=Digest("sha256:other"))
    await probes(desk, cases=(case("a"),)).probe_once()
    assert desk.rounds == [Round(release=STABLE, asked=1, passed=1, right_release=False)]


async def test_nothing_is_asked_when_no_rollback_is_validated() -> None:
    desk = Desk()
    await probes(desk, is_probed=False, cases=(case("a"),)).probe_once()
    assert (desk.asked, desk.rounds) == ([], [])
