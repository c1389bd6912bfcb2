"""Hidden documents change nothing in a corpus with frequent and rare words, long and short views, words and vectors."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.retrieval.small_index import Doc, asking, plain, snapshot_of

from pilotage.retrieval import vectors
from pilotage.retrieval.quantiser import Quantiser, make_quantiser
from pilotage.retrieval.search import Query, search
from pilotage.retrieval.snapshot import Snapshot

DIMENSION = 8
CELLS = Quantiser(centroids=make_quantiser(np.zeros((0, DIMENSION), np.float32)).centroids, probes=9)
WORDS = [f"w{number}" for number in range(400)]
ODDS = [1 / (rank + 2) ** 1.1 for rank in range(400)]
READERS = {"group:all": 1.0, "group:most": 0.7, "group:some": 0.15, "group:few": 0.03, "group:one": 0.002}


@pytest.fixture(autouse=True)
def cells_of_a_small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT_CHUNKS", 10)


def _corpus(seed: int, documents: int) -> list[Doc]:
    rng = random.Random(seed)
    rows_of = np.random.default_rng(seed).standard_normal((documents, 3, DIMENSION)).astype(np.float32).tolist()
    # Equal vectors and equal texts: ties that only the documents' names may break.
    twins = [tuple(rng.choices(WORDS, ODDS, k=rng.randint(1, 30))) for _ in range(documents // 10)]
    docs = []
    for rev in range(documents):
        chunks = tuple(
            rng.choice(twins) if rng.random() < 0.2 else tuple(rng.choices(WORDS, ODDS, k=rng.randint(0, 40)))
            for _ in range(rng.randint(1, 3))
        )
        readers = tuple(name for name, share in READERS.items() if share < 1 and rng.random() < share)
        rows = tuple(
            tuple(rows_of[rng.randrange(documents) if rng.random() < 0.1 else rev][n]) for n in range(len(chunks))
        )
        name = f"{rng.choice('abc')}{rng.randrange(10**6)}-{rev}"
        docs.append(Doc(id=name, rev=rev, chunks=chunks, acl=("group:all", *readers), vectors=rows))
    return docs


def _alone(docs: list[Doc], name: str) -> Snapshot:
    return snapshot_of([doc for doc in docs if name in doc.acl], dimension=DIMENSION, quantiser=CELLS)


def _compare(seed: int, *, documents: int, questions: int) -> None:
    docs = _corpus(seed, documents)
    rng = random.Random(-seed)
    cut = documents - documents // 20
    whole = snapshot_of(docs[:cut], docs[cut:], dimension=DIMENSION, quantiser=CELLS)
    for name in READERS:
        alone = _alone(docs, name)
        for _ in range(questions // len(READERS)):
            vector = [rng.gauss(0, 1) for _ in range(DIMENSION)] if rng.random() < 0.7 else None
            cells = rng.choice((None, CELLS.digest))
            query = Query(terms=rng.choices(WORDS, ODDS, k=rng.randint(1, 9)), vector=vector, cells=cells)
            k = rng.choice((1, 5, 10, 50))
            ours = plain(docs, search(whole, whole.view(asking(name)), query, k))
            assert ours == plain(docs, search(alone, alone.view(asking(name)), query, k))
            assert len(ours) == len(set(ours))


def test_hidden_changes_nothing_in_a_larger_corpus() -> None:
    _compare(1, documents=900, questions=250)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(2, 22))
def test_hidden_changes_nothing_over_nine_hundred_thousand_questions(seed: int) -> None:
    """With the hundred thousand small corpora of test_ranking.py: a million."""
    _compare(seed, documents=3000, questions=45_000)
