"""Whoever asks the oracle gets facts that were read after they asked, and waiting askers share one look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import NO_OVERLAY
from pilotage.release.assemble import CorpusPin
from pilotage.serving import evaluation_target
from pilotage.serving.evaluation_target import ServingTarget
from pilotage.testing.serving_path import make_path

pytestmark = pytest.mark.anyio
PIN = CorpusPin(name=CorpusName("handbook"), version=1, digest=digest_of(b""), documents=1, chunks=1)


class Store:
    """A corpus of which only the counts move; `looks` counts how often somebody looked, `read` who read it anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = 0
        self.generation = self.confirmations = self.looks = self.failures = 0
        monkeypatch.setattr(evaluation_target, "counts_of", self._counts)
        monkeypatch.setattr(evaluation_target, "version_facts", self._facts)

    @contextmanager
    def connect(self) -> Iterator[None]:
        self.looks += 1
        if self.failures:
            self.failures -= 1
            message = "The store is gone."
            raise OSError(message)
        yield

    def _counts(self, *_given: object) -> tuple[int, int]:
        return self.generation, self.confirmations

    def _facts(self, *_given: object) -> VersionFacts:
        self.read += 1
        counts = {"generation": self.generation, "confirmations": self.confirmations}
        return VersionFacts(corpus="handbook", version=1, documents={}, **counts)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


@pytest.fixture
def target(store: Store) -> ServingTarget:
    path = SimpleNamespace(serving=make_path().serving)
    return ServingTarget(cast("Any", path), cast("Any", store), pin=PIN, overlay=NO_OVERLAY)


async def generation(target: ServingTarget) -> int:
    found = await target.facts()
    assert found is not None
    return found.generation


async def test_each_asker_who_comes_later_sees_the_corpus_as_it_is_then(store: Store, target: ServingTarget) -> None:
    for number in range(3):
        store.generation = number
        assert await generation(target) == number
    assert store.looks == 3


async def test_a_confirmation_is_read_although_no_generation_moves(store: Store, target: ServingTarget) -> None:
    for number in range(3):
        store.confirmations = number
        for _ in range(2):
            found = await target.facts()
            assert found is not None
            assert found.confirmations == number
    assert store.read == 3


async def test_askers_who_wait_share_the_look_that_begins_after_they_came(store: Store, target: ServingTarget) -> None:
    found = await asyncio.gather(*(generation(target) for _ in range(20)))
    assert found == [0] * 20
    assert store.looks == 2


async def test_a_look_that_had_begun_serves_nobody_who_came_later(
    store: Store, target: ServingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def in_thread(look: Any, *given: object) -> object:
        result = look(*given)
        begun.set()
        await go_on.wait()
        return result

    monkeypatch.setattr(asyncio, "to_thread", in_thread)
    early = asyncio.create_task(generation(target))
    await begun.wait()
    store.generation = 7
    late = [asyncio.create_task(generation(target)) for _ in range(5)]
    await asyncio.sleep(0)
    go_on.set()
    assert await early == 0
    assert await asyncio.gather(*late) == [7] * 5
    assert store.looks == 2


async def test_a_look_that_failed_serves_nobody(store: Store, target: ServingTarget) -> None:
    store.failures, store.generation = 1, 4
    found = await asyncio.gather(*(generation(target) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError, int, int]
    assert found[1:] == [4, 4]
