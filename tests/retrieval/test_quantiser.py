"""Cells of the approximate mode: sealed by digest, made of one vector alone, trained on what everybody may read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.retrieval.small_index import Doc, asking, plain, reference_near, segment_of, snapshot_of

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.located import Problems, from_plain
from pilotage.corpus.settings import DataStage
from pilotage.retrieval import vectors
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.quantiser import Quantiser, cells_for, make_quantiser, sample_of, trained_on
from pilotage.retrieval.search import Query, search
from pilotage.retrieval.settings import RetrievalSettings
from pilotage.retrieval.settings_file import parse_retrieval

NONE = np.zeros((0, 384), dtype=np.float32)
DIGEST = digest_of(b"cells")
EMBEDDING: Json = {"model": "mini", "dimension": 384, "endpoint": "https://models.example/v1/embeddings"}


def _unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> F32:
    found: F32 = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def _around(topics: int, count: int, *, seed: int = 1) -> F32:
    """Return unit vectors around some topics."""
    rng = np.random.default_rng(9)
    middles = rng.standard_normal((topics, 32))
    rng = np.random.default_rng(seed)
    return _unit(middles[rng.integers(0, topics, count)] + 0.7 * rng.standard_normal((count, 32)))


def test_without_public_chunks_cells_are_the_same_everywhere() -> None:
    seeded = make_quantiser(NONE)
    assert (len(seeded.centroids), seeded.probes) == (256, 128)
    assert seeded.digest == "sha256:2d60bc09ca6838faa77fe09fd83976240f21f48189eee4dadd1bf4043e3556b8"


@pytest.mark.parametrize("dimension", [2, 384, 8192])
def test_a_cell_depends_on_its_vector_alone(dimension: int) -> None:
    rng = np.random.default_rng(3)
    rows = _unit(rng.standard_normal((300, dimension)))
    rows[7] = 0
    rows[8] = 1 / np.sqrt(dimension)
    made = make_quantiser(np.zeros((0, dimension), np.float32))
    together = made.cells(rows)
    assert together.tolist() == [int(made.cells(row[None, :])[0]) for row in rows]
    whole = np.rint(rows.astype(np.float64) * 2**11).astype(np.int64) @ made.centroids.astype(np.int64).T
    assert together.tolist() == whole.argmax(axis=1).tolist()
    assert made.probed(rows[8]).tolist() == np.lexsort((np.arange(256), -whole[8]))[:128].tolist()


def test_cells_trained_on_public_chunks_find_the_neighbours_of_others() -> None:
    made = make_quantiser(_around(60, 4_000))
    assert len(made.centroids) == 4_000 // 39
    assert 2 <= made.probes <= 40
    others, asked = _around(60, 20_000, seed=2), _around(60, 100, seed=3)
    cells, found = made.cells(others), 0
    for question in asked:
        nearest = np.argsort(-(others @ question))[:10]
        found += int(np.isin(cells[nearest], made.probed(question)).sum())
    assert found >= 990
    assert np.isin(cells, made.probed(asked[0])).mean() < 0.6


def test_the_same_public_chunks_give_the_same_cells_and_others_give_others() -> None:
    public = _around(60, 4_000)
    assert make_quantiser(public).digest == make_quantiser(public.copy()).digest
    assert make_quantiser(public).digest != make_quantiser(public[::-1]).digest


def test_the_digest_covers_directions_and_probes() -> None:
    made = make_quantiser(NONE)
    turned = made.centroids.copy()
    turned[3, 5] += 1
    digests = {made.digest, replace_probes(made, 127).digest, Quantiser(centroids=turned, probes=128).digest}
    assert len(digests) == 3


def replace_probes(made: Quantiser, probes: int) -> Quantiser:
    return Quantiser(centroids=made.centroids, probes=probes)


def test_a_cell_that_attracts_nothing_keeps_its_place() -> None:
    public = _unit(np.ones((4_000, 32)))
    made = make_quantiser(public)
    assert len(np.unique(made.centroids, axis=0)) == 1
    assert set(made.cells(public).tolist()) == {0}


def test_only_more_than_twenty_thousand_visible_chunks_are_searched_by_cells() -> None:
    rng = np.random.default_rng(1)
    rows = _unit(rng.standard_normal((20_001, 4))).tolist()
    docs = [
        Doc(
            id=f"d{rev}", rev=rev, chunks=((),), acl=("group:a", "group:b")[: 1 + (rev < 20_000)], vectors=(tuple(row),)
        )
        for rev, row in enumerate(rows)
    ]
    cells = Quantiser(centroids=np.array([[0, 0, 0, 2048], [0, 0, 1024, 1700]], np.float32), probes=1)
    snapshot = snapshot_of(docs[:19_000], docs[19_000:], dimension=4, quantiser=cells)
    question = (0.1, 0.1, 0.25, 1.0)
    wanted = [reference_near(docs, asking("group:a"), question, 50, quantiser=one) for one in (None, cells)]
    assert wanted[0] != wanted[1]
    for name, sealed, quantiser in (
        ("group:a", cells.digest, cells),
        ("group:b", cells.digest, None),
        ("group:a", None, None),
        ("group:a", DIGEST, None),
    ):
        query = Query(terms=(), vector=question, cells=sealed)
        hits = plain(docs, search(snapshot, snapshot.view(asking(name)), query, 50))
        assert [hit[:2] for hit in hits] == reference_near(docs, asking(name), question, 50, quantiser=quantiser)


def test_segments_of_different_cells_have_none_in_common() -> None:
    one, other = (Quantiser(centroids=np.eye(2, dtype=np.float32), probes=probes) for probes in (1, 2))
    docs = [Doc(id="a", rev=1, chunks=((),), vectors=((1.0, 0.0),)), Doc(id="b", rev=2, chunks=(("word",),))]
    same = snapshot_of(docs[:1], dimension=2, quantiser=one)
    assert same.cells == one.digest
    words = segment_of(docs[1:])
    assert replace(same, segments=(*same.segments, words)).cells == one.digest
    assert replace(same, segments=(words,)).cells is None
    for quantiser in (other, None):
        mixed = (*same.segments, segment_of(docs[1:], dimension=2, quantiser=quantiser))
        assert replace(same, segments=mixed).cells is None


def test_a_later_segment_of_words_alone_leaves_the_cells_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT_CHUNKS", 0)
    cells = Quantiser(centroids=np.array([[2048, 0], [0, 2048]], np.float32), probes=1)
    docs = [Doc(id=f"d{rev}", rev=rev, chunks=((),), vectors=((1.0, float(rev)),)) for rev in range(4)]
    late = Doc(id="late", rev=9, chunks=(("word",),))
    base = snapshot_of([*docs, late], dimension=2, quantiser=cells)
    mixed = replace(base, segments=(segment_of(docs, dimension=2, quantiser=cells), segment_of([late])))
    query = Query(terms=["word"], vector=(0.1, 1.0), candidates=2, cells=cells.digest)
    hits = plain([*docs, late], search(mixed, mixed.view(asking("group:everyone")), query, 5))
    assert {name for name, *_ in hits} == {"d3", "d2", "late"}


def test_a_segment_of_words_has_no_cells() -> None:
    words = segment_of([Doc(id="a", rev=1, chunks=(("word",),))], quantiser=make_quantiser(NONE))
    assert words.quantiser is None


def _read(**keys: Json) -> tuple[RetrievalSettings, list[str]]:
    problems = Problems()
    settings = parse_retrieval(from_plain({"corpus": "policies", **keys}, file="r"), problems)
    return settings, [str(one) for one in problems.found]


def test_approximate_vectors_are_sealed_with_their_cells() -> None:
    both: Json = {"production": "policies", "uat": "policies-uat"}
    settings, found = _read(vectors="approximate", embedding=EMBEDDING, cells=DIGEST)
    assert (settings.cells, found) == ({DataStage.PRODUCTION: DIGEST}, [])
    vectors = settings.vectors_of(DataStage.PRODUCTION)
    assert vectors is not None
    assert settings.embedding is not None
    assert (vectors.dimension, vectors.cells) == (384, DIGEST)
    assert vectors.name == f"{settings.embedding.key} {DIGEST}"
    settings, found = _read(vectors="approximate", embedding=EMBEDDING, corpus=both, cells={"uat": DIGEST})
    assert (settings.cells, found) == ({DataStage.UAT: DIGEST}, [])
    other = settings.vectors_of(DataStage.PRODUCTION)
    assert other is not None
    assert (other.cells, other.name) == (None, other.key)
    assert _read(vectors="approximate", embedding=EMBEDDING) == (
        replace(settings, corpora=_read()[0].corpora, cells={}),
        [],
    )
    assert _read()[0].vectors_of(DataStage.PRODUCTION) is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"vectors": "approximate", "embedding": EMBEDDING, "cells": "mine"}, "the digest of sealed cells"),
        ({"vectors": "approximate", "embedding": EMBEDDING, "cells": {"production": "mine"}}, "the digest of sealed"),
        ({"vectors": "approximate", "embedding": EMBEDDING, "cells": {"uat": DIGEST}}, "Remove uat."),
        ({"vectors": "approximate"}, "Write embedding, or vectors: exact."),
        ({"embedding": EMBEDDING, "cells": DIGEST}, "Remove the key."),
    ],
)
def test_cells_are_declared_where_they_are_used(keys: dict[str, Json], said: str) -> None:
    _, found = _read(**keys)
    assert len(found) == 1
    assert said in found[0]


def test_an_embedding_model_is_named_by_all_that_decides_a_passages_vector() -> None:
    """Another question, key or batch finds the same vectors; another model, place, prefix or parameter does not."""
    whole: dict[str, Json] = {"model": "mini", "dimension": 384, "endpoint": "https://models.example/v1/embeddings"}
    same: list[dict[str, Json]] = [
        {"auth": "env:KEY", "auth_header": "api-key", "region": "us", "timeout": "3s", "batch": 9},
        {"prefix": {"question": "query: "}},
    ]
    others: list[dict[str, Json]] = [
        {"model": "maxi"},
        {"dimension": 385},
        {"endpoint": "https://other.example/v1/embeddings"},
        {"parameters": {"dimensions": 384}},
        {"prefix": {"passage": "passage: "}},
    ]
    read = [_read(embedding={**whole, **more}) for more in ({}, *same, *others)]
    assert [found for _, found in read] == [[]] * len(read)
    keys = [settings.embedding.key for settings, _ in read if settings.embedding is not None]
    assert set(keys[:3]) == {keys[0]}
    assert len(set(keys)) == 1 + len(others)
    full = read[1][0].embedding
    assert full is not None
    assert (full.auth_ref, full.auth_header, full.region, full.timeout_s, full.batch) == (
        "env:KEY",
        "api-key",
        "us",
        3.0,
        9,
    )


@pytest.mark.parametrize("public", [0, 4_000])
def test_stored_cells_are_read_back_under_their_digest(public: int) -> None:
    made = make_quantiser(_around(60, public) if public else NONE)
    again = Quantiser.from_bytes(made.to_bytes())
    assert digest_of(made.to_bytes()) == made.digest == again.digest
    assert again.probes == made.probes
    assert again.centroids.dtype == np.float32
    assert np.array_equal(again.centroids, made.centroids)
    sample = _around(60, public)[sample_of(public)] if public else NONE
    assert trained_on(sample, cells=cells_for(public)).digest == made.digest


def test_other_bytes_are_no_cells() -> None:
    written = make_quantiser(NONE).to_bytes()
    for data in (b"", b"cells", written[:-2], written.replace(b"(256, 384)", b"(256, 383)")):
        with pytest.raises(ValueError, match=r"cells|reshape|buffer"):
            Quantiser.from_bytes(data)
