"""What `/metrics` says: requests with their tokens, cost and stages, what the process holds, what the store says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import OperationalError
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank

from pilotage.adapters.clock import SystemClock
from pilotage.core.digest import digest_of, short
from pilotage.core.pins import PinKind
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.gateway.states import ASKED_EVERY_S, StoreState
from pilotage.guard.policy import StreamMode
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.rollout.assignment import Split
from pilotage.store.engine import psycopg_url, url_of
from pilotage.store.runs import request_run
from pilotage.store.serving_facts import StoreFacts, store_facts
from pilotage.store.serving_pool import make_pool
from pilotage.testing.gateway import Running, chat, running
from pilotage.testing.serving_path import SPACE, WORKFLOW, Plan, content, make_path
from pilotage.workspace.workflow import Unpriced

pytestmark = pytest.mark.anyio
HOSTED = ModelSettings(provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="1", base_url="https://m.test")
PLACE = {"workflow": WORKFLOW, "space": SPACE}


async def counted(up: Running) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels."""
    async with up.http.get(f"{up.url}/metrics") as response:
        return samples(await response.text())


def samples(exposed: str) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(exposed)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def named(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset((PLACE | labels).items())


async def test_an_answer_counts_its_tokens_its_cost_and_its_stages() -> None:
    priced = content(model=HOSTED, prices=Prices(currency="EUR", input_nano=150, output_nano=600))
    async with running(Plan(content=priced)) as up:
        _, body = await up.post(chat())
        found = await counted(up)
    usage = body["usage"]
    assert usage["prompt_tokens"] > 0
    assert found[named("pilotage_tokens_total", type="input")] == usage["prompt_tokens"]
    assert found[named("pilotage_tokens_total", type="output")] == usage["completion_tokens"]
    cost = found[named("pilotage_cost_total", currency="EUR", purpose="serving")]
    assert cost == pytest.approx(body["pilotage"]["cost_nano"] / 1e9)
    assert cost > 0
    whole = found[named("pilotage_request_duration_seconds_sum", arm="stable")]
    assert found[named("pilotage_first_token_seconds_count", arm="stable")] == 1
    assert 0 < found[named("pilotage_first_token_seconds_sum", arm="stable")] <= whole
    stages = ("admit", "guard_in", "retrieve", "generate", "guard_out", "record")
    assert [found[named("pilotage_stage_duration_seconds_count", stage=stage)] for stage in stages] == [1] * 6
    took = sum(found[named("pilotage_stage_duration_seconds_sum", stage=stage)] for stage in stages)
    assert whole / 2 < took <= whole
    assert named("pilotage_unpriced_requests_total") not in found


async def test_a_stream_counts_the_same_stages() -> None:
    async with running(Plan(content=content(stream=StreamMode.TOKEN))) as up:
        async with up.http.post(
            f"{up.url}/v1/chat/completions", json=chat(stream=True), headers={"Authorization": "Bearer maria"}
        ) as response:
            assert b"[DONE]" in await response.read()
        found = await counted(up)
    for stage in ("admit", "guard_in", "retrieve", "generate", "guard_out", "record"):
        assert found[named("pilotage_stage_duration_seconds_count", stage=stage)] == 1


async def test_a_request_that_ends_early_counts_no_later_stage() -> None:
    async with running() as up:
        await up.post(chat(), token="stolen")
        found = await counted(up)
    assert found["pilotage_errors_total", frozenset({("code", "invalid_key")})] == 1
    assert not [
        labels for name, labels in found if name == "pilotage_stage_duration_seconds_count" and found[name, labels]
    ]


@pytest.mark.parametrize(
    ("model", "prices", "unpriced"),
    [
        pytest.param(HOSTED, None, 1.0, id="nobody said a price"),
        pytest.param(HOSTED, Prices(unmetered="our own machine"), None, id="unmetered"),
        pytest.param(content().model, None, None, id="the built-in model is free"),
    ],
)
async def test_an_answer_whose_cost_is_unknown_is_no_free_one(
    model: ModelSettings, prices: Prices | None, unpriced: float | None
) -> None:
    path = make_path(Plan(content=content(model=model, prices=prices)))
    workflow = bank().workflows[WORKFLOW]
    workflow = replace(
        workflow, model=replace(HOSTED, model="another"), budgets=replace(workflow.budgets, unpriced=Unpriced.ALLOW)
    )
    workspace = replace(path.serving.workspace, workflows={WORKFLOW: workflow})
    async with running(path=replace(path, serving=replace(path.serving, workspace=workspace))) as up:
        response, _ = await up.post(chat())
        found = await counted(up)
    assert response.status == 200
    assert found.get(named("pilotage_unpriced_requests_total")) == unpriced
    assert not [name for name, _ in found if name == "pilotage_cost_total"]


async def test_the_routing_of_this_process_is_told_with_the_candidates_share() -> None:
    path = make_path()
    [(key, row)] = path.routing.current.rows.items()
    candidate = digest_of(b"another")
    row = replace(row, candidate=candidate, split=Split(salt="s", fraction_ppm=50_000))
    path.routing.current = replace(path.routing.current, rows={key: row})
    found = samples((await GatewayMetrics(path.serving).read()).decode())
    assert row.stable is not None
    assert found[named("pilotage_release_info", release=short(row.stable), arm="stable")] == 1
    assert found[named("pilotage_release_info", release=short(candidate), arm="candidate")] == 1
    assert found[named("pilotage_rollout_weight", release=short(candidate))] == 0.05


async def test_a_record_that_waits_makes_the_writer_late() -> None:
    async with running(Plan(flush_s=1.0)) as up:
        assert (await counted(up))["pilotage_writer_lag_seconds", frozenset()] == 0
        await up.post(chat())
        assert (await counted(up))["pilotage_writer_lag_seconds", frozenset()] > 0


async def test_the_store_is_asked_seldom_and_is_left_out_while_it_does_not_answer() -> None:
    now, answers = [0.0], [StoreFacts(entries=7, ledger_lag_s=1.5, jobs_late=2)]

    async def ask() -> StoreFacts:
        if not answers:
            raise OperationalError
        return answers.pop()

    metrics = GatewayMetrics(make_path().serving, StoreState(ask, monotonic=lambda: now[0]))
    for _ in range(2):
        found = samples((await metrics.read()).decode())
        assert found["pilotage_ledger_entries", frozenset()] == 7
        assert found["pilotage_ledger_lag_seconds", frozenset()] == 1.5
        assert found["pilotage_jobs_late", frozenset()] == 2
    now[0] += ASKED_EVERY_S
    found = samples((await metrics.read()).decode())
    assert not [name for name, _ in found if name.startswith(("pilotage_ledger", "pilotage_jobs"))]


@pytest.mark.store
async def test_the_store_says_what_its_ledger_and_its_jobs_wait_for(engine: Engine) -> None:
    now = SystemClock().now()
    with engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET size = 41"))
        connection.execute(
            text(
                "INSERT INTO ledger_entry (id, kind, subject, bytes, inserted_at)"
                " VALUES ('e', 'k', 's', 'x', clock_timestamp() - interval '9 s')"
            )
        )
        for key, ago in (("late", 120), ("due", 5), ("held", 120)):
            request_run(connection, kind="refresh", key=key, due_at=now - timedelta(seconds=ago))
        held = "UPDATE run SET lease_owner = 'w', lease_until = clock_timestamp() + interval '1 h' WHERE key = 'held'"
        connection.execute(text(held))
    async with make_pool(psycopg_url(url_of(engine))) as pool:
        facts = await store_facts(pool)
    assert (facts.entries, facts.jobs_late) == (41, 1)
    assert 9 <= facts.ledger_lag_s < 60
