"""The permission suite judges ACLs past their age as serving does: the oracle finds nothing withheld and no leak."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import HANDBOOK, World, make_world

from pilotage.evaluation.run import RunKind
from pilotage.store.evaluation_facts import version_facts

pytestmark = [pytest.mark.anyio, pytest.mark.store]
CONFIRM = "UPDATE document SET acl_confirmed_at = :at WHERE corpus = 'handbook' AND id LIKE '%parking.md'"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "stale-acls"
    folder.mkdir()
    world = make_world(engine, folder, cases=6)
    with (world.root / "corpora/handbook/corpus.yaml").open("a") as file:
        file.write("acl_max_age: 30d\n")
    acl = world.root / "corpora/handbook/documents/acl.yaml"
    acl.write_text(acl.read_text().replace('"*-locker.md": [group:staff]', '"*-locker.md": [group:lending]'))
    world.publish()
    return world


async def test_half_of_the_documents_gone_stale_is_neither_a_leak_nor_withheld(world: World) -> None:
    release = world.seal()
    world.clock.advance(timedelta(days=30, minutes=1))
    now = world.clock.now()
    with world.instance.engine.begin() as connection:
        assert connection.execute(text(CONFIRM), {"at": now}).rowcount > 0
        facts = version_facts(connection, HANDBOOK, 1, now - timedelta(days=30))
    live = {name for name, one in facts.documents.items() if one.is_live}
    assert live == {name for name in facts.documents if name.endswith("parking.md")}
    assert 0 < len(live) < len(facts.documents)
    driven = await world.evaluate(release, kind=RunKind.PERMISSIONS)
    result: Mapping[str, Any] = world.result(driven.run.id)
    assert (result["leaks"], result["differences"], result["withheld"]) == (0, [], [])
    assert result["scored"] > 0
    # Whoever has nothing left to see is refused, and what was not asked passes nobody.
    assert driven.run.verdict == "inconclusive"
    assert "acl_stale" in result["reasons"][0]["text"]
    assert result["compared"] > 0
