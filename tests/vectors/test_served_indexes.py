"""The index with vectors in serving: hidden documents change nothing, it is swapped, rebuilt, and purged."""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from tests.vectors.bank import FLEET, HANDBOOK, QUESTION, VectorBank

from pilotage.app import joined_serving
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.digest import Digest
from pilotage.core.errors import Unavailable
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.serving.indexes import Indexes
from pilotage.store.index_build import IndexFolder, open_every, open_index
from pilotage.store.releases import load_release
from pilotage.testing.embeddings import EmbeddingServer, bag_of_words

pytestmark = pytest.mark.store


def vectors_of(bank: VectorBank, release: Digest) -> Vectors:
    with bank.instance.engine.connect() as connection:
        found = load_release(connection, release).retrieval.vectors_of(DataStage.UAT)
    assert found is not None
    return found


def folder_of(bank: VectorBank) -> IndexFolder:
    return IndexFolder(root=bank.instance.home / "indexes")


def opened(bank: VectorBank, vectors: Vectors) -> Snapshot:
    settings = bank.instance.workspace.corpora[HANDBOOK]
    return open_index(bank.instance.engine, settings, folder_of(bank), earlier=None, vectors=vectors)


@pytest.mark.parametrize("mode", ["exact", "approximate"])
def test_hidden_documents_change_neither_passages_nor_scores(
    bank: VectorBank, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Near the question, far from it, before and after in the order of ids: an asker without them sees the same."""
    monkeypatch.setattr("pilotage.retrieval.vectors.EXACT_CHUNKS", 0)
    monkeypatch.setattr("pilotage.serving.retriever.EXACT_CHUNKS", 0)
    bank.declare(f"vectors: {mode}", "candidates: 5")
    for number in range(25):  # with fewer in its cells a question is searched exactly
        bank.write(f"day-{number}.md", f"# Day {number}\n\nOn day {number} all is well.\n", readers=["group:everyone"])
    bank.publish()
    bank.seal()
    used = bank.explain(bank.ask(who="ben")["interaction"], who="ben")["release"]["vectors"]
    assert (used["cells"] is not None) == (mode == "approximate")
    questions = (QUESTION, "automobile in the garage", "When do branches open?", "refund of a duplicate card payment")
    before = {question: bank.found(question, who="ben") for question in questions}
    assert before[QUESTION]
    for number in range(30):
        said = ("The automobile is a car.", "Branches open late.", f"Refund {number} of a card.")[number % 3]
        name = ("a-hidden", "z-hidden")[number % 2]
        bank.write(f"{name}-{number}.md", f"# Hidden {number}\n\n{said} {number}\n", readers=["group:lending"])
    bank.publish()
    bank.seal()
    assert {question: bank.found(question, who="ben") for question in questions} == before
    assert "hidden" in bank.found(QUESTION, who="ada")[0][0]


def test_a_new_version_is_searched_by_the_vectors_its_release_was_sealed_with(bank: VectorBank) -> None:
    bank.publish()
    first = bank.seal()
    assert bank.found()[0][0] == "fleet.md"
    bank.write("carpool.md", "# Pool\n\nA car, car, car.\n", readers=["group:everyone"])
    bank.publish()
    assert bank.found()[0][0] == "fleet.md"  # the release is sealed on the version before
    second = bank.seal()
    assert bank.found()[0][0] == "carpool.md"
    vectors = vectors_of(bank, second.digest)
    assert vectors == vectors_of(bank, first.digest)
    segments = opened(bank, vectors).segments
    assert sum(int(np.count_nonzero(one.has_vector)) for one in segments if one.has_vector is not None) == sum(
        one.chunks for one in segments
    )


def test_an_index_that_was_deleted_or_altered_is_built_again_with_its_vectors(bank: VectorBank) -> None:
    bank.write("zz-car.md", "# Car\n\nA car.\n", readers=["group:everyone"])
    bank.publish()
    bank.seal()
    before = bank.found()
    assert before[0][0] == "zz-car.md"  # equal scores would put it last
    [file] = folder_of(bank).root.rglob("vectors.npy")
    data = file.read_bytes()
    file.write_bytes(data[:128] + bytes(len(data) - 128))
    assert bank.found() == before
    shutil.rmtree(folder_of(bank).root)
    assert bank.found() == before


def test_a_release_whose_vectors_are_gone_is_not_served_by_words_alone(bank: VectorBank) -> None:
    bank.publish()
    bank.seal()
    assert bank.found()
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM embedding WHERE ctid = (SELECT min(ctid) FROM embedding)"))
    with pytest.raises(Unavailable):
        bank.ask()
    assert not bank.seal().created  # sealing computes what is missing
    assert bank.found()[0][0] == "fleet.md"


@asynccontextmanager
async def serving(bank: VectorBank, release: Digest) -> AsyncIterator[tuple[Indexes, Vectors]]:
    async with joined_serving(bank.instance, {}) as (running, indexes):
        await running.load(release)
        yield indexes, vectors_of(bank, release)


def test_a_running_process_swaps_to_what_sealing_added(bank: VectorBank) -> None:
    """The version was accepted, and its index opened, before its vectors were there."""
    bank.publish()
    first = bank.seal()

    async def scenario() -> tuple[Snapshot | None, Snapshot | None]:
        async with serving(bank, first.digest) as (indexes, vectors):
            bank.write("carpool.md", "# Pool\n\nA car, car, car.\n", readers=["group:everyone"])
            version = await asyncio.to_thread(bank.publish)
            await indexes.catch_up()
            await indexes.settle()
            assert indexes.is_ready(HANDBOOK, version, vectors)
            between = indexes.snapshot(HANDBOOK, vectors)
            second = await asyncio.to_thread(bank.seal)
            with bank.instance.engine.connect() as connection:
                await indexes.prepare(load_release(connection, second.digest))
            return between, indexes.snapshot(HANDBOOK, vectors)

    between, after = asyncio.run(scenario())
    assert between is not None
    assert after is not None
    held = [
        sum(int(np.count_nonzero(one.has_vector)) for one in snapshot.segments if one.has_vector is not None)
        for snapshot in (between, after)
    ]
    assert held[1] == held[0] + 1


def test_a_revocation_is_followed_in_the_index_with_vectors(bank: VectorBank) -> None:
    bank.publish()
    first = bank.seal()

    async def scenario() -> list[int]:
        async with serving(bank, first.digest) as (indexes, vectors):
            generations = []
            for _ in range(2):
                snapshot = indexes.snapshot(HANDBOOK, vectors)
                assert snapshot is not None
                generations.append(snapshot.visibility.generation)
                bank.write("fleet.md", f"# Fleet\n\n{FLEET}\n", readers=["group:lending"])
                await asyncio.to_thread(bank.publish_readers)
                await indexes.catch_up()
            return generations

    before, after = asyncio.run(scenario())
    assert after > before
    assert "fleet.md" not in [name for name, _ in bank.found(who="ben")]
    assert bank.found(who="ada")[0][0] == "fleet.md"


def _open_in_a_process(folder: Path, url: str, barrier: Barrier, answers: Any) -> None:
    with EmbeddingServer() as server, VectorBank(folder, url, server) as bank:
        [release] = bank.rows("SELECT digest FROM release")
        vectors = vectors_of(bank, Digest(release.digest))
        barrier.wait(30)
        snapshot = opened(bank, vectors)
        answers.put((snapshot.dimension, [segment.chunks for segment in snapshot.segments]))


def test_two_processes_build_one_index(bank: VectorBank) -> None:
    bank.publish()
    bank.seal()
    shutil.rmtree(folder_of(bank).root, ignore_errors=True)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    url = bank.instance.engine.url.render_as_string(hide_password=False)
    given = (bank.folder, url, barrier, answers)
    processes = [context.Process(target=_open_in_a_process, args=given) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert found[0] == found[1] == (64, [sum(found[0][1])])
    assert len(list(folder_of(bank).root.rglob("vectors.npy"))) == 1


@pytest.mark.parametrize("mode", ["exact", "approximate"])
def test_a_purged_passage_has_no_vector_in_any_row_or_index(bank: VectorBank, mode: str) -> None:
    bank.declare(f"vectors: {mode}")
    bank.publish()
    release = bank.seal().digest
    assert bank.found()[0][0] == "fleet.md"
    unit = np.array(bag_of_words(f"Fleet\n{FLEET}"))
    needle = (unit / np.linalg.norm(unit)).astype("<f4").tobytes()

    def holding() -> list[str]:
        files = [path for path in bank.instance.home.rglob("*.npy") if needle in path.read_bytes()]
        rows = bank.rows("SELECT content_hash FROM embedding WHERE vector = :needle", needle=needle)
        return [path.name for path in files] + [row.content_hash for row in rows]

    assert len(holding()) == 2
    request = TakedownRequest(corpus=HANDBOOK, document="fleet.md", reason="A test says so.", wait=True)
    gone = take_down(bank.instance, actor=bank.person("ben"), request=request)
    assert isinstance(gone, TakedownResult)
    assert holding() == []
    assert list(bank.instance.home.rglob("vectors.npy"))  # the others are still searched by theirs
    assert "fleet.md" not in [name for name, _ in bank.found()]
    assert opened(bank, vectors_of(bank, release)).dimension == 64


def test_an_index_folder_that_does_not_say_whose_vectors_it_holds_goes_with_a_purge(bank: VectorBank) -> None:
    bank.publish()
    bank.seal()
    bank.found()
    [manifest] = folder_of(bank).root.glob("*/vectors-*/base-*/manifest.json")
    manifest.write_text("{")
    request = TakedownRequest(corpus=HANDBOOK, document="fleet.md", reason="A test says so.", wait=True)
    assert isinstance(take_down(bank.instance, actor=bank.person("ben"), request=request), TakedownResult)
    assert not manifest.parent.parent.exists()


@contextmanager
def held(bank: VectorBank, run: Callable[[], object]) -> Iterator[Path]:
    """Hold the lock of the index with vectors as its writer does, while `run` waits for it in a thread."""
    [base] = folder_of(bank).root.glob("*/vectors-*/base-*")
    with ThreadPoolExecutor() as threads, (base.parent / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = threads.submit(run)
        time.sleep(0.3)
        yield base
        file.close()
        waiting.result(60)


def test_an_index_that_another_process_is_writing_outlives_a_purge(bank: VectorBank) -> None:
    bank.publish()
    bank.seal()
    bank.found()
    [base] = folder_of(bank).root.glob("*/vectors-*/base-*")
    written = base.rename(base.with_name(f".{base.name}.1"))
    base.mkdir()

    def purge() -> None:
        open_every(bank.instance.engine, bank.instance.workspace.corpora[HANDBOOK], folder_of(bank))

    with held(bank, purge):
        base.rmdir()
        written.rename(base)
    assert sorted(path.name for path in base.parent.iterdir()) == [base.name, "lock"]
    assert (base / "vectors.npy").exists()


def test_a_lock_that_went_with_its_folder_lets_nobody_write(bank: VectorBank) -> None:
    bank.publish()
    vectors = vectors_of(bank, bank.seal().digest)
    bank.found()
    with held(bank, lambda: opened(bank, vectors)) as base:
        shutil.rmtree(base.parent)
    assert sorted(path.name for path in base.parent.iterdir()) == ["base-00000001", "lock"]
