"""A serving process as rollouts see it: it acknowledges at once, counts admissions, closes doors and asks questions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.serving.test_open_serving import NOW, ask, keyed, opened, routed, sealed
from tests.serving.waiting import until

from pilotage.core.digest import Digest
from pilotage.rollout.validation import ProbeResult
from pilotage.serving.admissions import Admissions
from pilotage.serving.context import Answer
from pilotage.serving.opened import OpenServing
from pilotage.serving.refusal import STATUS, Code, Refusal
from pilotage.store.notify import Channel, notify
from pilotage.store.probes import read_probes
from pilotage.store.routes import Route, acks_of, admissions_of, read_route, write_route
from pilotage.testing.serving_path import SPACE, WORKFLOW

pytestmark = [pytest.mark.anyio, pytest.mark.store]


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> None:
    with engine.begin() as connection:
        tables = "routing, route_ack, route_admission, route_probe, rollout, service_key, interaction, drill"
        connection.execute(text(f"TRUNCATE {tables} CASCADE"))


def change(engine: Engine, **values: Any) -> Route:
    with engine.begin() as connection:
        seen = read_route(connection, SPACE, WORKFLOW, lock=True)
        wanted = {**{name: getattr(seen, name) for name in Route.__dataclass_fields__}, **values}
        written = write_route(connection, seen, Route(**wanted), fence=seen.fence, at=NOW)
        assert written is not None
        return written


def acknowledged(engine: Engine, generation: int, *loaded: Digest) -> bool:
    with engine.connect() as connection:
        acks = acks_of(connection, SPACE, WORKFLOW)
    return bool(acks) and all(ack.generation >= generation and set(loaded) <= ack.loaded for ack in acks)


def admitted(engine: Engine, release: str) -> int:
    with engine.connect() as connection:
        return admissions_of(connection, SPACE, WORKFLOW, release).admitted


async def test_a_candidate_is_loaded_acknowledged_counted_and_gone_at_the_flip(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one, two = sealed(engine, "Be brief, one."), sealed(engine, "Be kind, two.")
    routed(engine, one, generation=1)
    keyed(engine)
    async with opened(engine, database_url, tmp_path) as running:
        named = change(engine, candidate=two, salt="5f1c0e9ab2d34476")
        await until(lambda: acknowledged(engine, named.generation, one, two))
        assert isinstance(answer := await ask(running), Answer)
        assert (answer.release, admitted(engine, two)) == (one, 0)
        full = change(engine, fraction_ppm=1_000_000, cohort={"all": True})
        await until(lambda: acknowledged(engine, full.generation, one, two))
        assert isinstance(answer := await ask(running), Answer)
        assert (answer.release, answer.arm) == (two, "candidate")
        await until(lambda: admitted(engine, two) == 1)
        flipped = change(engine, candidate=None, fraction_ppm=0, cohort={})
        await until(lambda: acknowledged(engine, flipped.generation, one))
        assert isinstance(answer := await ask(running), Answer)
        assert answer.release == one
        await asyncio.sleep(1.2)
        assert admitted(engine, two) == 1
    with engine.connect() as connection:
        assert acks_of(connection, SPACE, WORKFLOW) == ()  # a process that ended serves nobody
        row = connection.execute(
            text("SELECT arm, detail->'generation' FROM interaction WHERE release = :two"), {"two": two}
        )
        assert [tuple(one) for one in row] == [("candidate", full.generation)]


async def test_a_pinned_tester_is_not_counted_as_an_admission(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one, two = sealed(engine, "Be brief, three."), sealed(engine, "Be kind, four.")
    routed(engine, one, generation=1)
    keyed(engine)
    async with opened(engine, database_url, tmp_path) as running:
        named = change(engine, candidate=two, pins={"local|maria": "candidate"})
        await until(lambda: acknowledged(engine, named.generation, two))
        assert isinstance(answer := await ask(running), Answer)
        assert answer.release == two
    assert admitted(engine, two) == 0


@pytest.mark.parametrize("closed", ["not_released", "maintenance"])
async def test_a_closed_door_says_so_and_names_whom_to_ask(
    engine: Engine, database_url: str, tmp_path: Path, closed: str
) -> None:
    one = sealed(engine, f"Be {closed}.")
    routed(engine, one, generation=1)
    keyed(engine)
    async with opened(engine, database_url, tmp_path) as running:
        shut = change(engine, stable=None, closed=closed)
        await until(lambda: acknowledged(engine, shut.generation))
        refused = await ask(running)
    assert isinstance(refused, Refusal)
    assert (refused.code, STATUS[refused.code]) == (Code.NO_AUTHORISED_RELEASE, 503)
    assert "owner" in refused.message


async def test_a_process_asks_its_questions_while_a_rollback_is_validated(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one = sealed(engine, "Be right.")
    routed(engine, one, generation=1)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO rollout (id, workflow, release, plan, plan_digest, salt, state, state_at, started_by,"
                " created_at, flipped) VALUES ('r', :workflow, :one, '{}', 'd', 's', 'validating', now(), 'p', now(),"
                " ARRAY[:space])"
            ),
            {"workflow": WORKFLOW, "one": one, "space": SPACE},
        )
        notify(connection, Channel.ROUTING, f"{SPACE}:{WORKFLOW}:1")

    def answers(release: str = one) -> tuple[ProbeResult, ...] | None:
        with engine.connect() as connection:
            return read_probes(connection, space=SPACE, workflow=WORKFLOW, generation=1, release=release)

    async with opened(engine, database_url, tmp_path) as running:
        assert isinstance(running, OpenServing)
        await until(lambda: answers() is not None)
        (found,) = answers() or ()
    assert (found.asked, found.passed, found.right_release) == (0, 0, True)
    assert answers("sha256:another") is None  # what one release answered proves nothing about another


def test_admissions_are_sums_by_place_and_release() -> None:
    counted = Admissions()
    for _ in range(3):
        counted.count(SPACE, WORKFLOW, Digest("a"))
    counted.count(SPACE, WORKFLOW, Digest("b"))
    assert counted.totals() == {(SPACE, WORKFLOW, "a"): 3, (SPACE, WORKFLOW, "b"): 1}
