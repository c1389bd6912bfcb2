"""A scheduled run that finds a release in service worse pages once a metric; runs that do not come are told of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import EVALUATION, World, facts, make_world

from pilotage.control.evaluation_alerts import OVERDUE, watch_overdue
from pilotage.core.digest import Digest
from pilotage.evaluation.run import Cause

pytestmark = [pytest.mark.anyio, pytest.mark.store]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE incident CASCADE"))
        connection.execute(text("DELETE FROM outbox"))
        connection.execute(text("DELETE FROM stated_fact WHERE kind = :kind"), {"kind": OVERDUE})
    return make_world(engine, tmp_path, cases=25)


def incidents(world: World) -> list[tuple[str, str]]:
    with world.instance.engine.connect() as connection:
        found = connection.execute(text("SELECT cause, severity FROM incident WHERE cause LIKE 'evaluation:%'"))
        return [tuple(row) for row in found]


def told(world: World, kind: str) -> list[str]:
    query = text("SELECT DISTINCT payload ->> 'title' FROM outbox WHERE payload ->> 'kind' = :kind")
    with world.instance.engine.connect() as connection:
        return list(connection.execute(query, {"kind": kind}).scalars())


async def scheduled(world: World, release: Digest) -> str | None:
    return (await world.evaluate(release, cause=Cause.SCHEDULE, space="sandbox")).run.verdict


@pytest.mark.feature("R0.4")
async def test_a_no_go_of_what_serves_pages_once_a_metric_and_a_go_tells_nothing(world: World) -> None:
    release = world.seal()
    assert await scheduled(world, release) == "go"
    assert (incidents(world), told(world, "page"), told(world, "ticket")) == ([], [], [])
    for document in list(facts())[:12]:
        name, amount = facts()[document]
        world.write_fact(document, name, amount + 7)
    world.publish()
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 5\n")
    worse = world.seal()
    assert (await world.evaluate(worse)).run.verdict == "no_go"
    assert incidents(world) == [], "a person asked, and sees it"
    assert await scheduled(world, worse) == "no_go"
    found = incidents(world)
    assert found
    assert {severity for _, severity in found} == {"SEV3"}
    assert "evaluation: answer_accuracy" in {cause for cause, _ in found}
    pages = told(world, "page")
    graded = text("SELECT DISTINCT payload -> 'facts' ->> 'severity' FROM outbox WHERE payload ->> 'kind' = 'page'")
    with world.instance.engine.connect() as connection:
        assert list(connection.scalars(graded)) == ["SEV3"]
    assert await scheduled(world, worse) == "no_go"
    assert (incidents(world), told(world, "page")) == (found, pages)


async def test_an_inconclusive_run_is_told_to_the_owner(world: World) -> None:
    world.write("workflows/assistant/evaluation.yaml", EVALUATION.replace("0.80", "0.999"))
    release = world.seal()
    assert await scheduled(world, release) == "inconclusive"
    assert (incidents(world), told(world, "page")) == ([], [])
    assert told(world, "ticket") == ["assistant: the scheduled evaluation is inconclusive"]


async def test_runs_that_do_not_come_for_eight_days_are_told_of_once_a_week(world: World) -> None:
    world.write("workflows/assistant/evaluation.yaml", EVALUATION + "schedule: weekly\n")
    release = world.seal()

    def look() -> list[str]:
        with world.instance.engine.begin() as connection:
            return list(watch_overdue(connection, world.instance))

    assert look() == []
    world.clock.advance(timedelta(days=9))
    assert look() == ["assistant"]
    assert look() == []
    assert told(world, "ticket") == ["assistant: evaluation_overdue"]
    world.clock.advance(timedelta(days=8))
    assert look() == ["assistant"]
    await world.evaluate(release)
    world.clock.advance(timedelta(days=7, hours=23))
    assert look() == []
    world.write("workflows/assistant/evaluation.yaml", EVALUATION)
    world.clock.advance(timedelta(days=30))
    assert look() == [], "without a schedule nobody promised any"
