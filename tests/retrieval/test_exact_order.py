"""The order is the exact one, to the last tie, although only what stands close to another is scored exactly."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.retrieval.small_index import Doc, asking, plain, snapshot_of

from pilotage.retrieval.arrays import F32, F64, Ids
from pilotage.retrieval.build import unit_vector
from pilotage.retrieval.order import best_of
from pilotage.retrieval.search import Query, search

DIMENSION = 64


@given(
    st.lists(st.integers(0, 6), max_size=40),
    st.integers(1, 12),
    st.sampled_from((0, 300)),
    st.randoms(use_true_random=False),
)
def test_the_best_are_those_of_a_full_sort_by_score_then_name(
    levels: list[int], k: int, below: int, rng: random.Random
) -> None:
    values = [*levels, *[-1] * below]
    docs = [Doc(id=f"{rng.random():.6f}-{rev}", rev=rev, chunks=(("word",),)) for rev in range(len(values))]
    segment = snapshot_of(docs).segments[0]
    ids, scores = np.arange(len(values)), np.array(values, dtype=np.float64)
    wanted = sorted(range(len(values)), key=lambda rev: (-values[rev], docs[rev].id))[:k]
    assert best_of(segment, ids, scores, k).tolist() == wanted
    # The same from scores that are off by less than half the margin: only the close ones are looked at again.
    off = scores + np.array([rng.uniform(-0.19, 0.19) for _ in values])

    def settle(chunks: Ids) -> F64:
        return scores[chunks]

    assert best_of(segment, ids, off, k, margin=0.4, settle=settle).tolist() == wanted


def _crowd(count: int, seed: int) -> list[F32]:
    """Return directions of which many differ by less than a float32 product can tell, and some not at all."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, DIMENSION))
    for row in range(1, count):
        if rng.random() < 0.7:
            step = rng.choice([0.0, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5])
            rows[row] = rows[rng.integers(row)] + step * rng.standard_normal(DIMENSION)
    return [row.astype(np.float32) for row in rows]


@pytest.mark.parametrize("count", [30, 200, 600])
@pytest.mark.parametrize("cut", [0, 20])
def test_neighbours_stand_in_the_order_of_their_float64_products(count: int, cut: int) -> None:
    for seed in range(12):
        vectors = _crowd(count, seed)
        names = np.random.default_rng(seed).permutation(count)
        docs = [
            Doc(id=f"d{names[rev]:04d}", rev=rev, chunks=((),), vectors=(tuple(vectors[rev].tolist()),))
            for rev in range(count)
        ]
        deltas = [docs[-cut:]] if cut else []
        snapshot = snapshot_of(docs[: count - cut], *deltas, dimension=DIMENSION)
        question = vectors[seed] + np.float32(1e-3)
        exact = dict(zip((doc.id for doc in docs), _products(vectors, question), strict=True))
        wanted = sorted(exact, key=lambda name: (-exact[name], name))[:50]
        hits = search(snapshot, snapshot.view(asking("group:everyone")), Query(terms=(), vector=question), 50)
        assert [name for name, _, _ in plain(docs, hits)] == wanted


def _products(vectors: list[F32], question: F32) -> list[float]:
    direction = unit_vector(question, DIMENSION)
    assert direction is not None
    found = []
    for vector in vectors:
        row = unit_vector(vector.tolist(), DIMENSION)
        assert row is not None
        found.append(float(np.round((row.astype(np.float64) * direction.astype(np.float64)).sum(), 9)))
    return found
