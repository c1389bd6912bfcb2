"""The shadow arm of a process: it answers once more, unseen, and whatever happens to it never reaches the asker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from tests.serving.waiting import until

from pilotage.core.errors import Unavailable
from pilotage.core.ids import InteractionId, new_ulid
from pilotage.core.pins import PinKind
from pilotage.evaluation.pair_scorer import Choice, PairScorer, Shown, SupportScorer
from pilotage.identity.principal import Principal
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.rollout.assignment import Arm, Split
from pilotage.rollout.pairing import Result
from pilotage.serving.context import Answer, Asked, Bearer, Known, Peer, Received, Turn
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.routing import Release, RoutingRow, shadowed_for
from pilotage.serving.run import Finished
from pilotage.serving.shadow import QUEUE, WALKERS, ShadowArm
from pilotage.store.serving_pairs import Allowance, PairRow
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import Document
from pilotage.testing.serving_path import SPACE, WORKFLOW, Path, Plan, content, make_path, person, space
from pilotage.testing.shadow import FakePairStore

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROLLOUT = "rollout-1"
GOOD = "Errors are resolved within ten business days [1]."


@dataclass
class Shadowed:
    """A path whose row has a shadow release, and the arm beside it."""

    path: Path
    arm: ShadowArm
    pairs: FakePairStore
    candidate: FakeModel
    told: list[Finished] = field(default_factory=list)

    def pipeline(self) -> Pipeline:
        return Pipeline(self.path.serving, on_finished=self.arm.take)

    async def ask(self, question: str = "When are errors resolved?", *, token: str = "maria", **parts: Any) -> Finished:
        received = Received(
            interaction=InteractionId(new_ulid(NOW)),
            at=NOW,
            started=self.path.serving.monotonic(),
            peer=Peer(address="127.0.0.1"),
            credential=parts.pop("credential", Bearer(token=token)),
            asked=Asked(workflow=WORKFLOW, messages=(Turn(role="user", text=question),), **parts),
        )
        return await self.pipeline().answer(received)

    async def settled(self, count: int = 1) -> list[PairRow]:
        await until(lambda: len(self.pairs.rows) >= count)
        return self.pairs.rows


@asynccontextmanager
async def shadowing(
    *,
    candidate: FakeModel | None = None,
    scorer: PairScorer | None = None,
    plan: Plan | None = None,
    pairs: FakePairStore | None = None,
    **row: Any,
) -> AsyncIterator[Shadowed]:
    path = make_path(plan or Plan(model=FakeModel(pieces=[GOOD])))
    path.serving = replace(path.serving, has_shadow=True)
    model = candidate or FakeModel(pieces=[GOOD])
    settings, prices = row.pop("model_settings", None), row.pop("prices", None)
    changes = {"prices": prices} | ({} if settings is None else {"model": settings})
    release = Release(content=content("release-2", **changes), model=model)
    table = path.routing.current
    rows = {
        place: replace(one, **{"shadow": release.digest, "shadow_ppm": 1_000_000, "rollout": ROLLOUT, **row})
        for place, one in table.rows.items()
    }
    path.routing.current = replace(table, rows=rows, releases={**table.releases, release.digest: release})
    store = pairs or FakePairStore()
    arm = ShadowArm(path.serving, store, scorer or SupportScorer())
    await path.serving.recorder.start()
    arm.start()
    try:
        yield Shadowed(path=path, arm=arm, pairs=store, candidate=model)
    finally:
        await arm.stop()
        await path.serving.recorder.stop()


def crowd(path: Path, size: int) -> list[str]:
    names = [f"person{number}" for number in range(size)]
    path.authenticator.principals |= {name: person(name, "lending") for name in names}
    return names


async def test_shadow_no_side_effects_but_its_own_row() -> None:
    async with shadowing() as world:
        finished = await world.ask(idempotency_key="once")
        assert isinstance(finished.result, Answer)
        assert finished.result.arm == "stable"
        (row,) = await world.settled()
        await world.path.serving.recorder.stop()
    assert (row.state, row.result, row.is_swapped, row.rollout) == ("scored", Result.TIE, False, ROLLOUT)
    assert (row.question, row.stable, row.candidate) == ("When are errors resolved?", GOOD, GOOD)
    assert row.documents == ("policies/errors",)
    assert len(world.candidate.requests) == 1
    (record,) = world.path.sink.rows
    assert record.interaction is not None
    assert record.interaction["release"] == world.path.routing.current.rows[SPACE, WORKFLOW].stable
    assert record.interaction["detail"]["shadowed_for"] == ROLLOUT  # type: ignore[index,call-overload]
    assert world.path.serving.admissions.totals() == {}
    (held,) = world.path.idempotency.rows.values()
    assert held.interaction == record.entry.subject


async def test_a_stalled_candidate_delays_nobody_and_a_full_queue_loses_the_pair() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with shadowing(candidate=FakeModel(pieces=[GOOD], gate=lambda: never)) as world:
        names = crowd(world.path, QUEUE + WALKERS + 12)
        for name in names[:WALKERS]:
            await world.ask(token=name)
        await until(lambda: not world.arm.waiting)
        for name in names[WALKERS:]:
            finished = await world.ask(token=name)
            assert isinstance(finished.result, Answer)
        assert world.arm.waiting == QUEUE
        assert world.arm.lost["queue_full"] == 12
        assert world.pairs.rows == []


@pytest.mark.parametrize(
    ("stable", "candidate", "result"),
    [
        (FakeModel(pieces=[GOOD]), FakeModel(failure=Unavailable("upstream_failed", "Down.")), Result.WORSE),
        (FakeModel(failure=Unavailable("upstream_failed", "Down.")), FakeModel(pieces=[GOOD]), Result.BETTER),
        (
            FakeModel(pieces=[GOOD]),
            FakeModel(pieces=["Purple elephants dance slowly through quiet gardens [1]."]),
            Result.WORSE,
        ),
    ],
)
async def test_an_error_is_worse_than_an_answer(stable: FakeModel, candidate: FakeModel, result: Result) -> None:
    async with shadowing(plan=Plan(model=stable), candidate=candidate) as world:
        await world.ask()
        (row,) = await world.settled()
    assert (row.state, row.result) == ("scored", result)


async def test_an_outage_of_both_is_a_lost_pair_and_no_tie() -> None:
    down = FakeModel(failure=Unavailable("upstream_failed", "Down."))
    async with shadowing(plan=Plan(model=down), candidate=down) as world:
        await world.ask()
        (row,) = await world.settled()
    assert (row.state, row.why, row.result) == ("lost", "both_failed", None)


async def test_shadow_permissions_are_the_askers_own() -> None:
    documents = [
        Document(id="errors", text="Errors are resolved within ten business days."),
        Document(id="secret", text="Errors of the board are resolved at night.", acl=frozenset({"group:lending"})),
    ]
    async with shadowing(plan=Plan(model=FakeModel(pieces=[GOOD]), documents=documents)) as world:
        await world.ask(token="omar")
        (row,) = await world.settled()
        (request,) = world.candidate.requests
        await world.ask(token="maria")
        rows = await world.settled(2)
    assert [passage.document for passage in request.passages] == ["errors"]
    assert row.documents == ("policies/errors",)
    assert "board" not in repr(row)
    assert rows[1].documents == ("policies/errors", "policies/secret")


async def test_permissions_that_move_between_the_two_answers_lose_the_pair() -> None:
    async with shadowing() as world:
        finished = await world.ask()
        world.path.retriever.generation += 1
        assert isinstance(finished.result, Answer)
        (row,) = await world.settled()
    assert (row.state, row.why, row.stable, row.candidate) == ("lost", "permissions_moved", "", "")


@pytest.mark.parametrize("is_eu", [True, False])
async def test_eu_never_leaves_by_a_shadow(is_eu: bool) -> None:
    where = space(regions=("eu",)) if is_eu else space()
    abroad = ModelSettings(provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="m-1", region="us")
    plan = Plan(model=FakeModel(pieces=[GOOD]), spaces=(where,))
    async with shadowing(plan=plan, model_settings=abroad, prices=Prices(input_nano=1, output_nano=1)) as world:
        corpora = world.path.serving.workspace.corpora
        eu = {name: replace(one, region="eu") for name, one in corpora.items()}
        workspace = replace(world.path.serving.workspace, corpora=eu)
        world.path.serving = replace(world.path.serving, workspace=workspace)
        world.arm._serving = world.path.serving
        assert isinstance((await world.ask()).result, Answer)
        (row,) = await world.settled()
    assert (row.result, len(world.candidate.requests)) == ((Result.WORSE, 0) if is_eu else (Result.TIE, 1))


async def test_nothing_unredacted_is_kept() -> None:
    async with shadowing() as world:
        await world.ask("When are errors of 123-45-6789 resolved?")
        (row,) = await world.settled()
        (request,) = world.candidate.requests
    assert "123-45-6789" not in repr(row)
    assert "123-45-6789" not in repr(request)


class Broken:
    version = "broken-v1"

    def better(self, *_: Shown) -> Choice:
        raise ArithmeticError


async def test_a_scorer_that_fails_loses_the_pair() -> None:
    async with shadowing(scorer=Broken()) as world:
        await world.ask()
        (row,) = await world.settled()
    assert (row.state, row.why, row.result, row.scorer) == ("lost", "unscored", None, "broken-v1")


async def test_a_store_that_is_down_loses_the_pair_and_the_next_one_is_kept() -> None:
    async with shadowing(pairs=FakePairStore(failure=psycopg.OperationalError("gone"))) as world:
        assert isinstance((await world.ask()).result, Answer)
        await until(lambda: world.arm.lost["store"] == 1)
        world.pairs.failure = None
        await world.ask()
        assert len(await world.settled()) == 1


async def test_over_the_days_cost_the_candidate_is_not_asked() -> None:
    pairs = FakePairStore(allowed=Allowance(cap_nano=100, spent_nano=100))
    async with shadowing(pairs=pairs) as world:
        await world.ask()
        (row,) = await world.settled()
    assert (row.state, row.why, world.candidate.requests) == ("skipped", "cost_cap", [])
    assert Allowance(cap_nano=100, spent_nano=7).cost_of(None) == 100, "an unknown price is the whole allowance"


async def test_a_candidate_costs_what_its_release_says_when_the_workflow_names_another_model() -> None:
    hosted = ModelSettings(provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="2026-01-01", region="us")
    pairs = FakePairStore(allowed=Allowance(cap_nano=100, spent_nano=0))
    async with shadowing(pairs=pairs, model_settings=hosted, prices=Prices(unmetered="our own machine")) as world:
        await world.ask()
        (row,) = await world.settled()
    assert (row.state, row.cost_nano) == ("scored", 0), "it is not the whole allowance, as an unknown price is"


async def test_a_phase_that_has_ended_asks_nobody() -> None:
    async with shadowing(pairs=FakePairStore(allowed=None)) as world:
        await world.ask()
        await asyncio.sleep(0.05)
        assert (world.pairs.rows, world.candidate.requests) == ([], [])


async def test_a_release_that_is_not_loaded_here_loses_its_pairs() -> None:
    async with shadowing() as world:
        table = world.path.routing.current
        stable = {digest: one for digest, one in table.releases.items() if one.model is not world.candidate}
        world.path.routing.current = replace(table, releases=stable)
        assert isinstance((await world.ask()).result, Answer)
        (row,) = await world.settled()
    assert (row.state, row.why) == ("lost", "not_loaded")


@pytest.mark.parametrize(
    "changes",
    [
        {"shadow_ppm": 0},
        {"shadow": None},
        {"rollout": None},
        {"split": Split(pins={"local|maria": Arm.STABLE})},
    ],
)
async def test_what_is_not_sampled_is_asked_once(changes: dict[str, Any]) -> None:
    async with shadowing(**changes) as world:
        finished = await world.ask()
        assert isinstance(finished.result, Answer)
        await asyncio.sleep(0.05)
        assert (world.arm.waiting, world.pairs.rows, world.candidate.requests) == (0, [], [])


@pytest.mark.parametrize("kind", [kind for kind in TrafficKind if kind is not TrafficKind.USER])
async def test_synthetic_never_dilutes_a_shadow(kind: TrafficKind) -> None:
    principal: Principal = person("maria", "lending")
    async with shadowing() as world:
        await world.ask(credential=Known(principal=principal, kind=kind))
        await asyncio.sleep(0.02)
        assert (world.arm.waiting, world.pairs.rows) == (0, [])


async def test_one_asker_fills_at_most_a_few_pairs_of_a_day() -> None:
    async with shadowing() as world:
        for _ in range(20):
            await world.ask()
        await world.settled(7)
        await asyncio.sleep(0.05)
        assert len(world.pairs.rows) == 7, "five count; two more run, as the ledger's order may differ"


@pytest.mark.parametrize(("age", "sampled"), [(0.0, ROLLOUT), (3.1, None)])
def test_a_table_nobody_confirms_samples_nothing(age: float, sampled: str | None) -> None:
    row = RoutingRow(
        space=SPACE,
        workflow=WORKFLOW,
        generation=1,
        stable=None,
        shadow=content("release-2").digest,
        shadow_ppm=1_000_000,
        rollout=ROLLOUT,
    )
    assert shadowed_for(row, "ix-1", confirmed_s_ago=age) == sampled


async def test_whatever_the_arm_raises_never_reaches_the_asker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError

    async with shadowing() as world:
        monkeypatch.setattr(ShadowArm, "_is_wanted", broken)
        assert isinstance((await world.ask()).result, Answer)
        assert world.arm.lost["broken"] == 1
