"""Askers of an unhealthy space are answered by its permitted partner's stable release, or by nobody.

eu_never_leaves: whatever the row says, nobody of the EU is answered outside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.control.rollout_world import bank

from pilotage.core.ids import SpaceName
from pilotage.ledger.entry import decode_entry
from pilotage.rollout.assignment import Cohort, Split
from pilotage.serving.context import Known, Peer
from pilotage.serving.critical_rounds import Round
from pilotage.serving.failover_probes import FailoverProbes
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import STATUS, Code
from pilotage.serving.routing import Release, RoutingRow
from pilotage.space.settings import Availability, Space, Tier
from pilotage.testing.desk import QUESTION, Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import Document
from pilotage.testing.serving_path import WORKFLOW, Plan, content, person, space
from pilotage.workspace.golden import EvaluationSettings, Expect, GoldenCase, GoldenFile, Persona

pytestmark = pytest.mark.anyio
EAST, WEST, EU = SpaceName("us-east"), SpaceName("us-west"), SpaceName("eu")
HIDDEN = Document(id="merger", text="Errors of the merger are resolved in secret.", acl=frozenset({"group:board"}))
SHOWN = Document(id="errors", text="Errors are resolved within ten business days.")


def made(name: SpaceName, region: str, partner: SpaceName | None = None, **changes: object) -> Space:
    availability = Availability(auto_failover=True, partner=partner)
    fields: dict[str, Any] = {
        "tier": Tier.PRODUCTION,
        "region": region,
        "regions": (region,),
        "availability": availability,
    }
    return space(name, **(fields | changes))


def plan(*spaces: Space) -> Plan:
    return Plan(spaces=spaces, documents=(SHOWN, HIDDEN))


def row_of(desk: Desk, name: SpaceName, **changes: object) -> RoutingRow:
    """Change a routing row and return it."""
    table = desk.path.routing.current
    row = replace(table.rows[(name, WORKFLOW)], **changes)  # type: ignore[arg-type]
    desk.path.routing.current = replace(table, rows={**table.rows, (name, WORKFLOW): row})
    return row


def records(desk: Desk) -> list[tuple[object, object, object]]:
    found = [decode_entry(row.entry.bytes) for row in desk.path.sink.rows]
    return [(entry.space, entry.data.get("kind"), entry.data.get("failover_from")) for entry in found]


async def test_the_partner_answers_as_failover_under_the_askers_own_permissions() -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        row_of(desk, EAST, down=True, failover=WEST)
        answer = await desk.answer("Errors of the merger?", space=EAST)
        assert (answer.space, answer.arm) == (WEST, "stable")
        assert "secret" not in answer.text
        model = desk.path.model
        assert isinstance(model, FakeModel)
        assert all("secret" not in passage.text for request in model.requests for passage in request.passages)
    assert records(desk) == [(WEST, "failover", EAST)]


async def test_failover_traffic_meets_the_partners_stable_release_never_its_candidate() -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        candidate = Release(content=content("release-2"), model=FakeModel())
        table = desk.path.routing.current
        desk.path.routing.current = replace(table, releases={**table.releases, candidate.digest: candidate})
        everybody = Split(salt="s", fraction_ppm=1_000_000, cohort=Cohort(everybody=True))
        stable = row_of(desk, WEST, candidate=candidate.digest, split=everybody).stable
        row_of(desk, EAST, down=True, failover=WEST)
        assert (await desk.answer(space=WEST)).release == candidate.digest
        assert (await desk.answer(space=EAST)).release == stable


async def test_an_unhealthy_space_without_a_partner_answers_nobody_and_says_when_to_come_back() -> None:
    async with opened(plan(made(EU, "eu-central-1"), made(WEST, "us-west-2"))) as desk:
        row_of(desk, EU, down=True)
        refusal = await desk.refusal(space=EU)
        assert (refusal.code, STATUS[refusal.code], refusal.wait_s) == (Code.REGION_UNAVAILABLE, 503, 30)


@pytest.mark.feature("D0.8")
async def test_eu_never_leaves_even_when_the_row_says_so() -> None:
    async with opened(plan(made(EU, "eu-central-1", WEST), made(WEST, "us-west-2"))) as desk:
        row_of(desk, EU, down=True, failover=WEST)
        assert (await desk.refusal(space=EU)).code is Code.REGION_UNAVAILABLE
        model = desk.path.model
        assert isinstance(model, FakeModel)
        assert model.requests == []


@pytest.mark.parametrize("changes", [{"down": True}, {"paused": True}])
async def test_a_partner_that_cannot_answer_either_is_not_answered_by_somebody_else(
    changes: dict[str, object],
) -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        row_of(desk, EAST, down=True, failover=WEST)
        row_of(desk, WEST, **changes)
        expected = Code.REGION_UNAVAILABLE if "down" in changes else Code.SPACE_PAUSED
        assert (await desk.refusal(space=EAST)).code is expected


async def test_both_doors_must_be_open_to_the_askers_address() -> None:
    west = made(WEST, "us-west-2", EAST, ips=("10.0.0.0/8",))
    async with opened(plan(made(EAST, "us-east-1", WEST), west)) as desk:
        row_of(desk, EAST, down=True, failover=WEST)
        refusal = await desk.refusal(space=EAST, peer=Peer(address="192.0.2.7"))
        assert refusal.code is Code.IP_NOT_ALLOWED


async def test_an_asker_of_a_region_the_partner_does_not_serve_waits() -> None:
    home = made(EAST, "us-east-1", WEST, regions=("us-east-1", "ca-central-1"))
    async with opened(plan(home, made(WEST, "us-west-2", EAST))) as desk:
        desk.path.authenticator.principals["maria"] = person("maria", "lending", region="ca-central-1")
        row_of(desk, EAST, down=True, failover=WEST)
        assert (await desk.refusal(space=EAST)).code is Code.REGION_UNAVAILABLE


async def test_probes_look_at_the_unhealthy_space_itself() -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        row_of(desk, EAST, down=True, failover=WEST)
        known = Known(principal=person("maria"), kind=TrafficKind.PROBE)
        received = replace(desk.received(space=EAST), credential=known)
        finished = await desk.pipeline.answer(received)
        assert finished.release is not None
    assert records(desk) == [(EAST, "probe", None)]


async def test_a_drills_own_traffic_meets_the_partner_while_users_stay_at_home() -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        row_of(desk, EAST, drill_failover=WEST)
        assert (await desk.answer(space=EAST)).space == EAST
        for kind in (TrafficKind.PROBE, TrafficKind.DRILL):
            received = replace(desk.received(space=EAST), credential=Known(principal=person("maria"), kind=kind))
            assert (await desk.pipeline.answer(received)).release is not None
    assert records(desk) == [(EAST, "user", None), (EAST, "probe", None), (WEST, "drill", EAST)]


async def test_a_space_that_is_down_in_earnest_sends_a_drill_where_everybody_goes() -> None:
    async with opened(plan(made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST))) as desk:
        row_of(desk, EAST, down=True, failover=WEST, drill_failover=EU)
        received = desk.received(space=EAST)
        await desk.pipeline.answer(
            replace(received, credential=Known(principal=person("maria"), kind=TrafficKind.DRILL))
        )
    assert records(desk) == [(WEST, "drill", EAST)]


class Rounds:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.found: list[Round] = []

    async def write(self, _row: RoutingRow, found: Round) -> None:
        self.found.append(found)


@pytest.mark.parametrize(("partner", "is_right"), [(WEST, True), (EU, False)])
async def test_every_process_asks_the_partner_and_sees_whether_it_answered(
    partner: SpaceName, *, is_right: bool
) -> None:
    regions = (made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST), made(EU, "eu-central-1"))
    case = GoldenCase(
        id="a", question=QUESTION, asker="clerk", expect=Expect(refuse=False), must_pass=True, cluster="a", line=1
    )
    async with opened(plan(*regions)) as desk:
        row_of(desk, EAST, drill_failover=partner)
        serving, sink = desk.path.serving, Rounds()
        workflow = replace(
            bank().workflows[WORKFLOW],
            golden=(GoldenFile(name="g", cases=(case,)),),
            evaluation=EvaluationSettings(personas={"clerk": Persona(name="clerk")}),
        )
        workspace = replace(serving.workspace, workflows={WORKFLOW: workflow})
        asking = FailoverProbes(
            replace(serving, workspace=workspace),
            sink,
            table=lambda: desk.path.routing.current,
            answer=desk.pipeline.answer,
        )
        await asking.probe_once()
        release = desk.path.routing.current.rows[(partner, WORKFLOW)].stable
        assert sink.found == [Round(release=release or "", asked=1, passed=int(is_right), right_release=is_right)]
