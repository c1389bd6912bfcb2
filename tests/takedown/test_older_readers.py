"""A transaction that began before the erasure still sees the rows, and PostgreSQL keeps them for it: a purge waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control import purge_document
from pilotage.control.instance import Instance
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.errors import Unavailable
from pilotage.core.ids import CorpusName
from pilotage.store import purge
from pilotage.store.takedowns import StoredTakedown
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
SIZES = """
    SELECT relname, pg_relation_size(oid) FROM pg_class
    WHERE relname IN ('chunk', 'chunk_text_strongrooms') ORDER BY relname
    """
"""No page is left of what held nothing but the document; a row that was kept for somebody takes one."""
ASKED = """
    SELECT count(*) >= 2 FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%advisory_lock(%pilotage/purge%'
    """
"""Two sessions want the lock: the one that has it, and another."""
MARKER = b"The strongroom number 7919 is opened by officer 104729 at noon."


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Any) -> Bank:
    """A bank with one document."""
    made = make_bank(own_engine, tmp_path)
    corpus = made.declare(settings("strongrooms"))
    made.refresh(corpus, MemoryConnector(documents={"rooms.txt": MemoryDocument(data=MARKER, suffix=".txt")}))
    return made


def taken_down(bank: Bank) -> TakedownResult:
    request = TakedownRequest(
        corpus=CorpusName("strongrooms"), document="rooms.txt", reason="A mistake.", wait=True, include_duplicates=True
    )
    done = take_down(bank.instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    return done


def reads(connection: Connection) -> None:
    """Hold a snapshot."""
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    assert connection.execute(text("SELECT count(*) FROM revision")).scalar_one() == 1


def writes(connection: Connection) -> None:
    """Hold a transaction number and no snapshot."""
    connection.execute(text("SELECT pg_current_xact_id()"))


@pytest.mark.parametrize("begin", [reads, writes])
def test_a_purge_waits_for_those_who_may_still_see_what_was_erased(
    bank: Bank, begin: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with bank.instance.engine.connect() as older:
        begin(older)

        def later(seconds: float) -> None:
            """The older transaction ends while the purge waits."""
            waits.append(seconds)
            if len(waits) == 3:
                older.rollback()

        monkeypatch.setattr(purge, "sleep", later)
        assert taken_down(bank).proof is not None
        if not waits:
            older.rollback()
    assert len(waits) >= 3
    with bank.instance.engine.connect() as connection:
        pages = connection.execute(text(SIZES)).all()
    assert [tuple(one) for one in pages] == [("chunk", 0), ("chunk_text_strongrooms", 0)]


def test_two_purges_at_once_do_not_wait_for_each_other(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker wants to do what a command does already: it asks for the lock while the command erases."""
    monkeypatch.setattr(purge, "_OLDER_S", 5.0)
    erase, workers = purge_document._erase, list[threading.Thread]()
    done: list[str] = []

    def erased(instance: Instance, group: Sequence[StoredTakedown]) -> Any:
        worker = threading.Thread(
            target=lambda: done.append(str(purge_document.purge_document(instance, group[0].id).state)), name="worker"
        )
        worker.start()
        workers.append(worker)
        # Within one transaction a look at the other sessions is remembered.
        with instance.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            until = monotonic() + 60
            while not connection.execute(text(ASKED)).scalar_one():
                assert monotonic() < until, "the worker never asked for the lock"
                sleep(0.01)
        return erase(instance, group)

    monkeypatch.setattr(purge_document, "_erase", erased)
    state = taken_down(bank).state
    workers[0].join(60)
    assert done == [str(state)]


def test_a_purge_that_waited_long_enough_says_for_whom_and_is_tried_again(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "_OLDER_S", 0.2)
    with bank.instance.engine.connect() as older:
        reads(older)
        with pytest.raises(Unavailable, match=r"pilotage, process \d+ may still read") as refused:
            taken_down(bank)
    assert refused.value.code == "PURGE_WAITS"
    with bank.instance.engine.connect() as connection:
        states = connection.execute(text("SELECT state FROM takedown")).scalars().all()
    assert states == ["hidden"]
