"""A run under a cost cap never passes it: the rest is `unscored: budget`, there is no verdict and no evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import EVALUATION, Bent, World, drive_ticking, make_world, quoting

from pilotage.cli.evaluate import exit_code
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.evaluation_budget import Budget, Reserved
from pilotage.control.evaluation_status import describe_run
from pilotage.control.price_release import price_release
from pilotage.control.sealed_golden import plan_of, sealed_golden
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, InvalidFiles, Unavailable
from pilotage.core.reason import Refusal
from pilotage.evaluation.overlay import NO_OVERLAY
from pilotage.evaluation.run import EvaluationRun, RunKind, RunState
from pilotage.evaluation.target import Ask
from pilotage.ledger.entry import decode_entry
from pilotage.release.generation import Usage
from pilotage.store.evaluation_runs import find_run, gating_uses
from pilotage.store.evaluation_spend import reserve_spend
from pilotage.testing.models import FakeModel
from pilotage.testing.shadow import FakeTarget

pytestmark = [pytest.mark.anyio, pytest.mark.store]

CASES = 20
MODEL = """provider: openai
model: small-1
pin: {kind: dated, id: small-1-2026-01-01}
base_url: http://127.0.0.1:9/v1
max_tokens: 100
prices: {currency: USD, input: 0, output: 1}
"""
EURO = MODEL.replace("USD", "EUR")
MOST, PAID = 100_000, 10_000
"""What one call may cost (100 tokens at 1,000 nano), and what the model then asks for (10 tokens)."""

USED = Usage(prompt_tokens=50, completion_tokens=10)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "capped"
    folder.mkdir()
    return make_world(engine, folder, cases=CASES)


def capped(world: World, cap: str, model: str = MODEL) -> Digest:
    """Seal a release of a paid model whose runs may cost so much; no answer is remembered, nothing is a baseline."""
    world.forget_answers()
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE evaluation_run SET verdict = 'inconclusive' WHERE verdict = 'go'"))
    world.clock.advance(timedelta(minutes=1))
    world.write("workflows/assistant/model.yaml", model)
    world.write("workflows/assistant/evaluation.yaml", f"{EVALUATION}cost_cap: {cap}\nrepeats: 1\n")
    return world.seal()


def start(world: World, release: Digest) -> EvaluationRun:
    world.clock.advance(timedelta(minutes=1))
    return world.start(release)


def spent(world: World, run: str) -> int:
    with world.instance.engine.connect() as connection:
        found = find_run(connection, run)
    assert found is not None
    return found.spent_nano


def evidence(world: World) -> list[str]:
    with world.instance.engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM evidence ORDER BY id")).scalars())


def runs(world: World) -> int:
    with world.instance.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM evaluation_run")).scalar_one())


def paid(**said: Any) -> FakeModel:
    return FakeModel(reply=quoting, usage=USED, **said)


async def test_over_its_cap_a_run_asks_nothing_more_and_has_no_verdict(world: World) -> None:
    model, run = paid(), start(world, capped(world, "0.0002 USD"))
    before = evidence(world)
    driven = await world.drive(run.id, Bent(model=lambda _release: model))
    # The eleventh call leaves 90,000 of 200,000, and a twelfth could cost 100,000.
    assert len(model.requests) == 11
    assert (driven.run.state, driven.run.verdict, driven.run.evidence) == (RunState.OVER_BUDGET, None, None)
    assert spent(world, run.id) == 11 * PAID
    assert driven.progress.not_asked == CASES - 11
    shown: Mapping[str, Any] = describe_run(world.instance, run.id)
    assert shown["metrics"]["answer_accuracy"]["unscored"] == {"budget": CASES - 11}
    assert [(one["code"], one["observed"], one["limit"]) for one in shown["reasons"]] == [
        ("COST_CAP", "0.0001 USD", "0.0002 USD")
    ]
    assert evidence(world) == before
    with world.instance.engine.connect() as connection:
        last = connection.execute(
            text("SELECT bytes FROM ledger_entry WHERE kind = 'evaluation.finished' ORDER BY inserted_at DESC LIMIT 1")
        ).scalar_one()
        assert decode_entry(bytes(last)).data["verdict"] is None
        looks = gating_uses(connection, driven.run.workflow)
    assert driven.run.golden_digest in {golden for golden, _ in looks}, "numbers that were shown wear out the set"
    with pytest.raises(Conflict) as refused:
        await world.drive(run.id)
    assert refused.value.code == "RUN_OVER"


async def test_what_an_earlier_run_paid_for_is_not_paid_again(world: World) -> None:
    release = capped(world, "0.0002 USD")
    first, second = paid(), paid()
    await world.drive(start(world, release).id, Bent(model=lambda _release: first))
    driven = await world.drive(start(world, release).id, Bent(model=lambda _release: second))
    assert (len(first.requests), len(second.requests)) == (11, CASES - 11)
    assert driven.run.state is RunState.COMPLETED
    assert driven.run.verdict is not None


async def test_an_answer_of_unknown_cost_counts_in_full(world: World) -> None:
    run = start(world, capped(world, "0.0002 USD"))
    model = FakeModel(failure=Unavailable("upstream_failed", "The provider is away."))
    driven = await drive_ticking(world, run.id, Bent(model=lambda _release: model))
    assert len(model.requests) == 2
    assert spent(world, run.id) == 2 * MOST
    assert (driven.run.state, driven.progress.not_asked) == (RunState.OVER_BUDGET, CASES)


async def test_a_call_whose_worker_died_stays_counted(world: World) -> None:
    run = start(world, capped(world, "0.0002 USD"))
    with world.instance.engine.begin() as connection:
        assert reserve_spend(connection, run.id, nano=MOST, cap=2 * MOST)
        assert not reserve_spend(connection, run.id, nano=MOST + 1, cap=2 * MOST)
    model = paid()
    await world.drive(run.id, Bent(model=lambda _release: model))
    assert len(model.requests) == 1
    assert spent(world, run.id) == MOST + PAID


async def test_a_run_that_passed_its_cap_has_passed_it_for_whoever_goes_on(world: World) -> None:
    run = start(world, capped(world, "5 USD"))
    with world.instance.engine.begin() as connection:
        plan = plan_of(sealed_golden(connection, run.release), run)
        before = Budget(world.instance.engine, plan)
        before.begin(connection)
        connection.execute(
            text(
                "UPDATE evaluation_task SET state = 'done', error = 'budget' WHERE (run, case_id) IN"
                " (SELECT run, case_id FROM evaluation_task WHERE run = :run ORDER BY ordinal LIMIT 1)"
            ),
            {"run": run.id},
        )
        after = Budget(world.instance.engine, plan)
        after.begin(connection)
    ask = Ask(principal=world.person("ada"), question="What is the fee?")
    assert await before.reserve(FakeTarget(), ask) == Reserved(nano=0)
    assert await after.reserve(FakeTarget(), ask) is None


async def test_a_cap_below_one_call_asks_nothing_and_is_no_outage(world: World) -> None:
    model, run = paid(), start(world, capped(world, "0.00001 USD"))
    driven = await world.drive(run.id, Bent(model=lambda _release: model))
    assert (model.requests, spent(world, run.id), driven.run.state) == ([], 0, RunState.OVER_BUDGET)
    assert exit_code(driven) == 1


async def test_the_whole_prompt_is_reserved_for(world: World) -> None:
    dear = MODEL.replace("input: 0, output: 1", "input: 1, output: 0")
    release = capped(world, "5 USD", dear)
    model = paid()
    async with world.targets(Bent(model=lambda _release: model)) as targets:
        target = await targets.open(release, None, NO_OVERLAY)
        most = await target.most_nano(Ask(principal=world.person("ben"), question="What is the Calder locker fee?"))
        await target.answer(Ask(principal=world.person("ben"), question="What is the Calder locker fee?"))
    [request] = model.requests
    told = sum(len(message.content.encode()) for message in request.messages)
    assert most is not None
    assert most > told * 1000, "no tokeniser makes more tokens of a text than it has bytes"


@pytest.mark.parametrize(
    ("cap", "sealed", "now", "code"),
    [
        ("5 EUR", MODEL, MODEL, "UNPRICED"),
        ("5 USD", MODEL, EURO, "UNPRICED"),
        ("5 USD", EURO, "provider: extractive\n", "UNPRICED"),
        ("5 USD", EURO, MODEL.replace("small-1", "small-2"), "UNPRICED"),
        ("5 USD", MODEL, MODEL.replace("currency: USD, input: 0, output: 1", "unmetered: our own"), None),
        ("5 USD", EURO, MODEL, None),
        ("5 USD", MODEL, "provider: extractive\n", None),
    ],
    ids=[
        "the cap's currency",
        "priced anew",
        "moved to none",
        "moved to another",
        "unmetered",
        "priced since",
        "moved on",
    ],
)
def test_a_model_without_a_price_is_refused_under_a_cap(
    world: World, cap: str, sealed: str, now: str, code: str | None
) -> None:
    release = capped(world, cap, sealed)
    world.write("workflows/assistant/model.yaml", now)
    before = runs(world)
    asked = EvaluationRequest(release=release, kind=RunKind.EVALUATION)
    found = start_evaluation(world.instance, actor=world.person("ada"), request=asked)
    assert (found.reasons[0].code if isinstance(found, Refusal) else None) == code
    assert runs(world) - before == (1 if code is None else 0)


def sealed_before_prices(world: World) -> Digest:
    """Return a release of a model whose price nobody kept, as before prices were kept at the seal."""
    release = capped(world, "5 USD")
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE release SET prices = NULL WHERE digest = :release"), {"release": release})
    return release


def price(world: World, release: Digest, who: str = "ada", **prices: Any) -> dict[str, Any] | Refusal:
    return price_release(world.instance, actor=world.person(who), release=release, prices=prices)


def test_a_baseline_without_a_price_says_what_to_do_and_then_counts(world: World) -> None:
    old = sealed_before_prices(world)
    new = capped(world, "5 USD", MODEL.replace("small-1", "small-2"))
    asked = EvaluationRequest(release=new, kind=RunKind.EVALUATION, baseline=old)

    def start() -> EvaluationRun | Refusal:
        return start_evaluation(world.instance, actor=world.person("ada"), request=asked)

    refused = start()
    assert isinstance(refused, Refusal)
    [reason] = refused.reasons
    assert (reason.code, reason.where) == ("UNPRICED", old)
    assert f"pilotage release price {old[:19]} --input N --output N" in reason.text
    done = price(world, old, input="0", output="1")
    assert not isinstance(done, Refusal), done
    assert done["prices"] == {"currency": "USD", "input_nano": 0, "output_nano": 1_000}
    assert isinstance(start(), EvaluationRun)
    with world.instance.engine.connect() as connection:
        query = text("SELECT bytes FROM ledger_entry WHERE kind = 'release.priced' AND subject = :release")
        [entry] = [decode_entry(bytes(one)) for one in connection.execute(query, {"release": old}).scalars()]
    assert entry.data == done["prices"]


def test_a_price_is_said_once_and_by_who_may_seal(world: World) -> None:
    old = sealed_before_prices(world)
    first = price(world, old, input="1", output="2")
    assert isinstance(first, Refusal), "its workflow still has the model"
    assert "model.yaml" in first.reasons[0].text
    world.write("workflows/assistant/model.yaml", "provider: extractive\n")
    refused = price(world, old, "ben", input="1", output="2")
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "NOT_PERMITTED"
    with pytest.raises(InvalidFiles):
        price(world, old, input="cheap", output="2")
    with pytest.raises(InvalidFiles):
        price(world, old)
    assert not isinstance(price(world, old, unmetered="Our own machines."), Refusal)
    again = price(world, old, input="1", output="2")
    assert isinstance(again, Refusal)
    assert again.reasons[0].code == "PRICE_KNOWN"
    free = price(world, capped(world, "5 USD", "provider: extractive\n"), input="1", output="2")
    assert isinstance(free, Refusal)
    assert "costs nothing" in free.reasons[0].text
