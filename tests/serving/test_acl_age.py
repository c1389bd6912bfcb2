"""ACLs past their age: refused where they hide everything, at the wall too; a confirmation reaches every process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path as Folder
from typing import Any

import pytest
from pyroaring import BitMap
from sqlalchemy import Engine, text
from tests.retrieval.small_index import NOW, Doc, asking, snapshot_of
from tests.serving.shelf import Shelf, make_shelf
from tests.serving.test_indexes import running as keeping_up
from tests.serving.test_wall import quote
from tests.serving.waiting import until

from pilotage.core.digest import digest_of
from pilotage.corpus.settings import DataStage
from pilotage.evaluation.overlay import OverlayDocument
from pilotage.guard.policy import CacheMode, GuardPolicy, StreamMode
from pilotage.ledger.entry import decode_entry
from pilotage.release.content import CorpusPin
from pilotage.release.generation import GenerationRequest
from pilotage.retrieval.allowed import allow
from pilotage.retrieval.snapshot import View
from pilotage.retrieval.standing import Standing
from pilotage.serving.context import Asker, Bearer
from pilotage.serving.indexes import Indexes, IndexName
from pilotage.serving.overlay_retriever import FIRST_REV, laid_over
from pilotage.serving.refusal import Code
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.store.engine import psycopg_url
from pilotage.store.notify import Channel, Heard, Listener
from pilotage.store.serving_pool import make_pool
from pilotage.testing.desk import Desk
from pilotage.testing.gateway import Running, chat, running
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Path, Plan, content, make_path

pytestmark = [pytest.mark.anyio, pytest.mark.store]

AGE, TICK = timedelta(hours=1), timedelta(microseconds=1)
ERRORS, WIRES = "Errors are resolved within ten business days.", "Errors of wires are resolved at once."


@pytest.fixture
def shelf(engine: Engine, tmp_path: Folder, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    made = make_shelf(engine, tmp_path, request.node.name, {"errors.txt": ERRORS})
    made.bank.declare(replace(made.corpora[made.name], acl_max_age_s=int(AGE.total_seconds())))
    yield made
    made.close()


@asynccontextmanager
async def serving(
    shelf: Shelf, url: str, *, version: int = 1, cache: CacheMode = CacheMode.OFF
) -> AsyncIterator[tuple[Path, Indexes, FakeModel]]:
    """A path over the real retriever, index and store; its clock is the shelf's."""
    pin = CorpusPin(name=shelf.name, version=version, digest=digest_of(b""), documents=1, chunks=1)
    model, indexes = FakeModel(reply=quote), shelf.indexes()
    async with make_pool(psycopg_url(url)) as pool:
        await indexes.refresh(shelf.name)
        guard = GuardPolicy(version=1, stream=StreamMode.BUFFER, checks=(), cache=cache)
        path = make_path(Plan(model=model, content=content(corpora={DataStage.UAT: pin}, guard=guard)))
        workspace = replace(path.serving.workspace, corpora=shelf.corpora)
        parts = RetrieverParts(workspace=workspace, indexes=indexes, pool=pool, clock=shelf.bank.clock)
        path.serving = replace(path.serving, workspace=workspace, retriever=StoreRetriever(parts))
        yield path, indexes, model


@asynccontextmanager
async def at_desk(
    shelf: Shelf, url: str, *, version: int = 1, cache: CacheMode = CacheMode.OFF
) -> AsyncIterator[tuple[Desk, Indexes, FakeModel]]:
    async with serving(shelf, url, version=version, cache=cache) as (path, indexes, model):
        await path.serving.recorder.start()
        try:
            yield Desk(path), indexes, model
        finally:
            await path.serving.recorder.stop()


def decided(indexes: Indexes, shelf: Shelf, version: int = 1) -> View:
    snapshot = indexes.snapshot(shelf.name)
    assert snapshot is not None
    return snapshot.view(asking("group:everyone", version=version, at=shelf.bank.clock.now()))


async def test_an_answer_is_given_up_to_the_last_moment_and_refused_after_it(shelf: Shelf, database_url: str) -> None:
    async with at_desk(shelf, database_url) as (desk, _, model):
        shelf.bank.clock.advance(AGE)
        assert ERRORS in (await desk.answer()).text
        shelf.bank.clock.advance(TICK)
        refusal = await desk.refusal()
        assert (refusal.code, refusal.status, refusal.wait_s) == (Code.ACL_STALE, 503, 60)
        assert len(model.requests) == 1


async def test_what_is_stale_counts_for_nothing_and_the_rest_is_answered_from(
    shelf: Shelf, database_url: str, engine: Engine
) -> None:
    shelf.texts["wires.txt"] = WIRES
    version = shelf.publish()
    shelf.bank.clock.advance(AGE + TICK)
    with engine.begin() as connection:  # as a source does that knows of this one document only
        confirm = "UPDATE document SET acl_confirmed_at = :at WHERE corpus = :c AND id = 'wires.txt'"
        connection.execute(text(confirm), {"at": shelf.bank.clock.now(), "c": shelf.name})
    async with at_desk(shelf, database_url, version=version) as (desk, indexes, _):
        answer = await desk.answer()
        assert WIRES in answer.text
        assert ERRORS not in answer.text
        assert decided(indexes, shelf, version).chunks == 1


async def test_the_body_over_http_is_that_of_every_outage(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as (path, _, _), running(path=path) as up:
        shelf.bank.clock.advance(AGE + TICK)
        response, body = await _post(up)
    assert response == (503, "60")
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["type"]) == ("acl_stale", "server_error")


async def test_over_http_nobody_learns_that_there_was_something_they_never_saw(shelf: Shelf, database_url: str) -> None:
    shelf.readers["errors.txt"] = ["group:lending"]
    shelf.publish()
    async with serving(shelf, database_url) as (path, _, _), running(path=path) as up:
        before = await _post(up, token="omar")
        shelf.bank.clock.advance(AGE + TICK)
        after = await _post(up, token="omar")
        assert (await _post(up))[0] == (503, "60")
    for (status, _), body in (before, after):
        assert status == 200
        assert body["choices"][0]["message"]["content"] == "Nothing."


async def _post(up: Running, token: str = "maria") -> tuple[tuple[int, str | None], dict[str, Any]]:
    response, body = await up.post(chat(), token=token)
    return (response.status, response.headers.get("retry-after")), body


async def test_the_wall_fires_where_the_index_holds_a_stale_document(shelf: Shelf, database_url: str) -> None:
    async with at_desk(shelf, database_url) as (desk, indexes, model):
        shelf.bank.clock.advance(AGE + TICK)
        snapshot = indexes.snapshot(shelf.name)
        assert snapshot is not None
        assert snapshot.visibility.standing is not None
        wrong = Standing(
            confirmations=snapshot.visibility.standing.confirmations,
            moments=(shelf.bank.clock.now() + AGE,),
            revisions=(BitMap(snapshot.visibility.live),),
        )
        indexes._snapshots[IndexName(shelf.name)] = snapshot.under(replace(snapshot.visibility, standing=wrong))
        refusal = await desk.refusal()
        await desk.path.serving.recorder.stop()
        entries = [decode_entry(rows.entry.bytes) for rows in desk.path.sink.rows]
    assert refusal.code is Code.INTERNAL
    assert model.requests == []
    [incident] = [entry for entry in entries if entry.kind == "incident.opened"]
    assert (incident.data["cause"], incident.data["lost"]) == ("permission_wall", 1)


async def test_what_goes_stale_under_the_answer_discards_it_without_an_alarm(shelf: Shelf, database_url: str) -> None:
    async with at_desk(shelf, database_url) as (desk, _, model):

        def late(request: GenerationRequest) -> str:
            shelf.bank.clock.advance(AGE + TICK)
            return quote(request)

        model.reply = late
        refusal = await desk.refusal()
        await desk.path.serving.recorder.stop()
        kinds = {decode_entry(rows.entry.bytes).kind for rows in desk.path.sink.rows}
    assert refusal.code is Code.ACL_STALE
    assert "incident.opened" not in kinds


async def test_a_kept_answer_is_not_given_again_past_the_age(shelf: Shelf, database_url: str) -> None:
    async with at_desk(shelf, database_url) as (desk, _, _):
        [cited] = (await desk.answer()).cited
        serving = desk.path.serving
        asker = await serving.authenticator.authenticate(Bearer(token="maria"), at=serving.clock.now())
        assert isinstance(asker, Asker)
        refs = [(shelf.name, cited.rev, cited.ordinal)]
        assert await serving.retriever.may_see(asker, refs)
        shelf.bank.clock.advance(AGE + TICK)
        assert not await serving.retriever.may_see(asker, refs)


async def test_an_unchanged_refresh_reaches_a_running_process_by_its_notification(
    shelf: Shelf, database_url: str
) -> None:
    listening, told = asyncio.Event(), asyncio.Event()
    async with at_desk(shelf, database_url) as (desk, indexes, _):

        async def heard(message: Heard) -> None:
            indexes.hear(message.payload)
            told.set()

        async def resync() -> None:
            listening.set()

        listener = asyncio.create_task(Listener(database_url, [Channel.CORPUS], heard, resync).run())
        await listening.wait()
        shelf.bank.clock.advance(AGE + TICK)
        assert (await desk.refusal()).code is Code.ACL_STALE
        before = indexes.snapshot(shelf.name)
        assert before is not None
        assert await asyncio.to_thread(shelf.publish) == 1
        async with asyncio.timeout(60):
            await told.wait()
        listener.cancel()
        await asyncio.wait({listener})
        assert indexes._heard == {shelf.name}
        await indexes.catch_up()
        after = indexes.snapshot(shelf.name)
        assert after is not None
        assert after.segments is before.segments
        assert after.visibility.generation == before.visibility.generation
        assert ERRORS in (await desk.answer()).text


async def test_a_lost_notification_of_a_confirmation_is_made_up_for_by_the_poll(shelf: Shelf) -> None:
    async with keeping_up(shelf.indexes()) as indexes:
        await until(lambda: indexes.is_ready(shelf.name, 1))
        shelf.bank.clock.advance(AGE + TICK)
        assert decided(indexes, shelf).allowed.is_stale
        await asyncio.to_thread(shelf.publish)
        await until(lambda: decided(indexes, shelf).chunks == 1)


async def test_a_process_that_starts_after_the_confirmation_knows_of_it(shelf: Shelf) -> None:
    shelf.bank.clock.advance(AGE + TICK)
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    assert decided(indexes, shelf).allowed.is_stale
    shelf.publish()
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    assert decided(indexes, shelf).chunks == 1


async def test_a_confirmation_moves_nothing_in_a_corpus_without_a_limit(shelf: Shelf) -> None:
    shelf.bank.declare(replace(shelf.corpora[shelf.name], acl_max_age_s=None))
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    before, view = indexes.snapshot(shelf.name), decided(indexes, shelf)
    await asyncio.to_thread(shelf.publish)
    assert await indexes._moved() == []
    indexes.hear(f"{shelf.name}:0")
    await indexes.catch_up()
    assert indexes.snapshot(shelf.name) is before
    assert decided(indexes, shelf) is view


async def test_a_document_laid_over_a_corpus_does_not_age() -> None:
    late = NOW + AGE
    corpus = snapshot_of([Doc(id="a", rev=0, chunks=(("refund",),), stands_until=NOW)]).visibility
    overlay = OverlayDocument(id="laid", title="Laid", text="Over it.", acl=frozenset({"group:everyone"}))
    laid = laid_over(corpus, 1, {FIRST_REV: overlay})
    assert set(allow(laid, asking("group:everyone", at=NOW)).revisions) == {0, FIRST_REV}
    assert set(allow(laid, asking("group:everyone", at=late)).revisions) == {FIRST_REV}


async def test_an_answer_that_was_kept_is_not_given_past_the_age(shelf: Shelf, database_url: str) -> None:
    async with at_desk(shelf, database_url, cache=CacheMode.SHARED) as (desk, _, model):
        assert [(await desk.answer()).cached for _ in range(2)] == [False, True]
        shelf.bank.clock.advance(AGE + TICK)
        assert (await desk.refusal()).code is Code.ACL_STALE
        assert len(model.requests) == 1


async def test_the_kept_answer_of_who_sees_nothing_is_not_given_to_whom_everything_went_stale(
    shelf: Shelf, database_url: str
) -> None:
    shelf.readers["errors.txt"] = ["group:lending"]
    shelf.publish()
    async with at_desk(shelf, database_url, cache=CacheMode.SHARED) as (desk, _, _):
        shelf.bank.clock.advance(AGE + TICK)
        asked = [await desk.answer(token="omar") for _ in range(2)]
        assert [(one.text, one.cached) for one in asked] == [("Nothing.", False), ("Nothing.", True)]
        assert (await desk.refusal(token="maria")).code is Code.ACL_STALE
