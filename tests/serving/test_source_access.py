"""With `recheck` the source has the last word at query time; whatever is not a yes is a no (serving.md 2.5)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.serving.shelf import Shelf, make_shelf

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage, Recheck
from pilotage.ledger.entry import decode_entry
from pilotage.release.content import CorpusPin
from pilotage.release.generation import GenerationRequest
from pilotage.serving.context import Asker, Bearer
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.retriever import RetrieverParts, StoreRetriever
from pilotage.serving.source_access import SourceAccess
from pilotage.store.engine import psycopg_url
from pilotage.store.serving_pool import Pool, make_pool
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Plan, content

pytestmark = pytest.mark.anyio
CORPUS, NAMES = CorpusName("policies"), frozenset({"group:everyone"})


@dataclass(slots=True)
class Says:
    """A source that allows these documents, after `wait_s`, or breaks."""

    allowed: set[str] = field(default_factory=set)
    wait_s: float = 0.0
    breaks: bool = False
    asked: list[tuple[frozenset[str], tuple[str, ...]]] = field(default_factory=list)

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        self.asked.append((names, tuple(ids)))
        if self.breaks:
            message = "The source is away."
            raise OSError(message)
        time.sleep(self.wait_s)
        return {one: one in self.allowed for one in ids if one != "unknown"}


@dataclass(slots=True)
class Now:
    at: float = 100.0

    def __call__(self) -> float:
        return self.at


async def test_every_document_is_asked_for_in_one_batch_and_what_is_no_yes_is_denied() -> None:
    source = Says(allowed={"a", "b"})
    access = SourceAccess({CORPUS: source}, monotonic=Now())
    assert await access.denied("local|maria", NAMES, CORPUS, ["a", "c", "b", "unknown", "a"]) == {"c", "unknown"}
    assert source.asked == [(NAMES, ("a", "c", "b", "unknown"))]


async def test_a_yes_is_kept_for_a_minute_for_its_asker_alone_and_a_no_never() -> None:
    source, now = Says(allowed={"a"}), Now()
    access = SourceAccess({CORPUS: source}, monotonic=now)
    for who in ("local|maria", "local|maria", "local|omar"):
        assert await access.denied(who, NAMES, CORPUS, ["a", "b"]) == {"b"}
    assert [ids for _, ids in source.asked] == [("a", "b"), ("b",), ("a", "b")]
    now.at += 59.9
    assert await access.denied("local|maria", NAMES, CORPUS, ["a"]) == frozenset()
    now.at += 0.1
    source.allowed.clear()
    assert await access.denied("local|maria", NAMES, CORPUS, ["a"]) == {"a"}


@pytest.mark.parametrize("source", [Says(breaks=True), Says(allowed={"a"}, wait_s=0.5), None])
async def test_a_source_that_breaks_is_late_or_is_not_there_denies(source: Says | None) -> None:
    sources = {} if source is None else {CORPUS: source}
    access = SourceAccess(sources, monotonic=Now(), deadline_s=0.05)
    assert await access.denied("local|maria", NAMES, CORPUS, ["a"]) == {"a"}


OPEN, CLOSED = "Errors are resolved within ten business days.", "Errors of the merger stay with the board."


@pytest.fixture
def shelf(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    shelf = make_shelf(engine, tmp_path, request.node.name, {"open.txt": OPEN, "closed.txt": CLOSED})
    yield shelf
    shelf.close()


def quote(request: GenerationRequest) -> str:
    return " ".join(f"{passage.text} [{passage.marker}]" for passage in request.passages) or "Nothing."


@asynccontextmanager
async def at_desk(
    shelf: Shelf,
    pool: Pool,
    recheck: Recheck,
    access: SourceAccess | None,
    reply: Callable[[GenerationRequest], str] = quote,
) -> AsyncIterator[Desk]:
    """Open a desk over the real retriever."""
    pin = CorpusPin(name=shelf.name, version=1, digest=digest_of(b""), documents=2, chunks=2)
    indexes = shelf.indexes()
    await indexes.refresh(shelf.name)
    async with opened(Plan(model=FakeModel(reply=reply), content=content(corpora={DataStage.UAT: pin}))) as desk:
        corpora = {name: replace(one, recheck=recheck) for name, one in shelf.corpora.items()}
        workspace = replace(desk.path.serving.workspace, corpora=corpora)
        parts = RetrieverParts(workspace=workspace, indexes=indexes, pool=pool, clock=shelf.bank.clock, access=access)
        desk.path.serving = replace(desk.path.serving, retriever=StoreRetriever(parts), workspace=workspace)
        desk.pipeline = Pipeline(desk.path.serving)
        yield desk


async def asked(shelf: Shelf, url: str, recheck: Recheck, source: Says | None) -> object:
    """Ask over the real retriever."""
    access = None if source is None else SourceAccess({shelf.name: source}, monotonic=Now())
    async with make_pool(psycopg_url(url)) as pool, at_desk(shelf, pool, recheck, access) as desk:
        return (await desk.ask()).result


@pytest.mark.feature("RI.7")
@pytest.mark.store
@pytest.mark.parametrize("recheck", [Recheck.CITED, Recheck.ALL])
async def test_what_the_source_denies_never_reaches_prompt_or_answer(
    shelf: Shelf, database_url: str, recheck: Recheck
) -> None:
    answer = await asked(shelf, database_url, recheck, Says(allowed={"open.txt"}))
    assert "ten business days" in answer.text  # type: ignore[attr-defined]
    assert "merger" not in answer.text  # type: ignore[attr-defined]


@pytest.mark.store
async def test_without_recheck_the_source_is_not_asked(shelf: Shelf, database_url: str) -> None:
    source = Says()
    answer = await asked(shelf, database_url, Recheck.OFF, source)
    assert "ten business days" in answer.text  # type: ignore[attr-defined]
    assert source.asked == []


@pytest.mark.store
async def test_where_no_source_has_a_say_nobody_reads(shelf: Shelf, database_url: str) -> None:
    answer = await asked(shelf, database_url, Recheck.ALL, None)
    assert "business days" not in getattr(answer, "text", "")


@pytest.mark.store
async def test_a_source_that_says_no_after_the_prompt_keeps_the_answer_back_and_is_no_defect(
    shelf: Shelf, database_url: str
) -> None:
    source, now, prompts = Says(allowed={"open.txt", "closed.txt"}), Now(), list[int]()

    def reply(request: GenerationRequest) -> str:
        prompts.append(len(request.passages))
        source.allowed.clear()
        now.at += 61.0
        return quote(request)

    access = SourceAccess({shelf.name: source}, monotonic=now)
    async with (
        make_pool(psycopg_url(database_url)) as pool,
        at_desk(shelf, pool, Recheck.ALL, access, reply) as desk,
    ):
        answer = await desk.answer()
        await desk.path.serving.recorder.stop()
        kinds = {decode_entry(rows.entry.bytes).kind for rows in desk.path.sink.rows}
    assert prompts == [2, 0]  # asked again, and nothing is left to show
    assert (answer.text, answer.cited) == ("Nothing.", ())
    assert "incident.opened" not in kinds


@dataclass(slots=True)
class Watching(Says):
    """Notes how many connections nobody holds while it is asked."""

    pool: Pool | None = None
    free: list[int] = field(default_factory=list)

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        assert self.pool is not None
        self.free.append(self.pool.get_stats()["pool_available"])
        return Says.check_access(self, names, ids)


@pytest.mark.store
async def test_no_connection_is_held_while_the_source_is_asked(shelf: Shelf, database_url: str) -> None:
    source, now = Watching(allowed={"open.txt"}), Now()
    access = SourceAccess({shelf.name: source}, monotonic=now)
    async with (
        make_pool(psycopg_url(database_url), size=1) as source.pool,
        at_desk(shelf, source.pool, Recheck.ALL, access) as desk,
    ):
        [cited] = (await desk.answer()).cited
        serving = desk.path.serving
        asker = await serving.authenticator.authenticate(Bearer(token="maria"), at=serving.clock.now())
        assert isinstance(asker, Asker)
        now.at += 61.0
        assert await serving.retriever.may_see(asker, [(shelf.name, cited.rev, cited.ordinal)])
        now.at += 61.0
        source.allowed.clear()
        assert not await serving.retriever.may_see(asker, [(shelf.name, cited.rev, cited.ordinal)])
    assert len(source.free) >= 3
    assert set(source.free) == {1}
