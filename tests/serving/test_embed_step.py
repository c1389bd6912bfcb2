"""The question's vector: what the embedding model is asked, and what a request gets when it does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pilotage.adapters.embeddings.openai_compatible import OpenAICompatibleEmbedder
from pilotage.core.errors import Unavailable
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.embedder import Embedder
from pilotage.retrieval.settings import CorpusRef, Embedding, RetrievalSettings
from pilotage.serving.health_checks import HealthChecks
from pilotage.serving.refusal import Code
from pilotage.store.serving_reports import ReportRow
from pilotage.testing.desk import QUESTION, Desk, opened
from pilotage.testing.embeddings import DIMENSION, EmbeddingServer, FakeEmbedder
from pilotage.testing.serving_path import CORPUS, Plan, content

pytestmark = pytest.mark.anyio
SETTINGS = Embedding(model="bag-1", dimension=DIMENSION, endpoint="http://127.0.0.1:1/v1/embeddings", timeout_s=0.05)
RETRIEVAL = RetrievalSettings(corpora={DataStage.UAT: CorpusRef(name=CORPUS)}, embedding=SETTINGS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Hanging(FakeEmbedder):
    """A model that never answers a question."""

    async def question(self, text: str) -> F32:
        await asyncio.sleep(60)
        return await super().question(text)


@asynccontextmanager
async def desk_with(embedder: Embedder | None, retrieval: RetrievalSettings = RETRIEVAL) -> AsyncIterator[Desk]:
    async with opened(Plan(content=content(retrieval=retrieval))) as desk:
        table = desk.path.routing.current
        releases = {digest: replace(one, embedder=embedder) for digest, one in table.releases.items()}
        desk.path.routing.current = replace(table, releases=releases)
        yield desk


async def test_the_model_is_asked_for_the_question_once() -> None:
    embedder = FakeEmbedder()
    async with desk_with(embedder) as desk:
        await desk.answer(QUESTION)
    assert embedder.asked == [QUESTION]


@pytest.mark.parametrize(
    ("embedder", "code"),
    [
        (Hanging(), Code.UPSTREAM_TIMEOUT),
        (FakeEmbedder(failure=Unavailable("upstream_timeout", "Late.")), Code.UPSTREAM_TIMEOUT),
        (FakeEmbedder(failure=Unavailable("upstream_failed", "Down.")), Code.UPSTREAM_FAILED),
        (FakeEmbedder(failure=Unavailable("secret_missing", "No key.")), Code.UPSTREAM_FAILED),
        (FakeEmbedder(gives=lambda _: [0.0] * DIMENSION), Code.UPSTREAM_FAILED),
        (FakeEmbedder(gives=lambda _: [1.0] * (DIMENSION + 1)), Code.UPSTREAM_FAILED),
        (None, Code.UPSTREAM_FAILED),
    ],
    ids=["hangs", "late", "down", "no key", "no direction", "another dimension", "not loaded"],
)
async def test_without_a_vector_there_is_no_answer_by_words_alone(embedder: Embedder | None, code: Code) -> None:
    async with desk_with(embedder) as desk:
        refusal = await desk.refusal(QUESTION)
        await desk.path.serving.recorder.stop()
        [rows] = desk.path.sink.rows
    assert refusal.code is code
    assert rows.interaction is not None
    assert rows.interaction["code"] == code.value
    assert "secret" not in refusal.message


async def test_a_model_that_is_always_late_is_left_alone_for_a_while() -> None:
    """Its own deadline is the one that counts: a call cut off from outside would tell it nothing."""
    with EmbeddingServer() as server:
        server.wait = lambda: time.sleep(0.2)
        settings = replace(SETTINGS, endpoint=server.url, timeout_s=0.05)
        retrieval = replace(RETRIEVAL, embedding=settings)
        embedder = OpenAICompatibleEmbedder(settings, root=Path("/nonexistent"))
        async with desk_with(embedder, retrieval) as desk:
            late = {(await desk.refusal(QUESTION)).code for _ in range(20)}
            refused = await desk.refusal(QUESTION)
            await embedder.close()
    assert late == {Code.UPSTREAM_TIMEOUT}
    assert refused.code is Code.UPSTREAM_FAILED  # at once: nobody is asked


class Reports:
    """Keeps what a check reports."""

    def __init__(self) -> None:
        self.rows: list[ReportRow] = []

    async def write(self, rows: list[ReportRow]) -> None:
        self.rows += rows

    async def forget(self) -> None:
        self.rows.clear()


async def test_a_space_is_not_well_while_the_embedding_model_of_its_release_is_down() -> None:
    embedder = FakeEmbedder(failure=Unavailable("upstream_failed", "Down."))
    async with desk_with(embedder) as desk:
        reports = Reports()
        checks = HealthChecks(desk.path.serving, reports, table=lambda: desk.path.routing.current)  # type: ignore[arg-type]
        await checks.check_due()
    [reason] = reports.rows[0].reasons
    assert (reason["code"], "embedding model" in str(reason["text"])) == ("MODEL_UNREACHABLE", True)


async def test_a_release_closes_both_its_models() -> None:
    embedder = FakeEmbedder()
    async with desk_with(embedder) as desk:
        [release] = desk.path.routing.current.releases.values()
        await release.close()
    assert embedder.closed
