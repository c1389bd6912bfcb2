"""Deltas, merges, changed or ageing readers and takedowns in any order: the index equals brute force at each moment."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.retrieval.small_index import (
    NOW,
    Doc,
    asking,
    plain,
    reference,
    reference_near,
    segment_of,
    standing_of,
    visibility_of,
)

from pilotage.retrieval import vectors
from pilotage.retrieval.allowed import DocumentRow, Visibility, change_documents
from pilotage.retrieval.quantiser import Quantiser
from pilotage.retrieval.search import Query, search
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.snapshot import Snapshot

WORDS = [f"w{number}" for number in range(40)]
NAMES = ("group:a", "group:b", "group:c")
DIMENSION = 4
CELLS = Quantiser(
    centroids=np.random.default_rng(5).integers(-1_500, 1_500, size=(7, DIMENSION)).astype(np.float32), probes=2
)


@pytest.fixture(autouse=True)
def cells_of_a_small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT_CHUNKS", 0)


def _segment(docs: Sequence[Doc]) -> Segment:
    return segment_of(docs, dimension=DIMENSION, quantiser=CELLS)


class Life:
    """A corpus that changes: the snapshot as a process keeps it, and the documents as the store has them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = NOW
        self.docs = [self._doc(rev) for rev in range(rng.randint(0, 6))]
        self.next = len(self.docs)
        self.snapshot = Snapshot(segments=(_segment(self.docs),), visibility=self._read(1))

    def _read(self, generation: int) -> Visibility:
        return visibility_of(self.docs, generation)

    def _doc(self, rev: int) -> Doc:
        # Few words are frequent, most are rare, as in language.
        chunks = tuple(
            tuple(WORDS[min(int(self.rng.expovariate(0.15)), 39)] for _ in range(self.rng.randint(0, 9)))
            for _ in range(self.rng.randint(1, 3))
        )
        acl = tuple(self.rng.sample(NAMES, self.rng.randint(0, 2)))
        return Doc(
            id=f"{self.rng.choice('xyz')}{rev}",
            rev=rev,
            chunks=chunks,
            acl=acl,
            stands_until=self.now + timedelta(minutes=self.rng.randint(1, 4)),
            vectors=self._vectors(len(chunks)),
        )

    def _vectors(self, many: int) -> tuple[tuple[float, ...], ...]:
        """Few directions, so that many are equal and a cell holds several; some have none."""
        few = [tuple(random.Random(number).gauss(0, 1) for _ in range(DIMENSION)) for number in range(12)]
        return tuple(self.rng.choice([*few, (0.0,) * DIMENSION]) for _ in range(many))

    def add(self) -> None:
        fresh = [self._doc(self.next + step) for step in range(self.rng.randint(1, 4))]
        self.next += len(fresh)
        self.docs += fresh
        delta = _segment(fresh)
        self.snapshot = Snapshot(segments=(*self.snapshot.segments, delta), visibility=self._read(self._generation))

    def merge(self) -> None:
        merged = _segment([doc for doc in self.docs if doc.is_live])
        self.snapshot = Snapshot(segments=(merged,), visibility=self._read(self._generation))

    def change(self) -> None:
        changed = self.rng.sample(range(len(self.docs)), min(len(self.docs), self.rng.randint(1, 3)))
        for index in changed:
            acl = tuple(self.rng.sample(NAMES, self.rng.randint(0, 3)))
            self.docs[index] = replace(self.docs[index], acl=acl, region=self.rng.choice(("us", "eu")))
        self._follow([self.docs[index] for index in changed])

    def take_down(self) -> None:
        if self.docs:
            index = self.rng.randrange(len(self.docs))
            self.docs[index] = replace(self.docs[index], is_live=False)
            self._follow([self.docs[index]])

    def wait(self) -> None:
        self.now += self.rng.choice((timedelta(minutes=1), timedelta(microseconds=1)))

    def confirm(self) -> None:
        """As a refresh does that finds nothing changed: no generation, no segment moves."""
        until = self.now + timedelta(minutes=self.rng.randint(1, 4))
        confirmed = self.rng.sample(range(len(self.docs)), self.rng.randint(0, len(self.docs)))
        for index in confirmed:
            self.docs[index] = replace(self.docs[index], stands_until=until)
        self.snapshot = self.snapshot.under(replace(self.snapshot.visibility, standing=standing_of(self.docs)))

    @property
    def _generation(self) -> int:
        return self.snapshot.visibility.generation + 1

    def _follow(self, docs: Sequence[Doc]) -> None:
        rows = [
            DocumentRow(
                id=doc.id, acl=doc.acl, classification=doc.classification, region=doc.region, is_live=doc.is_live
            )
            for doc in docs
        ]
        self.snapshot = self.snapshot.under(change_documents(self.snapshot.visibility, self._generation, rows))

    def check(self) -> None:
        fresh, kept = self._read(self.snapshot.visibility.generation), self.snapshot.visibility
        for part in ("generation", "principals", "versions", "classifications", "regions", "live", "spans"):
            assert getattr(kept, part) == getattr(fresh, part), part
        for _ in range(2):
            asker = asking(*self.rng.sample(NAMES, self.rng.randint(0, 3)), at=self.now)
            terms = self.rng.choices(WORDS, k=self.rng.randint(0, 6))
            k = self.rng.choice((1, 3, 50))
            hits = search(self.snapshot, self.snapshot.view(asker), Query(terms=terms), k)
            assert plain(self.docs, hits) == reference(self.docs, asker, terms, k)
            vector = [self.rng.gauss(0, 1) for _ in range(DIMENSION)]
            for cells in (None, CELLS):
                query = Query(terms=(), vector=vector, candidates=k, cells=None if cells is None else cells.digest)
                near = plain(self.docs, search(self.snapshot, self.snapshot.view(asker), query, k))
                assert [hit[:2] for hit in near] == reference_near(self.docs, asker, vector, k, quantiser=cells)


def _live(seed: int) -> None:
    life = Life(random.Random(seed))
    life.check()
    for _ in range(8):
        life.rng.choice((life.add, life.merge, life.change, life.take_down, life.wait, life.confirm))()
        life.check()


@pytest.mark.parametrize("block", range(5))
def test_brute_force_equal(block: int) -> None:
    for seed in range(block * 30, block * 30 + 30):
        _live(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(10))
def test_brute_force_equal_over_a_hundred_thousand_searches(block: int) -> None:
    for seed in range(10**6 + block * 560, 10**6 + (block + 1) * 560):
        _live(seed)


def test_a_thousand_changes_are_folded_and_still_the_same() -> None:
    life = Life(random.Random(1))
    life.docs = [replace(life._doc(number), id=f"d{number}") for number in range(1200)]
    life.snapshot = Snapshot(segments=(_segment(life.docs),), visibility=life._read(1))
    for index in range(1200):
        life.docs[index] = replace(life.docs[index], acl=("group:c",))
        life._follow([life.docs[index]])
    fresh = life._read(life.snapshot.visibility.generation)
    assert life.snapshot.visibility.principals == fresh.principals
    assert len(life.snapshot.visibility.changed) < 1200


def test_a_document_no_version_holds_changes_nothing() -> None:
    life = Life(random.Random(2))
    before = life.snapshot.visibility
    life._follow([Doc(id="unknown", rev=99, chunks=((),))])
    assert life.snapshot.visibility.principals == before.principals


def test_what_was_decided_under_old_permissions_is_forgotten() -> None:
    life = Life(random.Random(3))
    life.docs = [Doc(id="d0", rev=0, chunks=(("w1",),), acl=("group:a",))]
    life.snapshot = Snapshot(segments=(_segment(life.docs),), visibility=life._read(1))
    asker, query = asking("group:a"), Query(terms=["w1"])
    old = life.snapshot
    assert len(search(old, old.view(asker), query, 10)) == 1
    life.docs[0] = replace(life.docs[0], acl=())
    life._follow(life.docs)
    assert search(life.snapshot, life.snapshot.view(asker), query, 10) == ()
    assert len(search(old, old.view(asker), query, 10)) == 1
