"""What the answer cache keeps, for how long, and how much memory it takes: no more than it was given."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import CanonicalError
from pilotage.core.digest import Digest, digest_of
from pilotage.release.generation import FinishReason, Passage, Usage
from pilotage.serving.answer_cache import CACHE_BYTES, AnswerCache, Basis, Entry, ends_at
from pilotage.serving.context import Cited, Found, Generation, Retrieval, Verdict
from pilotage.serving.kept_answer import KeptAnswer, pack, unpack

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ONE, TWO = digest_of(b"release-1"), digest_of(b"release-2")
BASIS = Basis(
    release=ONE,
    corpus=digest_of(b"version-3"),
    generation=7,
    allowed=digest_of(b"allowed"),
    as_of="2026-03-02",
    regions=("us", "us"),
    messages=(("user", "When are errors resolved?"),),
    parameters={"max_tokens": 1024},
    principal=None,
)


def key(name: str) -> Digest:
    return digest_of(name.encode())


def entry(**changes: Any) -> Entry:
    plain = Entry(
        release=ONE,
        corpus="policies",
        generation=7,
        revisions=frozenset({1, 2}),
        kept_at=NOW,
        ends_at=NOW + timedelta(seconds=300),
        body=b"answer",
    )
    return replace(plain, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"release": TWO},
        {"corpus": digest_of(b"version-4")},
        {"corpus": None},
        {"generation": 8},
        {"allowed": digest_of(b"more")},
        {"as_of": "2026-03-03"},
        {"regions": ("eu", "us")},
        {"regions": ("us", "eu")},
        {"messages": (("user", "When?"),)},
        {"messages": (("system", "When are errors resolved?"),)},
        {"messages": (("user", "Hello"), ("user", "When are errors resolved?"))},
        {"parameters": {"max_tokens": 10}},
        {"principal": "local|maria"},
    ],
    ids=str,
)
def test_everything_an_answer_depends_on_is_in_its_key(change: dict[str, Any]) -> None:
    assert replace(BASIS).key == BASIS.key
    assert replace(BASIS, **change).key != BASIS.key


def test_a_question_without_canonical_form_has_no_key_and_one_outside_nfc_has() -> None:
    with pytest.raises(CanonicalError):
        _ = replace(BASIS, messages=(("user", "\ud800"),)).key
    assert replace(BASIS, messages=(("user", "e\u0301"),)).key


@pytest.mark.parametrize(
    ("at", "zone", "until"),
    [
        (NOW, "UTC", NOW + timedelta(seconds=300)),
        (datetime(2026, 3, 2, 23, 58, tzinfo=UTC), "UTC", datetime(2026, 3, 3, tzinfo=UTC)),
        (datetime(2026, 3, 3, 4, 57, tzinfo=UTC), "America/New_York", datetime(2026, 3, 3, 5, tzinfo=UTC)),
        (datetime(2026, 3, 3, 0, 1, tzinfo=UTC), "America/New_York", datetime(2026, 3, 3, 0, 6, tzinfo=UTC)),
        (datetime(2026, 7, 2, 21, 59, tzinfo=UTC), "Europe/Berlin", datetime(2026, 7, 2, 22, tzinfo=UTC)),
    ],
)
def test_an_answer_is_given_for_five_minutes_and_never_beyond_the_organisation_s_midnight(
    at: datetime, zone: str, until: datetime
) -> None:
    assert ends_at(at, ZoneInfo(zone)) == until
    sooner = at + timedelta(seconds=1)
    assert ends_at(at, ZoneInfo(zone), allowed_until=sooner) == sooner
    assert ends_at(at, ZoneInfo(zone), allowed_until=until + timedelta(days=2)) == until


@pytest.mark.parametrize(("seconds", "is_given"), [(0, True), (299, True), (300, False), (-1, False)])
def test_an_entry_ends_with_its_time_and_when_the_clock_goes_back(seconds: int, *, is_given: bool) -> None:
    cache = AnswerCache()
    cache.put(key("a"), entry())
    assert (cache.get(key("a"), at=NOW + timedelta(seconds=seconds)) is not None) is is_given
    assert (len(cache), cache.bytes) == ((1, entry().size) if is_given else (0, 0))
    assert cache.get(key("b"), at=NOW) is None


def test_the_least_recently_used_goes_first_and_what_is_too_large_is_not_kept() -> None:
    one = entry().size
    cache = AnswerCache(limit=3 * one)
    for name in "abc":
        cache.put(key(name), entry())
    assert cache.get(key("a"), at=NOW) is not None
    cache.put(key("d"), entry())
    held = [name for name in "abcd" if cache.get(key(name), at=NOW) is not None]
    assert held == ["a", "c", "d"]
    cache.put(key("c"), entry(body=bytes(3 * one)))
    assert (len(cache), cache.bytes) == (2, 2 * one), "the earlier answer is not the newest any more"
    cache.put(key("a"), entry(body=b""))
    assert cache.bytes == 2 * one - len(b"answer")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6_000), st.booleans()), max_size=60))
def test_what_is_counted_is_what_is_held_and_never_over_the_limit(steps: list[tuple[str, int, bool]]) -> None:
    cache = AnswerCache(limit=12_000)
    for name, size, is_put in steps:
        if is_put:
            cache.put(key(name), entry(body=bytes(size)))
        else:
            cache.drop(key(name))
        held = [found for one in "abcdef" if (found := cache.get(key(one), at=NOW)) is not None]
        assert cache.bytes == sum(one.size for one in held) <= 12_000
        assert len(cache) == len(held)


def test_a_corpus_that_moved_takes_its_answers_along_and_late_ones_are_not_kept() -> None:
    cache = AnswerCache()
    cache.put(key("a"), entry())
    cache.put(key("b"), entry(generation=8))
    cache.put(key("c"), entry(corpus="another"))
    cache.put(key("d"), entry(corpus=None, generation=0))
    assert cache.moved("policies", 8) == 1
    assert (cache.get(key("a"), at=NOW), len(cache)) == (None, 3)
    cache.put(key("a"), entry())
    assert cache.get(key("a"), at=NOW) is None, "it was decided before the corpus moved"
    assert cache.moved("policies", 5) == 0
    cache.put(key("a"), entry())
    assert len(cache) == 3, "a notification that came late changes nothing"


@pytest.mark.feature("RI.9")
def test_an_answer_goes_with_any_revision_it_rests_on() -> None:
    cache = AnswerCache()
    cache.put(key("a"), entry())
    cache.put(key("b"), entry(revisions=frozenset({3})))
    cache.put(key("c"), entry(corpus="another"))
    assert cache.lost("policies", {2, 9}) == 1
    assert cache.lost("policies", ()) == 0
    assert [cache.get(key(name), at=NOW) is None for name in "abc"] == [True, False, False]


def test_a_release_s_answers_are_counted_and_go_together() -> None:
    cache = AnswerCache()
    for name, release in (("a", ONE), ("b", ONE), ("c", TWO)):
        cache.put(key(name), entry(release=release))
    assert (cache.count(ONE), cache.count(TWO)) == (2, 1)
    assert cache.only({TWO}) == 2
    assert (cache.count(ONE), cache.count(TWO), cache.bytes) == (0, 1, entry().size)


def test_a_sweep_leaves_nothing_that_is_over() -> None:
    cache = AnswerCache()
    cache.put(key("a"), entry())
    cache.put(key("b"), entry(ends_at=NOW + timedelta(seconds=10)))
    assert cache.sweep(NOW + timedelta(seconds=10)) == 1
    assert cache.sweep(NOW + timedelta(seconds=300)) == 1
    assert (len(cache), cache.bytes) == (0, 0)


def answer(number: int, passages: int, length: int) -> KeptAnswer:
    text = f"Errors of kind {number} are resolved in ten days [1]." + "x" * length
    passage = Passage(marker=1, document="errors", title="Errors", section="1", ordinal=0, rev=number, text=text)
    found = tuple(Found(passage=passage, corpus="policies", rank=one + 1, score=1 / 3) for one in range(passages))
    cited = Cited(
        marker=1, corpus="policies", document="errors", title="Errors", section="1", rev=number, ordinal=0,
        start=0, end=9, quote=text[:40], uri=None, effective_date=None,
    )  # fmt: skip
    return KeptAnswer(
        retrieval=Retrieval(
            corpus="policies", corpus_version=3, as_of=date(2026, 3, 2), found=found, idf=(("error", 0.1 + 0.2),),
            acl_generation=7, allowed_count=9, allowed_fingerprint=key("x"),
        ),
        generation=Generation(
            text="", finish=FinishReason.STOP, usage=Usage(prompt_tokens=9, completion_tokens=2), model="fake",
            retries=0, cost_nano=None, first_us=4,
        ),
        verdict=Verdict(text=text, stored=text, refusal=None, findings=(), cited=(cited,), scores={"numbers": "0"}),
    )  # fmt: skip


def test_a_kept_answer_is_the_answer() -> None:
    kept = answer(1, passages=5, length=0)
    assert unpack(pack(kept)) == kept


@pytest.mark.parametrize(("passages", "length"), [(0, 0), (5, 0), (5, 2_000)])
def test_the_memory_that_is_counted_covers_the_memory_that_is_taken(passages: int, length: int) -> None:
    """LRU by bytes holds its promise only where an entry takes no more than it is counted with."""
    cache = AnswerCache(limit=2**20)
    bodies = [pack(answer(number, passages, length)) for number in range(2_000)]
    gc.collect()
    tracemalloc.start()
    try:
        for number, body in enumerate(bodies):
            revisions = frozenset(range(1_000_000 + number, 1_000_000 + number + passages))
            at = NOW + timedelta(microseconds=number)
            own = {"kept_at": at, "ends_at": at + timedelta(seconds=300), "revisions": revisions}
            cache.put(key(str(number)), entry(body=bytes(bytearray(body)), **own))
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.9 * 2**20 < cache.bytes <= 2**20
    assert taken <= cache.bytes
    assert CACHE_BYTES == 64 * 2**20
