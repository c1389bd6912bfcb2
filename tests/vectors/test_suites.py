"""Suites, shadow and replay search by the release's vectors: an overlay and a cut are what serving would search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.vectors.bank import QUESTION, VectorBank

from pilotage.app import joined_serving, retriever_parts
from pilotage.core.digest import Digest
from pilotage.evaluation.overlay import NO_OVERLAY, Overlay, OverlayDocument
from pilotage.evaluation.target import Ask, Look
from pilotage.serving.evaluation_indexes import SuiteRetrievers
from pilotage.serving.evaluation_target import ServingTargets
from pilotage.testing.embeddings import EmbeddingServer

pytestmark = pytest.mark.store
CARRIER = OverlayDocument(id="overlay/1", title="Motor", text="A car beside a car.", acl=frozenset({"group:staff"}))


@asynccontextmanager
async def suites(bank: VectorBank) -> AsyncIterator[ServingTargets]:
    async with joined_serving(bank.instance, {}) as (running, indexes):
        overlaid = SuiteRetrievers(retriever_parts(bank.instance, indexes, running.pool), bank.instance.engine)
        targets = ServingTargets(running.serving, bank.instance.engine, load=running.load, overlaid=overlaid)
        yield targets
        await targets.close()


def looked(
    bank: VectorBank, release: Digest, overlay: Overlay = NO_OVERLAY, only: frozenset[int] | None = None
) -> Look:
    async def look() -> Look:
        async with suites(bank) as targets:
            target = await targets.open(release, None, overlay, only)
            return await target.look(Ask(principal=bank.person("ben"), question=QUESTION))

    return asyncio.run(look())


@pytest.mark.parametrize("mode", ["exact", "approximate"])
def test_an_overlay_is_found_by_its_vector(bank: VectorBank, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr("pilotage.retrieval.vectors.EXACT_CHUNKS", 0)
    bank.declare(f"vectors: {mode}")
    bank.publish()
    release = bank.seal().digest
    plain = looked(bank, release)
    assert plain.passages[0].document == "fleet.md"
    laid = looked(bank, release, Overlay(documents=(CARRIER,)))
    assert {"overlay/1", "fleet.md"} <= {one.document for one in laid.passages}
    assert bank.rows("SELECT count(*) AS n FROM embedding WHERE vector <> ''")[0].n == len(
        bank.rows("SELECT DISTINCT content_hash FROM chunk")
    )


def test_an_overlay_is_embedded_in_batches_that_the_release_was_sealed_with(
    bank: VectorBank, server: EmbeddingServer
) -> None:
    bank.declare(batch=2)
    bank.publish()
    release = bank.seal().digest
    server.seen.clear()
    documents = tuple(replace(CARRIER, id=f"overlay/{number}") for number in range(5))
    laid = looked(bank, release, Overlay(documents=documents))
    assert {one.id for one in documents} & {one.document for one in laid.passages}
    assert sorted(len(body["input"]) for _, body in server.seen) == [1, 1, 2, 2]  # and the question


@pytest.mark.parametrize("mode", ["exact", "approximate"])
def test_a_corpus_cut_to_what_an_asker_may_see_gives_the_same_passages_and_scores(
    bank: VectorBank, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("pilotage.retrieval.vectors.EXACT_CHUNKS", 0)
    bank.declare(f"vectors: {mode}", "candidates: 5")
    for number in range(25):
        bank.write(f"day-{number}.md", f"# Day {number}\n\nOn day {number} all is well.\n", readers=["group:everyone"])
    for number in range(6):
        bank.write(f"a-{number}.md", f"# Hidden {number}\n\nThe automobile, {number}.\n", readers=["group:lending"])
    bank.publish()
    release = bank.seal().digest
    rows = bank.rows(
        "SELECT r.rev FROM revision r JOIN document d ON d.id = r.document WHERE NOT 'group:lending' = ANY(d.acl)"
    )
    whole = looked(bank, release, Overlay(documents=(CARRIER,)))
    cut = looked(bank, release, Overlay(documents=(CARRIER,)), frozenset(row.rev for row in rows))
    assert whole.passages
    assert [one.document for one in whole.passages] == [one.document for one in cut.passages]
    assert whole.scores == cut.scores


def test_a_suite_whose_embedding_model_is_down_finds_nothing_out(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.publish()
    release = bank.seal().digest
    server.status = 500
    look = looked(bank, release)
    assert (look.code, look.passages) == ("upstream_failed", ())
    with bank.instance.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM interaction")).scalar_one() == 0
