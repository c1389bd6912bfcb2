"""Ranking equals the specification's figures and a brute-force reference, and hidden documents change nothing."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.retrieval.small_index import DAY, NOW, Doc, asking, chunks_of, may_see, plain, reference, snapshot_of

from pilotage.corpus.settings import Classification
from pilotage.retrieval.allowed import Allowed
from pilotage.retrieval.build import build_segment
from pilotage.retrieval.search import Query, fuse, rank, search

A = Doc(id="A", rev=1, chunks=(("refund", "limit", "is", "500", "dollars", "refund"),))
B = Doc(id="B", rev=2, chunks=(("limit", "of", "liability"),))
C = Doc(
    id="C",
    rev=3,
    chunks=(("refund", "refund", "refund", "policy", "hidden", "secret", "limit"),),
    acl=("group:hr",),
)
D = Doc(id="D", rev=4, chunks=(("opening", "hours"),))
REFUND_LIMIT = Query(terms=["refund", "limit"])


def test_an_asker_gets_the_statistics_of_what_they_may_see() -> None:
    docs = [A, B, C, D]
    snapshot = snapshot_of(docs)
    view = snapshot.view(asking("group:everyone"))
    assert _rounded(plain(docs, search(snapshot, view, REFUND_LIMIT, 10))) == [("A", 1.516828), ("B", 0.507772)]
    assert dict(rank(snapshot, view, REFUND_LIMIT, 10).idf) == {
        "limit": pytest.approx(0.470004, abs=1e-6),
        "refund": pytest.approx(0.980829, abs=1e-6),
    }
    both = snapshot.view(asking("group:everyone", "group:hr"))
    found = _rounded(plain(docs, search(snapshot, both, REFUND_LIMIT, 10)))
    assert found == [("C", 1.263980), ("A", 1.185259), ("B", 0.412992)]


def _rounded(hits: list[tuple[str, int, float]]) -> list[tuple[str, float]]:
    return [(document, round(score, 6)) for document, _, score in hits]


def test_fusion_gives_the_figures_of_the_specification() -> None:
    one, two, three = range(3)
    fused = {place: (score, best) for place, score, best in fuse([one, two, three], [two, three, one], rrf_k=60, k=10)}
    assert {place: (round(score, 6), best) for place, (score, best) in fused.items()} == {
        one: (0.032266, 1),
        two: (0.032522, 1),
        three: (0.032002, 2),
    }


@given(st.permutations(range(30)), st.permutations(range(10, 40)), st.integers(0, 30), st.integers(1, 50))
def test_fusion_leaves_out_only_what_cannot_be_among_the_best(
    words: list[int], near: list[int], cut: int, k: int
) -> None:
    lists = [words[:cut], near]
    everything = {place: [ranked.index(place) + 1 for ranked in lists if place in ranked] for place in range(40)}
    plain_sums = {
        place: (round(sum(1 / (60 + rank) for rank in ranks), 12), min(ranks))
        for place, ranks in everything.items()
        if ranks
    }
    fused = {place: (value, best) for place, value, best in fuse(*lists, rrf_k=60, k=k)}
    assert fused.items() <= plain_sums.items()
    best = sorted(plain_sums.values(), key=lambda item: (-item[0], item[1]))[:k]
    assert sorted(fused.values(), key=lambda item: (-item[0], item[1]))[:k] == best


def test_rules_of_region_and_class_and_a_service_narrow_what_is_seen() -> None:
    docs = [A, replace(B, region="eu"), replace(D, classification=Classification.RESTRICTED)]
    snapshot = snapshot_of(docs)

    def seen(**rules: object) -> set[int]:
        return set(snapshot.view(replace(asking("group:everyone"), **rules)).allowed.revisions)  # type: ignore[arg-type]

    assert seen() == {1, 2, 4}
    assert seen(regions=frozenset({"eu"})) == {2}
    assert seen(classifications=frozenset({Classification.INTERNAL})) == {1, 2}
    assert seen(also=frozenset({"group:hr"})) == set()
    assert seen(also=frozenset({"group:everyone"})) == {1, 2, 4}


def test_decisions_are_remembered_for_a_bounded_number_of_askers() -> None:
    snapshot = snapshot_of([A])
    first = snapshot.view(asking("user:0", "group:everyone"))
    assert snapshot.view(asking("user:0", "group:everyone")) is first
    for number in range(1, 4200):
        snapshot.view(asking(f"user:{number}"))
    assert len(snapshot._views) == 4096
    again = snapshot.view(asking("user:0", "group:everyone"))
    assert again is not first
    assert again.allowed.fingerprint == first.allowed.fingerprint


def test_a_term_that_fills_a_chunk_is_counted_in_full() -> None:
    full = Doc(id="full", rev=1, chunks=(("refund",) * 300,))
    most = Doc(id="most", rev=2, chunks=(("refund",) * 70_000 + ("limit",),))
    docs = [full, most, D]
    snapshot = snapshot_of(docs)
    hits = search(snapshot, snapshot.view(asking("group:everyone")), Query(terms=["refund"]), 10)
    capped = replace(most, chunks=(("refund",) * 70_000 + ("limit",),))
    wanted = reference([full, capped, D], asking("group:everyone"), ["refund"], 10)
    assert [(name, round(value, 4)) for name, _, value in plain(docs, hits)] == [(n, round(v, 4)) for n, _, v in wanted]


def test_nobody_makes_an_allowed_set_but_the_permission_decision() -> None:
    made = snapshot_of([A]).view(asking("group:everyone")).allowed
    with pytest.raises(TypeError, match="permission decision"):
        Allowed(revisions=made.revisions, generation=1, until=None, is_stale=False, maker=object())


@pytest.mark.parametrize("acl", [(), ("everyone",), ("group:",), ("*",), ("user:",), ("group:Everyone",)])
def test_no_acl_means_nobody(acl: tuple[str, ...]) -> None:
    snapshot = snapshot_of([replace(A, acl=acl)])
    for names in (("group:everyone", "user:maria.chen"), (), ("*",)):
        if not set(names) & set(acl):
            assert search(snapshot, snapshot.view(asking(*names)), REFUND_LIMIT, 10) == ()


@pytest.mark.parametrize(
    "hidden",
    [
        replace(A, is_live=False),
        replace(A, versions=(2,)),
        replace(A, span=(DAY.toordinal() + 1, None)),
        replace(A, span=(None, DAY.toordinal())),
    ],
)
def test_taken_down_other_version_and_not_in_force_are_invisible(hidden: Doc) -> None:
    snapshot = snapshot_of([hidden, D])
    assert search(snapshot, snapshot.view(asking("group:everyone")), REFUND_LIMIT, 10) == ()


def test_k_outside_one_to_fifty_is_refused() -> None:
    snapshot = snapshot_of([A])
    view = snapshot.view(asking("group:everyone"))
    for k in (0, 51):
        with pytest.raises(ValueError, match="1 to 50"):
            search(snapshot, view, REFUND_LIMIT, k)


def test_only_the_rarest_sixty_four_terms_of_a_long_question_count() -> None:
    words = [f"w{n:03d}" for n in range(80)]
    common = [Doc(id=f"c{n}", rev=n + 1, chunks=(tuple(words[:16]),)) for n in range(3)]
    rare = Doc(id="rare", rev=9, chunks=(tuple(words[16:]),))
    snapshot = snapshot_of([*common, rare])
    hits = search(snapshot, snapshot.view(asking("group:everyone")), Query(terms=words), 10)
    assert plain([*common, rare], hits) == [("rare", 0, hits[0].score)]


def test_chunks_out_of_revision_order_are_refused_by_the_builder() -> None:
    with pytest.raises(ValueError, match="sort chunks"):
        build_segment(reversed(chunks_of([A, B])))


WORDS = ("refund", "limit", "card", "wire", "fee", "audit")
NAMES = ("group:a", "group:b", "group:c", "user:x")
MOMENTS = tuple(NOW + timedelta(microseconds=step) for step in (-(10**9), -1, 0, 1, 10**9))


def _random_docs(rng: random.Random, *, vectors: bool) -> list[Doc]:
    docs = []
    ages = rng.random() < 0.5
    for rev in range(rng.randint(1, 14)):
        chunks = tuple(tuple(rng.choices(WORDS, k=rng.randint(0, 7))) for _ in range(rng.randint(1, 3)))
        span = (
            rng.choice([None, DAY.toordinal() - 1, DAY.toordinal(), DAY.toordinal() + 1]),
            rng.choice([None, None, DAY.toordinal() + 2, DAY.toordinal()]),
        )
        docs.append(
            Doc(
                id=rng.choice("pqrstu") + str(rev),
                rev=rev,
                chunks=chunks,
                acl=tuple(rng.sample(NAMES, rng.randint(0, 3))),
                versions=tuple(rng.sample((1, 2), rng.randint(0, 2))),
                span=span,
                is_live=rng.random() > 0.1,
                stands_until=rng.choice(MOMENTS) if ages else None,
                vectors=tuple(tuple(rng.gauss(0, 1) for _ in range(4)) for _ in chunks) if vectors else None,
            )
        )
    return docs


def _check_case(seed: int) -> None:
    """One random corpus, asker and question: equal to brute force, and to an index of the visible part alone."""
    rng = random.Random(seed)
    vectors = rng.random() < 0.5
    docs = _random_docs(rng, vectors=vectors)
    cut = rng.randint(0, len(docs))
    dimension = 4 if vectors else None
    snapshot = snapshot_of(docs[:cut], docs[cut:], dimension=dimension)
    asker = asking(*rng.sample(NAMES, rng.randint(0, 3)), version=rng.choice((1, 2, 3)))
    terms = rng.choices((*WORDS, "unseen"), k=rng.randint(0, 4))
    visible = [doc for doc in docs if may_see(doc, asker)]
    lexical = plain(docs, search(snapshot, snapshot.view(asker), Query(terms=terms), 10))
    assert lexical == reference(docs, asker, terms, 10)
    vector = [rng.gauss(0, 1) for _ in range(4)] if vectors else None
    query = Query(terms=terms, vector=vector, candidates=rng.choice((2, 50)))
    whole = plain(docs, search(snapshot, snapshot.view(asker), query, 10))
    alone_index = snapshot_of(visible, dimension=dimension)
    alone = plain(docs, search(alone_index, alone_index.view(asker), query, 10))
    assert whole == alone
    assert {name for name, *_ in whole} <= {doc.id for doc in visible}


@pytest.mark.feature("RI.7")
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_hidden_changes_nothing(seed: int) -> None:
    _check_case(seed)


@pytest.mark.parametrize("block", range(9))
def test_hidden_changes_nothing_over_a_thousand_cases(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        _check_case(seed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(10))
def test_hidden_changes_nothing_over_a_hundred_thousand_cases(block: int) -> None:
    for seed in range(10**6 + block * 10**4, 10**6 + (block + 1) * 10**4):
        _check_case(seed)


def test_a_mask_and_an_id_list_count_the_same() -> None:
    rng = random.Random(7)
    docs = [
        Doc(
            id=f"d{rev:04d}",
            rev=rev,
            chunks=(tuple(rng.choices(WORDS, k=5)),),
            acl=("group:a" if rev % 200 else "group:b",),
        )
        for rev in range(1000)
    ]
    snapshot = snapshot_of(docs)
    for name in ("group:a", "group:b"):
        view = snapshot.view(asking(name))
        assert (view.parts[0].mask is None) == (name == "group:b")
        got = plain(docs, search(snapshot, view, Query(terms=["refund", "fee"]), 50))
        assert got == reference(docs, asking(name), ["refund", "fee"], 50)


def test_an_embedding_without_direction_is_refused_and_a_chunk_without_one_is_found_by_words() -> None:
    doc = replace(A, vectors=((0.0, 0.0),))
    snapshot = snapshot_of([doc, replace(B, vectors=((1.0, 0.0),))], dimension=2)
    view = snapshot.view(asking("group:everyone"))
    hits = search(snapshot, view, Query(terms=["refund"], vector=[1.0, 0.0]), 10)
    assert {hit.rev for hit in hits} == {1, 2}
    with pytest.raises(ValueError, match="not a direction"):
        search(snapshot, view, Query(terms=["refund"], vector=[0.0, 0.0]), 10)
    nan = search(snapshot, view, Query(terms=[], vector=[1.0, float(np.float32(0.5))]), 10)
    assert [hit.rev for hit in nan] == [2]
