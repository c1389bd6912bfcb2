"""Parts of an index that ranking stands on: directions, roots, remembered words, and segments without vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pyroaring import BitMap
from tests.retrieval.small_index import Doc, asking, chunks_of, snapshot_of

from pilotage.core.digest import digest_of
from pilotage.retrieval import snapshot as snapshots
from pilotage.retrieval.best import at_least_best
from pilotage.retrieval.build import build_segment, unit_vector
from pilotage.retrieval.root import root_of
from pilotage.retrieval.search import Query, search

PLAIN = Doc(id="A", rev=1, chunks=(("refund", "limit"),))
DIRECTED = Doc(id="B", rev=2, chunks=(("opening", "hours"),), vectors=((0.0, 2.0),))
ASKER = asking("group:everyone")


@pytest.mark.parametrize("vector", [None, (0.0, 0.0), (1.0,), (1.0, 2.0, 3.0), (float("nan"), 1.0)])
def test_what_has_no_direction_of_the_dimension_is_no_vector(vector: tuple[float, ...] | None) -> None:
    assert unit_vector(vector, 2) is None


def test_a_direction_has_length_one() -> None:
    found = unit_vector((3.0, 4.0), 2)
    assert found is not None
    assert found.tolist() == pytest.approx([0.6, 0.8])
    assert found.dtype == np.float32


def test_the_vectors_of_a_later_segment_are_searched_although_the_first_has_none() -> None:
    segments = (build_segment(chunks_of([PLAIN])), build_segment(chunks_of([DIRECTED]), dimension=2))
    mixed = replace(snapshot_of([PLAIN], [DIRECTED]), segments=segments)
    assert [one.vectors is None for one in mixed.segments] == [True, False]
    assert mixed.dimension == 2
    hits = search(mixed, mixed.view(ASKER), Query(terms=["refund"], vector=[0.0, 1.0]), 10)
    assert {hit.rev for hit in hits} == {1, 2}


def test_an_index_without_vectors_is_searched_by_words_alone() -> None:
    words = snapshot_of([PLAIN, replace(DIRECTED, vectors=None)])
    assert words.dimension is None
    hits = search(words, words.view(ASKER), Query(terms=["refund"], vector=[0.0, 1.0]), 10)
    assert [hit.rev for hit in hits] == [1]


def test_words_of_questions_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_TERM_ENTRIES", 2)
    index = snapshot_of([PLAIN], [DIRECTED])
    found = [index.term(word) for word in ("refund", "hours", "nothing", "refund")]
    assert [[place is not None for place in one] for one in found] == [
        [True, False],
        [False, True],
        [False, False],
        [True, False],
    ]
    assert len(index._terms) <= 2


@pytest.mark.parametrize("count", [0, 3, 400, 2_000])
def test_the_best_scores_keep_every_tie_with_the_last_of_them(count: int) -> None:
    scores = np.array([number % 7 for number in range(count)], dtype=np.float64)
    k = 5
    last = sorted(scores.tolist(), reverse=True)[:k][-1:] or [0.0]
    assert at_least_best(scores, k).tolist() == [place for place in range(count) if scores[place] >= last[0]]


def test_the_root_of_a_version_is_the_digest_of_its_revision_numbers() -> None:
    assert root_of(BitMap([258, 1])) == digest_of(b"\x01\0\0\0\x02\x01\0\0")
    assert root_of(BitMap()) == digest_of(b"")
