"""Embedding models: one contract over the fake and the OpenAI-compatible adapter, and what goes over the wire."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pilotage.adapters.embeddings.openai_compatible import OpenAICompatibleEmbedder
from pilotage.adapters.embeddings.registry import build_embedder
from pilotage.core.errors import Unavailable
from pilotage.guard.policy import EgressRule
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.embedder import Embedder
from pilotage.retrieval.settings import Embedding
from pilotage.testing.embeddings import DIMENSION, EmbeddingServer, FakeEmbedder, bag_of_words

pytestmark = pytest.mark.anyio
CAR, AUTOMOBILE = "The car is blue.", "Is the automobile blue?"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def declared(url: str, **changes: object) -> Embedding:
    fields: dict[str, object] = {"model": "bag-1", "dimension": DIMENSION, "endpoint": url, "timeout_s": 2.0}
    return Embedding(**(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def embedding(server: EmbeddingServer, **changes: object) -> AsyncIterator[OpenAICompatibleEmbedder]:
    made = OpenAICompatibleEmbedder(
        declared(server.url, **changes), root=Path("/nonexistent"), sleep=lambda _: asyncio.sleep(0)
    )
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("kind", ["fake", "adapter"])
async def test_every_embedder_keeps_the_promises_of_the_port(kind: str) -> None:
    with EmbeddingServer() as server:
        made: Embedder = FakeEmbedder() if kind == "fake" else build_embedder(declared(server.url), root=Path("/"))
        await made.probe()
        texts = [f"Passage {number}." for number in range(5)]
        assert [one.tolist() for one in await made.passages(texts)] == [bag_of_words(text) for text in texts]
        assert list(await made.passages([])) == []
        question, passage = await made.question(AUTOMOBILE), (await made.passages([CAR]))[0]
        units = [unit_vector(one, DIMENSION) for one in (question, passage)]
        assert units[0] is not None
        assert units[1] is not None
        assert float(units[0] @ units[1]) > 0.7
        await made.close()


@pytest.mark.parametrize("kind", ["fake", "adapter"])
async def test_every_embedder_that_fails_says_so_and_gives_no_part_of_an_answer(kind: str) -> None:
    with EmbeddingServer() as server:
        server.status = 503
        down = FakeEmbedder(failure=Unavailable("upstream_failed", "Down."))
        made: Embedder = down if kind == "fake" else build_embedder(declared(server.url), root=Path("/"))
        for call in (made.probe(), made.question("Why?"), made.passages(["a", "b"])):
            with pytest.raises(Unavailable) as caught:
                await call
            assert caught.value.code == "upstream_failed"
        await made.close()


async def test_a_request_holds_the_texts_the_sealed_parameters_and_the_key_by_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMBEDDING_KEY", "k-1")
    with EmbeddingServer() as server:
        given = {"auth_ref": "env:EMBEDDING_KEY", "parameters": {"dimensions": 64, "model": "another"}}
        async with embedding(server, question_prefix="query: ", passage_prefix="passage: ", **given) as made:
            await made.passages([CAR])
            await made.question("Why?")
        async with embedding(server, auth_ref="env:EMBEDDING_KEY", auth_header="api-key") as made:
            await made.question("Why?")
    bodies = [body for _, body in server.seen]
    assert bodies[0] == {"dimensions": 64, "model": "bag-1", "input": [f"passage: {CAR}"]}
    assert bodies[1]["input"] == ["query: Why?"]
    assert server.seen[0][0]["authorization"] == "Bearer k-1"
    assert server.seen[2][0]["api-key"] == "k-1"
    assert "authorization" not in server.seen[2][0]


async def test_a_missing_key_is_named_by_its_reference() -> None:
    with EmbeddingServer() as server:
        async with embedding(server, auth_ref="env:NO_SUCH_KEY") as made:
            with pytest.raises(Unavailable, match="NO_SUCH_KEY"):
                await made.question("Why?")
    assert server.seen == []


@pytest.mark.parametrize(("status", "calls"), [(429, 3), (503, 3), (408, 3), (400, 1), (401, 1), (501, 1)])
async def test_only_what_another_attempt_may_cure_is_tried_again(status: int, calls: int) -> None:
    with EmbeddingServer() as server:
        server.status = status
        async with embedding(server) as made:
            with pytest.raises(Unavailable, match=f"HTTP {status}"):
                await made.question("Why?")
    assert len(server.seen) == calls


async def test_a_second_attempt_that_is_answered_gives_the_vector() -> None:
    with EmbeddingServer() as server:
        server.status = 503

        def recover() -> None:
            server.status = 503 if len(server.seen) < 2 else 200

        server.wait = recover
        async with embedding(server) as made:
            assert (await made.question(CAR)).tolist() == bag_of_words(CAR)


async def test_a_provider_that_wants_a_long_pause_is_not_asked_again() -> None:
    with EmbeddingServer() as server:
        server.status, server.headers = 429, {"retry-after": "30"}
        async with embedding(server) as made:
            with pytest.raises(Unavailable):
                await made.question("Why?")
    assert len(server.seen) == 1


async def test_a_late_answer_is_a_timeout_and_not_asked_for_again() -> None:
    with EmbeddingServer() as server:
        server.wait = lambda: time.sleep(0.6)
        async with embedding(server, timeout_s=0.2) as made:
            with pytest.raises(Unavailable) as caught:
                await made.question("Why?")
    assert caught.value.code == "upstream_timeout"
    assert len(server.seen) == 1


def _numbered(*indexes: int) -> bytes:
    items = ", ".join(f'{{"index": {index}, "embedding": [1.0]}}' for index in indexes)
    return f'{{"data": [{items}]}}'.encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>", "not a list of embeddings"),
        (b'{"error": "the text of a customer"}', "not a list of embeddings"),
        (b'{"data": [{"index": 0, "embedding": "AAAA"}]}', "not a list of embeddings"),
        (b"[" * 5_000, "not a list of embeddings"),
        (_numbered(0), "1 embeddings for 2 texts"),
        (_numbered(0, 1, 2), "3 embeddings for 2 texts"),
        (_numbered(1, 1), "2 embeddings for 2 texts"),
        (b" " * (8 * 1024 * 1024 + 1), "more than 8 MiB"),
    ],
)
async def test_an_answer_that_is_not_one_vector_for_each_text_is_none(answer: bytes, said: str) -> None:
    with EmbeddingServer() as server:
        server.answer = answer
        async with embedding(server) as made:
            with pytest.raises(Unavailable, match=said) as caught:
                await made.passages(["a", "b"])
    assert "customer" not in str(caught.value)


@pytest.mark.parametrize("odd", [math.nan, math.inf, None])
async def test_a_number_that_is_none_leaves_one_vector_without_a_direction(odd: float | None) -> None:
    def gives(text: str) -> list[float | None]:
        return [odd, 1.0] if text == "odd" else [3.0, 4.0]

    with EmbeddingServer(gives) as server:
        async with embedding(server) as made:
            found = [unit_vector(one, 2) for one in await made.passages(["fine", "odd", "fine"])]
    assert found[1] is None
    assert [None if one is None else one.tolist() for one in (found[0], found[2])] == [
        pytest.approx([0.6, 0.8]),
        pytest.approx([0.6, 0.8]),
    ]


async def test_a_provider_that_fails_half_of_its_calls_is_left_alone_for_a_while() -> None:
    now = [100.0]
    with EmbeddingServer() as server:
        server.status = 500
        made = OpenAICompatibleEmbedder(
            declared(server.url), root=Path("/"), monotonic=lambda: now[0], sleep=lambda _: asyncio.sleep(0)
        )
        for _ in range(20):
            with pytest.raises(Unavailable):
                await made.question("Why?")
        before = len(server.seen)
        with pytest.raises(Unavailable, match="failed too often"):
            await made.question("Why?")
        assert len(server.seen) == before
        now[0], server.status = 116.0, 200
        assert (await made.question(CAR)).tolist() == bag_of_words(CAR)
        await made.close()


@pytest.mark.parametrize(
    ("endpoint", "egress", "said"),
    [
        ("https://models.example/v1/embeddings", (), "host: models.example, port: 443, purpose: models"),
        ("https://models.example/v1/embeddings", (("models.example", 8443),), "egress does not list"),
        ("ftp://127.0.0.1/v1/embeddings", (), "Correct endpoint"),
    ],
)
def test_a_place_that_the_release_does_not_allow_is_not_called(
    endpoint: str, egress: tuple[tuple[str, int], ...], said: str
) -> None:
    rules = [EgressRule(host=host, port=port, purpose="models") for host, port in egress]
    with pytest.raises(Unavailable, match=said) as caught:
        build_embedder(declared(endpoint), root=Path("/"), egress=rules)
    assert caught.value.code == "model_unconfigured"


async def test_a_private_address_is_reached_only_where_the_release_names_its_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is allowed, and stands at an address that is not public."""
    asked: list[tuple[str, ...]] = []

    async def places(host: str, port: int) -> list[object]:
        asked.append((host, str(port)))
        return [(2, 1, 6, "", ("10.1.2.3", port))]

    monkeypatch.setattr("pilotage.adapters.direct.places_of", places)
    rule = EgressRule(host="models.example", port=443, purpose="models")
    made = build_embedder(declared("https://models.example/v1/embeddings"), root=Path("/"), egress=[rule])
    with pytest.raises(Unavailable, match="egress does not allow"):
        await made.question("Why?")
    assert asked
    await made.close()
