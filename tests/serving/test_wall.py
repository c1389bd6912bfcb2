"""The last wall: whatever the index believes, no text leaves that the store does not show to the asker now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pyroaring import BitMap
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank
from tests.serving.shelf import Shelf, make_shelf

from pilotage.control.wall_incidents import open_wall_incidents
from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage
from pilotage.ledger.entry import decode_entry
from pilotage.release.content import CorpusPin
from pilotage.release.generation import GenerationRequest
from pilotage.retrieval.allowed import Visibility
from pilotage.serving.context import Asker, Bearer
from pilotage.serving.indexes import Indexes, IndexName
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.recorder import Recorder
from pilotage.serving.refusal import Code
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.store.engine import psycopg_url
from pilotage.store.hard_signs import Window
from pilotage.store.passages import Reader, fetch_passages, read_passages
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.serving_pool import make_pool
from pilotage.store.serving_records import RecordWriter
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Plan, content
from pilotage.workspace.records import MessageKind

pytestmark = [pytest.mark.anyio, pytest.mark.store]

OPEN, SECRET = "Errors are resolved within ten business days.", "Errors of the merger stay with the board."


def quote(request: GenerationRequest) -> str:
    """A model that repeats everything it sees."""
    return " ".join(f"{passage.text} [{passage.marker}]" for passage in request.passages) or "Nothing."


@pytest.fixture
def shelf(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    shelf = make_shelf(engine, tmp_path, request.node.name, {"open.txt": OPEN})
    shelf.texts["secret.txt"] = SECRET
    shelf.readers["secret.txt"] = ["group:board"]
    shelf.publish()
    yield shelf
    shelf.close()


@asynccontextmanager
async def serving(
    shelf: Shelf, url: str, *, version: int = 2, recorder: Recorder | None = None
) -> AsyncIterator[tuple[Desk, Indexes, FakeModel]]:
    """The pipeline over the real retriever, index and store; `maria` is no member of the board."""
    pin = CorpusPin(name=shelf.name, version=version, digest=digest_of(b""), documents=2, chunks=2)
    model = FakeModel(reply=quote)
    indexes = shelf.indexes()
    async with make_pool(psycopg_url(url)) as pool:
        await indexes.refresh(shelf.name)
        plan = Plan(model=model, content=content(corpora={DataStage.UAT: pin}), recorder=recorder)
        async with opened(plan) as desk:
            workspace = replace(desk.path.serving.workspace, corpora=shelf.corpora)
            parts = RetrieverParts(workspace=workspace, indexes=indexes, pool=pool, clock=shelf.bank.clock)
            retriever = StoreRetriever(parts)
            desk.pipeline = Pipeline(replace(desk.path.serving, retriever=retriever, workspace=workspace))
            yield desk, indexes, model


def _replace(indexes: Indexes, shelf: Shelf, visibility: Visibility) -> None:
    held = indexes.snapshot(shelf.name)
    assert held is not None
    indexes._snapshots[IndexName(shelf.name)] = held.under(visibility)


def _visibility(indexes: Indexes, shelf: Shelf) -> Visibility:
    held = indexes.snapshot(shelf.name)
    assert held is not None
    return held.visibility


def _rev(visibility: Visibility, document: bytes) -> int:
    return next(rev for rev, name in visibility.documents.items() if name == document)


async def test_an_answer_comes_from_what_the_asker_may_see(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as (desk, _, _):
        answer = await desk.answer()
        assert answer.corpus_version == 2
        assert "ten business days" in answer.text
        assert "board" not in answer.text


@pytest.mark.parametrize("mutated", ["readers", "version"])
async def test_wall_fires(shelf: Shelf, database_url: str, mutated: str) -> None:
    """One bit added to one bitmap: the index ranks a passage of another's, or of another version."""
    version = 2 if mutated == "readers" else 1
    async with serving(shelf, database_url, version=version) as (desk, indexes, model):
        honest = _visibility(indexes, shelf)
        bit = BitMap([_rev(honest, b"secret.txt")])
        everyone = honest.principals["group:everyone"] | bit
        readers = {**honest.principals, "group:everyone": everyone}
        versions = {**honest.versions, 1: honest.versions[1] | bit}
        if mutated == "readers":
            _replace(indexes, shelf, replace(honest, principals=readers))
        else:
            shelf.readers.clear()
            shelf.publish()  # everybody may read it now, but version 1 does not hold it
            await indexes.follow(shelf.name)
            _replace(indexes, shelf, replace(_visibility(indexes, shelf), versions=versions))
        refusal = await desk.refusal()
        await desk.path.serving.recorder.stop()
        entries = [decode_entry(rows.entry.bytes) for rows in desk.path.sink.rows]
    assert refusal.code is Code.INTERNAL
    assert "merger" not in refusal.message
    assert model.requests == []
    [incident] = [entry for entry in entries if entry.kind == "incident.opened"]
    assert (incident.data["cause"], incident.data["lost"]) == ("permission_wall", 1)


_FIRED = (  # by a request: an incident that was opened has an entry of the same kind
    "SELECT l.* FROM ledger_entry l JOIN interaction a ON a.id = l.subject WHERE l.kind = 'incident.opened'"
    " ORDER BY l.id LIMIT 1"
)
_AGAIN = {
    "interaction": "INSERT INTO interaction SELECT m.* FROM unnest(CAST(:made AS text[])) n (name),"
    f" interaction i JOIN ({_FIRED}) e ON e.subject = i.id,"
    " jsonb_populate_record(NULL::interaction, to_jsonb(i) || jsonb_build_object('id', n.name)) m",
    "ledger_entry": "INSERT INTO ledger_entry (id, kind, subject, bytes) SELECT e.id || n.name, e.kind, n.name, e.bytes"
    f" FROM unnest(CAST(:made AS text[])) n (name), ({_FIRED}) e",
}


def fired_again(engine: Engine, *, times: int) -> list[str]:
    """Let the wall fire again as it just did; return the interactions in order."""
    made = [f"again-{number}" for number in range(times)]
    with engine.begin() as connection:
        for table, statement in _AGAIN.items():
            assert connection.execute(text(statement), {"made": made}).rowcount == times, table
    return made


async def test_what_the_wall_caught_becomes_one_incident_that_people_see(
    shelf: Shelf, database_url: str, engine: Engine
) -> None:
    """The process records it; the next look over the records opens the incident, and pages once."""
    workspace = replace(bank(), corpora=shelf.corpora)
    instance = replace(shelf.bank.instance, workspace=workspace)
    recorder = Recorder(lambda: RecordWriter.connect(psycopg_url(database_url)), flush_s=0.01)
    async with serving(shelf, database_url, recorder=recorder) as (desk, indexes, _):
        honest = _visibility(indexes, shelf)
        bit = BitMap([_rev(honest, b"secret.txt")])
        readers = {**honest.principals, "group:everyone": honest.principals["group:everyone"] | bit}
        with engine.begin() as connection:
            pseudonyms = desk.path.serving.pseudonyms
            pseudonyms.given["local|maria"] = pseudonym_of(connection, "local|maria")  # type: ignore[attr-defined]
        await desk.answer()
        _replace(indexes, shelf, replace(honest, principals=readers))
        fired = [await desk.ask(), await desk.ask()]
        assert [getattr(one.result, "code", None) for one in fired] == [Code.INTERNAL] * 2
        assert await recorder.stop() == 0
        now = desk.path.clock.now()
        before = now - timedelta(minutes=5)
        window = Window(since=before, until=now + timedelta(minutes=1), written=before)
        told = []
        for _ in range(2):
            with engine.begin() as connection:
                told.append(open_wall_incidents(connection, instance, window, is_wide=True))
        assert told == [2, 0]
        again = fired_again(engine, times=7)
        told = []
        for is_wide in (False, True, True):  # people are at it: the rest is told once a minute, in one line
            with engine.begin() as connection:
                told.append(open_wall_incidents(connection, instance, window, is_wide=is_wide))
        assert told == [0, 7, 0]
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id, cause, severity, space, state FROM incident")).one()
        lines = connection.execute(text("SELECT text FROM incident_line ORDER BY number")).scalars().all()
        pages = connection.execute(text("SELECT count(*) FROM outbox WHERE payload->>'kind' = 'page'")).scalar_one()
    assert tuple(found)[1:] == ("permission_wall", "SEV1", "sandbox", "open")
    assert len(lines) == 2
    assert "2 interactions (" in lines[0]
    assert "7 interactions (" in lines[1]
    assert [one for one in again if one in lines[1]] == again[:5]
    assert pages == len([one for one in workspace.channels.values() if MessageKind.PAGE in one.kinds])


async def test_revocation_latency_without_any_notification(shelf: Shelf, database_url: str) -> None:
    """From the commit on no revoked text leaves, although this process hears nothing of it."""
    async with serving(shelf, database_url) as (desk, indexes, _):
        await desk.answer()
        shelf.revoke("open.txt")
        refusal = await desk.refusal()
        assert refusal.code is Code.PERMISSION_CHANGED
        await indexes.catch_up()
        answer = await desk.answer()
        assert answer.text == "Nothing."


async def test_a_takedown_between_retrieval_and_answer_discards_the_answer(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as (desk, _, model):

        def reply(request: GenerationRequest) -> str:
            if len(model.requests) == 1:
                shelf.take_down("open.txt")
            return quote(request)

        model.reply = reply
        refusal = await desk.refusal()
    assert refusal.code is Code.PERMISSION_CHANGED


async def test_a_record_names_only_passages_the_asker_may_still_see(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as (desk, indexes, _):
        revs = {name.decode(): rev for rev, name in _visibility(indexes, shelf).documents.items()}
        asker = await desk.path.serving.authenticator.authenticate(Bearer(token="maria"), at=desk.path.clock.now())
        assert isinstance(asker, Asker)
        retriever = desk.pipeline._serving.retriever
        mine, theirs = (shelf.name, revs["open.txt"], 0), (shelf.name, revs["secret.txt"], 0)
        assert await retriever.may_see(asker, [mine])
        assert not await retriever.may_see(asker, [mine, theirs])


async def test_an_index_that_is_not_loaded_refuses(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url, version=9) as (desk, _, _):
        assert (await desk.refusal()).code is Code.INDEX_NOT_READY


def test_a_service_reads_only_what_it_and_the_person_may_read(shelf: Shelf) -> None:
    with shelf.bank.instance.engine.connect() as connection:

        def seen(*names: str, also: tuple[str, ...] | None = None, version: int | None = 2) -> list[str]:
            reader = Reader(
                names=frozenset(names),
                confirmed_since=None,
                also=None if also is None else frozenset(also),
                version=version,
            )
            places = [(rev, 0) for rev in range(4)]
            return sorted(one.document for one in read_passages(connection, shelf.name, places, reader).values())

        assert seen("group:everyone") == ["open.txt"]
        assert seen("group:board", "group:everyone") == ["open.txt", "secret.txt"]
        assert seen("group:board", "group:everyone", also=("group:everyone",)) == ["open.txt"]
        assert seen("group:board", version=1) == []
        assert seen("group:board", version=3) == []
        assert seen("group:board", version=None) == ["secret.txt"]
        assert seen() == []


async def test_the_wall_tells_the_generation_also_when_it_shows_nothing(shelf: Shelf, database_url: str) -> None:
    async with make_pool(psycopg_url(database_url)) as pool, pool.connection() as connection:
        everybody = Reader(names=frozenset({"group:everyone", "group:board"}), confirmed_since=None, version=2)
        nobody = replace(everybody, names=frozenset())
        places = [(rev, 0) for rev in range(4)]
        shown, generation = await fetch_passages(connection, shelf.name, places, everybody)
        assert sorted(one.document for one in shown.values()) == ["open.txt", "secret.txt"]
        assert generation is not None
        assert await fetch_passages(connection, shelf.name, places, nobody) == ({}, generation)
        assert await fetch_passages(connection, CorpusName("no-such-shelf"), places, everybody) == ({}, None)


async def test_an_older_version_shows_nothing_taken_down_since_and_by_todays_permissions(
    shelf: Shelf, database_url: str
) -> None:
    """What a rollback returns to: version 1 held three documents that everybody could read."""
    texts = {name: f"Errors of the {name} take {days} days." for name, days in (("wires", 3), ("cards", 5))}
    shelf.texts |= {f"{name}.txt": text for name, text in texts.items()}
    older = shelf.publish()
    shelf.texts["later.txt"] = "Errors are rare now."
    shelf.publish()
    async with serving(shelf, database_url, version=older) as (desk, _, _):
        before = await desk.answer()
    shelf.take_down("wires.txt")
    shelf.revoke("cards.txt")
    async with serving(shelf, database_url, version=older) as (desk, _, _):
        after = await desk.answer()
    assert after.corpus_version == older
    assert {text for text in texts.values() if text in before.text} == set(texts.values())
    assert OPEN in after.text
    assert not any(text in after.text for text in texts.values())
    assert "rare" not in after.text
