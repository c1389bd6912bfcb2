"""cache_isolation (serving.md 9.17): askers share a kept answer only while the store shows both of them the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from sqlalchemy import Engine, text
from tests.serving.policies import Reader
from tests.serving.shelf import Shelf, make_shelf

from pilotage.core.digest import digest_of
from pilotage.corpus.settings import DataStage
from pilotage.corpus.settings import Recheck as Rechecked
from pilotage.guard.policy import CacheMode, GuardPolicy, StreamMode
from pilotage.ledger.entry import decode_entry
from pilotage.release.content import CorpusPin
from pilotage.release.generation import GenerationRequest
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.context import Answer
from pilotage.serving.indexes import Indexes, IndexName
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Code
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.store.engine import psycopg_url
from pilotage.store.serving_pool import make_pool
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Plan, content, person

pytestmark = [pytest.mark.anyio, pytest.mark.store]

OPEN, SECRET = "Errors are resolved within ten business days.", "Errors of the merger stay with the board."


def quote(request: GenerationRequest) -> str:
    """A model that repeats everything it sees."""
    return " ".join(f"{passage.text} [{passage.marker}]" for passage in request.passages) or "Nothing."


def sharing(mode: CacheMode = CacheMode.SHARED, stream: StreamMode = StreamMode.BUFFER) -> GuardPolicy:
    return GuardPolicy(version=1, stream=stream, checks=(), cache=mode)


@dataclass
class Counter:
    """A desk over the real index and store; `lena` and `maria` see the same, `boris` sits on the board."""

    desk: Desk
    indexes: Indexes
    model: FakeModel
    cache: AnswerCache

    async def ask(self, token: str = "maria", **asked: Any) -> tuple[str, bool]:
        """Return the text and whether it was given before."""
        answer = await self.desk.answer(token=token, **asked)
        return answer.text, answer.cached


@pytest.fixture
def shelf(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    shelf = make_shelf(engine, tmp_path, request.node.name, {"open.txt": OPEN})
    shelf.texts["secret.txt"] = SECRET
    shelf.readers["secret.txt"] = ["group:board"]
    shelf.publish()
    yield shelf
    shelf.close()


@asynccontextmanager
async def serving(shelf: Shelf, url: str, policy: GuardPolicy | None = None, **plan: Any) -> AsyncIterator[Counter]:
    pin = CorpusPin(name=shelf.name, version=2, digest=digest_of(b"v2"), documents=2, chunks=2)
    model, cache = FakeModel(reply=quote), AnswerCache()
    indexes = shelf.indexes(moved=cache.moved)
    async with make_pool(psycopg_url(url)) as pool:
        await indexes.refresh(shelf.name)
        made = content(corpora={DataStage.UAT: pin}, guard=policy or sharing())
        async with opened(Plan(model=model, content=made, **plan)) as desk:
            names = {"lena": person("lena", "lending"), "boris": person("boris", "board"), "maria": person("maria")}
            desk.path.authenticator.principals |= names
            workspace = replace(desk.path.serving.workspace, corpora=shelf.corpora)
            parts = RetrieverParts(workspace=workspace, indexes=indexes, pool=pool, clock=shelf.bank.clock)
            retriever = StoreRetriever(parts)
            desk.path.serving = replace(desk.path.serving, retriever=retriever, workspace=workspace, cache=cache)
            desk.pipeline = Pipeline(desk.path.serving)
            yield Counter(desk=desk, indexes=indexes, model=model, cache=cache)


@pytest.mark.feature("RI.9")
async def test_cache_isolation_askers_share_an_entry_only_with_equal_visible_sets(
    shelf: Shelf, database_url: str
) -> None:
    async with serving(shelf, database_url) as counter:
        text, _ = await counter.ask("boris")
        assert "merger" in text
        mine = await counter.ask("maria")
        assert mine == (f"{OPEN} [1]", False)
        assert await counter.ask("lena") == (f"{OPEN} [1]", True)
        assert await counter.ask("boris") == (text, True)
        assert len(counter.model.requests) == 2
        assert (counter.cache.hits, counter.cache.misses, len(counter.cache)) == (2, 2, 2)


async def test_a_private_cache_gives_an_answer_to_its_own_asker_only(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url, sharing(CacheMode.PRIVATE)) as counter:
        given = [(await counter.ask(name))[1] for name in ("maria", "lena", "maria", "lena")]
    assert given == [False, False, True, True]


async def test_nothing_is_kept_unless_the_release_says_so(shelf: Shelf, database_url: str) -> None:
    off = GuardPolicy(version=1, stream=StreamMode.BUFFER, checks=())
    async with serving(shelf, database_url, off) as counter:
        assert [(await counter.ask())[1] for _ in range(2)] == [False, False]
        assert (len(counter.cache), counter.cache.misses) == (0, 0)


async def test_a_restart_empties_the_cache(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as counter:
        assert [(await counter.ask())[1] for _ in range(2)] == [False, True]
    async with serving(shelf, database_url) as counter:
        assert (await counter.ask())[1] is False


def take_down(shelf: Shelf) -> None:
    shelf.take_down("open.txt")


def revoke(shelf: Shelf) -> None:
    shelf.revoke("open.txt")


@pytest.mark.feature("RI.9")
@pytest.mark.parametrize("change", [take_down, revoke])
@pytest.mark.parametrize("hears", [True, False])
async def test_revoked_between_no_hit_yields_text_after_the_command_has_returned(
    shelf: Shelf, database_url: str, change: Callable[[Shelf], None], *, hears: bool
) -> None:
    """Not even in a process that has heard nothing: the last wall reads the store for every hit."""
    async with serving(shelf, database_url) as counter:
        await counter.ask("maria")
        await counter.ask("boris")
        assert len(counter.cache) == 2
        await asyncio.to_thread(change, shelf)
        if hears:
            await counter.indexes.catch_up()
            assert (len(counter.cache), counter.cache.bytes) == (0, 0)
            assert await counter.ask("lena") == ("Nothing.", False)
        else:
            refusal = await counter.desk.refusal(token="lena")
            assert refusal.code is Code.PERMISSION_CHANGED
            assert len(counter.cache) == 0, "whatever rests on the lost passage is forgotten, boris's answer too"
        await counter.indexes.catch_up()
        board, was_given = await counter.ask("boris")
    assert (board, was_given) == (f"{SECRET} [1]", False)


async def test_an_answer_is_not_given_again_when_more_may_be_seen_since(shelf: Shelf, database_url: str) -> None:
    """No passage is lost, and yet the answer would be another one."""
    async with serving(shelf, database_url) as counter:
        await counter.ask("maria")
        shelf.readers["secret.txt"] = ["group:everyone"]
        await asyncio.to_thread(shelf.publish)
        assert (await counter.ask("maria"))[1] is False, "this process has heard nothing yet"
        await counter.indexes.catch_up()
        after, was_given = await counter.ask("maria")
        assert not was_given
        assert "merger" in after


async def test_an_answer_on_its_way_while_permissions_moved_is_not_kept(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as counter:
        turns: list[asyncio.Future[None]] = []

        def gate() -> asyncio.Future[None]:
            turns.append(asyncio.get_running_loop().create_future())
            return turns[-1]

        counter.model.gate = gate
        asking = asyncio.create_task(counter.ask("maria"))
        while not turns:  # noqa: ASYNC110 - the model counts its turns, it has no event
            await asyncio.sleep(0.005)
        shelf.readers["secret.txt"] = ["group:nobody"]
        await asyncio.to_thread(shelf.publish)
        await counter.indexes.catch_up()
        turns[0].set_result(None)
        assert await asking == (f"{OPEN} [1]", False)
        assert len(counter.cache) == 0


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("effective_from", f"{OPEN} [1]", "merger"),
        ("effective_to", "merger", f"{OPEN} [1]"),
        ("retained_until", "merger", f"{OPEN} [1]"),
    ],
)
async def test_a_date_of_a_visible_document_ends_the_answer(
    shelf: Shelf, database_url: str, engine: Engine, column: str, before: str, after: str
) -> None:
    """At midnight of the organisation, though the answer is only two minutes old."""
    day = date(2026, 3, 2) if column == "retained_until" else date(2026, 3, 3)
    with engine.begin() as connection:
        values = {"day": day, "corpus": shelf.name}
        statement = f"UPDATE revision SET {column} = :day WHERE corpus = :corpus AND document = 'secret.txt'"
        connection.execute(text(statement), values)
    async with serving(shelf, database_url) as counter:
        clock = counter.desk.path.clock
        clock.advance(timedelta(hours=14, minutes=59))
        first, _ = await counter.ask("boris")
        assert before in first
        clock.advance(timedelta(seconds=59))
        assert await counter.ask("boris") == (first, True)
        counter.cache.sweep(clock.now() + timedelta(seconds=1))
        assert len(counter.cache) == 0
        clock.advance(timedelta(seconds=1))
        then, was_given = await counter.ask("boris")
        assert not was_given
        assert after in then


async def test_answers_of_another_day_length_region_or_conversation_are_others(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as counter:
        await counter.ask()
        counter.desk.path.authenticator.principals["otto"] = person("otto", region="us")
        for other in (
            {"as_of": date(2026, 3, 1)},
            {"max_tokens": 5},
            {"token": "otto"},
            {"question": "How are errors resolved?"},
        ):
            assert (await counter.ask(**other))[1] is False, other
            assert (await counter.ask(**other))[1] is True, other
        assert (await counter.ask(as_of=date(2026, 3, 2)))[1] is True, "today said aloud is today"


async def test_a_corpus_whose_source_is_asked_for_everything_is_never_kept(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as counter:
        workspace = counter.desk.path.serving.workspace
        strict = {name: replace(one, recheck=Rechecked.ALL) for name, one in workspace.corpora.items()}
        path = replace(counter.desk.path.serving, workspace=replace(workspace, corpora=strict))
        counter.desk.pipeline = Pipeline(path)
        assert [(await counter.ask())[1] for _ in range(2)] == [False, False]
        assert len(counter.cache) == 0


@pytest.mark.parametrize("stream", list(StreamMode))
async def test_streamed_and_whole_answers_give_equal_text(shelf: Shelf, database_url: str, stream: StreamMode) -> None:
    async with serving(shelf, database_url, sharing(stream=stream)) as counter:
        first = Reader()
        finished = await counter.desk.ask(token="maria", sink=first, stream=True)
        assert isinstance(finished.result, Answer)
        assert not finished.result.cached
        again = Reader()
        given = (await counter.desk.ask(token="lena", sink=again, stream=True)).result
        assert isinstance(given, Answer)
        assert given.cached
        assert again.release == given.release
        assert first.text == again.text == given.text == (await counter.ask("maria"))[0] == f"{OPEN} [1]"


async def test_a_hit_that_the_wall_stops_although_nothing_moved_is_an_incident(shelf: Shelf, database_url: str) -> None:
    """One bit too many in an index gave the board's answer to somebody else; the store knows better."""
    async with serving(shelf, database_url) as counter:
        await counter.ask("boris")
        held = counter.indexes.snapshot(shelf.name)
        assert held is not None
        rev = next(rev for rev, name in held.visibility.documents.items() if name == b"secret.txt")
        everyone = held.visibility.principals["group:everyone"] | BitMap([rev])
        wrong = replace(held.visibility, principals={**held.visibility.principals, "group:everyone": everyone})
        counter.indexes._snapshots[IndexName(shelf.name)] = held.under(wrong)
        refusal = await counter.desk.refusal(token="maria")
        assert refusal.code is Code.INTERNAL
        assert "merger" not in refusal.message
        assert len(counter.cache) == 0
        await counter.desk.path.serving.recorder.stop()
        entries = [decode_entry(rows.entry.bytes) for rows in counter.desk.path.sink.rows]
    [incident] = [one for one in entries if one.kind == "incident.opened"]
    assert (incident.data["cause"], incident.data["lost"]) == ("permission_wall", 1)


async def test_an_index_that_is_not_loaded_gives_nothing_again(shelf: Shelf, database_url: str) -> None:
    async with serving(shelf, database_url) as counter:
        await counter.ask()
        counter.indexes._snapshots.clear()
        assert (await counter.desk.refusal(token="maria")).code is Code.INDEX_NOT_READY
