"""`kill -9` at any step of a takedown: it ends purged or in an honest lesser state, and never in a false proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import RUN_KIND, TakedownRequest, TakedownResult, take_down
from pilotage.core.ids import CorpusName
from pilotage.jobs.schedules import make_registry
from pilotage.jobs.work import do_work
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate
from pilotage.testing.connectors import MemoryConnector, MemoryDocument
from pilotage.testing.kills import lives_past

pytestmark = pytest.mark.store
CORPUS = CorpusName("killed")
DOCUMENTS = 150
HIDDEN, PURGED, UNPROVABLE = "hidden", "purged", "unprovable_by_scan"


@pytest.fixture
def bank(open_folder: Path, request: pytest.FixtureRequest) -> Iterator[Bank]:
    """A bank whose database is its own: only there the bytes can be looked for."""
    folder = open_folder / f"killed-{request.node.callspec.id}"
    folder.mkdir(mode=0o711)
    with EmbeddedServer(folder / "home") as server:
        engine = make_engine(server.url)
        migrate(engine)
        made = make_bank(engine, folder)
        made.instance = replace(made.instance, embedded=True)
        made.declare(settings(CORPUS, acl=()))
        yield made
        engine.dispose()


def said(number: int) -> str:
    return f"The strongroom number {number * 7919} is opened by officer {number * 104729} at noon."


def published(bank: Bank) -> tuple[str, ...]:
    """Refresh from a source that lists every document still; return what it was refused."""
    documents = {
        f"d{number:03}.txt": MemoryDocument(data=said(number).encode(), suffix=".txt", acl=["group:everyone"])
        for number in range(DOCUMENTS)
    }
    result = bank.refresh(CORPUS, MemoryConnector(documents=documents))
    return tuple(sorted(one.id for one in result.rejected if one.reason == "taken_down"))


def takedown(bank: Bank, number: int, engine: Engine | None = None) -> TakedownResult:
    instance = bank.instance if engine is None else replace(bank.instance, engine=engine)
    request = TakedownRequest(corpus=CORPUS, document=f"d{number:03}.txt", reason="A mistake.", wait=True)
    done = take_down(instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    return done


def is_done_before(statement: int, bank: Bank, number: int) -> bool:
    """Take down in a process that dies right after its n-th statement; tell whether it came to its end before."""

    def act(engine: Engine) -> None:
        takedown(bank, number, engine)

    return lives_past(statement, bank.instance.engine, act)


def is_found(bank: Bank, number: int) -> bool:
    wanted = Search(question=f"strongroom number {number * 7919}")
    found = search_corpus(bank.instance, actor=bank.steward, corpus=CORPUS, wanted=wanted)
    return f"d{number:03}.txt" in {passage.document for passage in found}


def is_on_disk(bank: Bank, number: int) -> bool:
    marker = f"number {number * 7919} is opened by officer {number * 104729}".encode()
    return any(marker in path.read_bytes() for path in bank.instance.home.rglob("*") if path.is_file())


def row_of(bank: Bank, number: int) -> tuple[str, str] | None:
    query = "SELECT id, state FROM takedown WHERE document = :document"
    with bank.instance.engine.connect() as connection:
        row = connection.execute(text(query), {"document": f"d{number:03}.txt"}).one_or_none()
    return None if row is None else (row.id, row.state)


def worked_off(bank: Bank, identifier: str) -> None:
    """What the next worker does with the row the dead process left."""
    registry = make_registry(lambda _instance: None)  # type: ignore[arg-type, return-value]
    with bank.instance.engine.connect() as connection:
        query = text("SELECT state, generation FROM run WHERE kind = :kind AND key = :key")
        run = connection.execute(query, {"kind": RUN_KIND, "key": identifier}).one()
    if run.state == "due":
        assert do_work(
            bank.instance, registry, kind=RUN_KIND, key=identifier, generation=run.generation, owner="the next worker"
        )
    with bank.instance.engine.connect() as connection:
        assert connection.execute(query, {"kind": RUN_KIND, "key": identifier}).one().state == "done"


def check_resumed(bank: Bank, number: int, found: tuple[str, str]) -> str:
    identifier, state = found
    assert not is_found(bank, number)
    assert state == HIDDEN or not is_on_disk(bank, number)
    worked_off(bank, identifier)
    with bank.instance.engine.connect() as connection:
        query = text("SELECT state, proof FROM takedown WHERE id = :id")
        ended = connection.execute(query, {"id": identifier}).one()
        query = text("SELECT kind FROM ledger_entry WHERE subject = :id ORDER BY kind")
        kinds = connection.execute(query, {"id": identifier}).scalars().all()
    assert not is_on_disk(bank, number)
    assert ended.state == (PURGED if ended.proof["shingles"] else UNPROVABLE)
    assert (ended.proof["hits"], ended.proof["state"]) == (0, ended.state)
    assert kinds == ["takedown.purged", "takedown.requested"]
    return str(ended.state)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("stride", [pytest.param(19, id="few"), pytest.param(1, id="every", marks=pytest.mark.slow)])
def test_takedown_kill(bank: Bank, stride: int) -> None:
    assert published(bank) == ()
    number, statement, lived, ends = 0, 1, False, set()
    while not lived:
        lived = is_done_before(statement, bank, number)
        found = row_of(bank, number)
        if found is None:  # killed before it had committed anything: nothing happened
            assert is_found(bank, number)
            takedown(bank, number)
            found = row_of(bank, number)
        assert found is not None
        ends.add(check_resumed(bank, number, found))
        number, statement = number + 1, statement + stride
    assert number > 3
    assert ends == {PURGED, UNPROVABLE}
    assert published(bank) == tuple(f"d{gone:03}.txt" for gone in range(number))
    assert not any(is_on_disk(bank, gone) for gone in range(number))
