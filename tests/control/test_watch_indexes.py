"""An index that could not be renewed pages once; folders of models that may serve stay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import make_world

from pilotage.control.watch_indexes import CAUSE, watch_indexes
from pilotage.core.digest import Digest
from pilotage.store.index_retire import serving_vectors
from pilotage.testing.rollouts import EAST, WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
WHY = "INDEX_MEMORY: The index of policies needs about 9 bytes; the limit is 1."


def report(world: RolloutWorld, corpora: Any, *, age: str = "0 s") -> None:
    holds = {WORKFLOW: {"generation": 1, "corpora": corpora}, "another": None}
    query = (
        "INSERT INTO space_report (process, space, at, failures, successes, reasons, holds)"
        " VALUES ('p', :space, clock_timestamp() - CAST(:age AS interval), 0, 1, '[]', CAST(:holds AS jsonb))"
        " ON CONFLICT (process, space) DO UPDATE SET at = EXCLUDED.at, holds = EXCLUDED.holds"
    )
    with world.engine.begin() as connection:
        connection.execute(text(query), {"space": EAST, "age": age, "holds": json.dumps(holds)})


def look(world: RolloutWorld) -> list[tuple[str, str]]:
    with world.engine.begin() as connection:
        return [(one.space, one.workflow) for one in watch_indexes(connection, world.instance)]


def test_what_a_process_could_not_open_pages_once_until_somebody_resolves_it(engine: Engine) -> None:
    world = make_world(engine)
    report(world, {"sha256:1": {"generation": 3}, "sha256:2": None})
    assert look(world) == []
    report(world, None)
    assert look(world) == []
    report(world, {"sha256:1": {"generation": 3, "refused": WHY}}, age="181 s")
    assert look(world) == []
    report(world, {"sha256:1": {"generation": 3, "refused": WHY}})
    assert look(world) == [(EAST, WORKFLOW)]
    assert look(world) == []
    with engine.connect() as connection:
        pages = "SELECT payload ->> 'text' FROM outbox WHERE payload ->> 'kind' = 'page'"
        (said,) = connection.execute(text(pages)).scalars()
        found = connection.execute(text("SELECT cause, severity, space FROM incident")).all()
    assert WHY in said
    assert [tuple(row) for row in found] == [(CAUSE, "SEV3", EAST)]
    with engine.begin() as connection:
        connection.execute(text("UPDATE incident SET state = 'resolved', resolved_at = now()"))
    assert look(world) == [(EAST, WORKFLOW)]


def test_the_vectors_of_what_is_routed_or_was_deployed_lately_may_serve(engine: Engine) -> None:
    world = make_world(engine)
    endpoint = "http://127.0.0.1:9/v1/embeddings"
    release = world.seal("By vectors.", embedding={"model": "m", "dimension": 3, "endpoint": endpoint})

    def named() -> set[tuple[str, int]]:
        with engine.connect() as connection:
            return {(corpus, vectors.dimension) for corpus, vectors in serving_vectors(connection)}

    def age(table: str, column: str, days: int) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {table} SET {column} = clock_timestamp() - interval '{days} days'"))

    def deploy(before: str | None, after: Digest) -> Digest:
        age("deployment", "at", 31)
        with engine.begin() as connection:
            connection.execute(text("UPDATE deployment SET state = 'retired'"))
        world.serve(after, [EAST])
        with engine.begin() as connection:
            values = {"before": before, "after": after}
            connection.execute(text("UPDATE deployment SET previous = :before WHERE release = :after"), values)
        return after

    age("release", "sealed_at", 31)
    assert named() == set()
    deploy(None, release)
    age("deployment", "at", 31)
    assert named() == {("policies", 3)}, "it is routed"
    words = deploy(release, world.seal("By words."))
    age("deployment", "at", 31)
    assert named() == {("policies", 3)}, "a rollback goes back to it"
    deploy(words, world.seal("By other words."))
    assert named() == set()
    age("deployment", "at", 29)
    assert named() == {("policies", 3)}, "it was replaced lately"
