"""The indexes of a process keep up: revocations at once, new versions when they are built, never half of anything."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from tests.retrieval.small_index import asking
from tests.serving.shelf import Shelf, make_shelf
from tests.serving.waiting import until

from pilotage.core.digest import digest_of
from pilotage.corpus.analyser import analyse
from pilotage.corpus.settings import DataStage
from pilotage.release.assemble import CorpusPin
from pilotage.retrieval.search import Query, search
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.serving.holdings import held_by
from pilotage.serving.indexes import Indexes
from pilotage.store.engine import make_engine
from pilotage.store.index_build import IndexFolder
from pilotage.store.notify import Channel, Heard, Listener

pytestmark = [pytest.mark.anyio, pytest.mark.store]

TEXTS = {"errors.txt": "Errors are resolved within ten days.", "wires.txt": "Wires arrive within one day."}


@pytest.fixture
def shelf(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    made = make_shelf(engine, tmp_path, request.node.name, TEXTS)
    yield made
    made.close()


def found(snapshot: Snapshot | None, question: str, version: int = 1) -> list[bytes]:
    assert snapshot is not None
    view = snapshot.view(asking("group:everyone", version=version))
    hits = search(snapshot, view, Query(terms=analyse(question, language="en")), 10)
    return [snapshot.visibility.documents[hit.rev] for hit in hits]


@asynccontextmanager
async def running(indexes: Indexes) -> AsyncIterator[Indexes]:
    task = asyncio.create_task(indexes.run())
    try:
        yield indexes
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_corpus_is_ready_when_its_version_is_loaded(shelf: Shelf) -> None:
    async with running(shelf.indexes()) as indexes:
        assert not indexes.is_ready(shelf.name, 1)
        await until(lambda: indexes.is_ready(shelf.name, 1))
        assert not indexes.is_ready(shelf.name, 2)
        assert found(indexes.snapshot(shelf.name), "errors") == [b"errors.txt"]


async def test_a_revocation_is_applied_by_its_notification_without_touching_a_segment(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    before = indexes.snapshot(shelf.name)
    assert before is not None
    await asyncio.to_thread(shelf.revoke, "errors.txt")
    indexes.hear(f"{shelf.name}:{before.visibility.generation + 1}")
    await indexes.catch_up()
    after = indexes.snapshot(shelf.name)
    assert after is not None
    assert after.segments is before.segments
    assert found(after, "errors") == []
    # A request that began before keeps its snapshot; the last wall stands behind it.
    assert found(before, "errors") == [b"errors.txt"]


async def test_a_takedown_is_hidden_at_once_and_its_words_leave_with_the_next_build(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    await asyncio.to_thread(shelf.take_down, "errors.txt")
    await indexes.catch_up()
    assert found(indexes.snapshot(shelf.name), "errors") == []
    await indexes.settle()
    settled = indexes.snapshot(shelf.name)
    assert settled is not None
    assert [segment.term("error") for segment in settled.segments] == [None]


async def test_a_lost_notification_is_made_up_for_by_the_poll(shelf: Shelf) -> None:
    async with running(shelf.indexes()) as indexes:
        await until(lambda: indexes.is_ready(shelf.name, 1))
        await asyncio.to_thread(shelf.revoke, "errors.txt")
        await until(lambda: found(indexes.snapshot(shelf.name), "errors") == [])


async def test_a_new_version_is_built_beside_the_old_one_which_goes_on_serving(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    shelf.texts["fees.txt"] = "Fees are charged once a year."
    version = await asyncio.to_thread(shelf.publish)
    await asyncio.to_thread(shelf.revoke, "wires.txt")
    await indexes.catch_up()
    assert not indexes.is_ready(shelf.name, version)
    assert found(indexes.snapshot(shelf.name), "wires errors") == [b"errors.txt"]
    await indexes.settle()
    assert indexes.is_ready(shelf.name, version)
    assert found(indexes.snapshot(shelf.name), "fees wires", version) == [b"fees.txt"]


async def test_a_permission_that_moves_during_a_build_holds_when_the_build_is_shown(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    folder = shelf.folder.root / shelf.name
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the build has read its permissions and waits for its turn to write
        building = asyncio.create_task(indexes.refresh(shelf.name))
        await asyncio.to_thread(_in_transaction, shelf.bank.instance.engine)
        await asyncio.to_thread(shelf.revoke, "errors.txt")
    await building
    assert found(indexes.snapshot(shelf.name), "errors wires") == [b"wires.txt"]


def _in_transaction(engine: Engine) -> None:
    """Wait until some session holds its view of the database."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(waiting).scalar_one():
            time.sleep(0.01)


async def test_a_lost_connection_is_replaced_at_the_next_look(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    kill = text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    with shelf.bank.instance.engine.connect() as connection:
        connection.execute(kill)
    with pytest.raises(psycopg.OperationalError):
        await indexes.follow(shelf.name)
    await asyncio.to_thread(shelf.revoke, "errors.txt")
    await indexes.catch_up()
    assert found(indexes.snapshot(shelf.name), "errors") == []


async def test_a_build_that_fails_is_tried_again_while_the_old_segments_serve(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    folder = shelf.folder.root / shelf.name
    folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")
    shelf.texts["fees.txt"] = "Fees are charged once a year."
    version = await asyncio.to_thread(shelf.publish)
    with caplog.at_level(logging.WARNING):
        await indexes.catch_up()
        await indexes.settle()
    assert f"index of {shelf.name}" in caplog.text
    assert not indexes.is_ready(shelf.name, version)
    assert found(indexes.snapshot(shelf.name), "errors") == [b"errors.txt"]
    folder.unlink()
    await indexes.catch_up()
    await indexes.settle()
    assert indexes.is_ready(shelf.name, version)


async def test_a_store_that_is_away_is_logged_and_asked_again(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    away = make_engine("postgresql://nobody@127.0.0.1:1/none")
    with caplog.at_level(logging.WARNING):
        async with running(Indexes(away, shelf.corpora, shelf.folder)) as indexes:
            await until(lambda: "indexes:" in caplog.text)
            assert indexes.snapshot(shelf.name) is None
    away.dispose()


async def _keep_up(url: str, folder: str, name: str, pipe: Connection) -> None:
    """One serving process: its keeper and its listener; says when it is loaded, and when a document is gone."""
    engine = make_engine(url)
    shelf = Shelf.reopen(engine, Path(folder), name)
    indexes = Indexes(engine, shelf.corpora, IndexFolder(root=Path(folder) / "home" / "indexes"))

    async def heard(message: Heard) -> None:
        indexes.hear(message.payload)

    async def resync() -> None:
        indexes.wake()

    listening = asyncio.create_task(Listener(url, [Channel.CORPUS], heard, resync).run())
    async with running(indexes):
        await until(lambda: indexes.is_ready(shelf.name, 1))
        pipe.send("loaded")
        await until(lambda: found(indexes.snapshot(shelf.name), "errors") == [])
        pipe.send("gone")
    listening.cancel()
    await asyncio.wait({listening})
    engine.dispose()


def serve_process(url: str, folder: str, name: str, pipe: Connection) -> None:
    asyncio.run(_keep_up(url, folder, name, pipe))


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
async def test_revocation_reaches_every_process(
    engine: Engine, database_url: str, tmp_path: Path, processes: int
) -> None:
    shelf = make_shelf(engine, tmp_path, f"processes-{processes}", TEXTS)
    spawn = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for _ in range(processes):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=serve_process, args=(database_url, str(tmp_path), shelf.name, theirs))
        process.start()
        pipes.append(ours)
        started.append(process)
    try:
        assert [await _said(pipe) for pipe in pipes] == ["loaded"] * processes
        await asyncio.to_thread(shelf.revoke, "errors.txt")
        assert [await _said(pipe) for pipe in pipes] == ["gone"] * processes
    finally:
        for process in started:
            process.join(30)
            process.kill()


async def _said(pipe: Connection) -> str:
    assert await asyncio.to_thread(pipe.poll, 60), "a serving process says nothing"
    said: str = await asyncio.to_thread(pipe.recv)
    return said


VECTORS = Vectors(key=digest_of(b"a model that was retired"), dimension=3)


def names_vectors(shelf: Shelf) -> Any:
    """What of a release its index goes by."""
    stage = DataStage.UAT
    pin = CorpusPin(name=shelf.name, version=1, digest=digest_of(b"1"), documents=1, chunks=1)
    return SimpleNamespace(corpora={stage: pin}, retrieval=SimpleNamespace(vectors_of=lambda _stage: VECTORS))


async def test_an_index_nobody_names_or_asks_for_is_freed_then_its_folder_and_both_come_back(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes, path = shelf.indexes(), shelf.folder.of(shelf.name, VECTORS)
    await indexes.refresh(shelf.name)
    await indexes.refresh(shelf.name, VECTORS)
    await indexes.free([])
    assert indexes.snapshot(shelf.name, VECTORS) is not None, "somebody asked a moment ago"
    monkeypatch.setattr("pilotage.serving.indexes.IDLE_S", -1.0)
    await indexes.free([names_vectors(shelf)])
    assert indexes.is_ready(shelf.name, 1, VECTORS)
    await indexes.free([])
    assert not indexes.is_ready(shelf.name, 1, VECTORS)
    assert indexes.is_ready(shelf.name, 1), "the index of words stays"
    await indexes.follow(shelf.name)
    assert path.exists(), "a folder of today may be somebody else's work"
    os.utime(path, (0, 0))
    await indexes.free([])
    assert not path.exists()
    await indexes.refresh(shelf.name, VECTORS)
    assert indexes.is_ready(shelf.name, 1, VECTORS)


async def test_what_could_not_be_renewed_is_said_while_the_older_index_serves(shelf: Shelf) -> None:
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    held = held_by(indexes.snapshot, indexes.refusal)
    content = names_vectors(shelf)
    content.retrieval.vectors_of = lambda _stage: None
    space: Any = SimpleNamespace(data_stage=DataStage.UAT)
    assert "refused" not in held(content, space)  # type: ignore[operator]
    whole, indexes._folder = indexes._folder, IndexFolder(root=shelf.folder.root, memory_limit=1)
    shelf.texts["fees.txt"] = "Fees are charged once a year."
    await asyncio.to_thread(shelf.publish)
    await indexes.catch_up()
    await indexes.settle()
    said: Any = held(content, space)
    assert said["refused"].startswith(f"INDEX_MEMORY: The index of {shelf.name} needs about")
    assert indexes.is_ready(shelf.name, 1)
    indexes._folder = whole
    await indexes.refresh(shelf.name)
    assert "refused" not in held(content, space)  # type: ignore[operator]
