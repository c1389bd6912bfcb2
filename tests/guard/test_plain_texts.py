"""Texts in which nothing was found are remembered by digest alone, and links by what they cannot do without."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.guard import pii_recognise, plain_texts
from pilotage.guard.pii_recognise import recognise
from pilotage.guard.pii_types import PiiType
from pilotage.guard.plain_texts import PlainTexts, name_of
from pilotage.guard.urls import _IMAGE, _IMAGE_START, _LINK, _PATH_BEHIND_MARKER, _TAG, _URL, may_hold_urls

US = frozenset({"us"})
PIECES = ["<", ">", "!", "[", "]", "(", ")", ":", "/", "//", "www.", "WWW.", "http", "a.b", "1", " ", "é", "\n"]


def test_a_text_with_nothing_in_it_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def first_pass(text: str) -> list[int]:
        looked.append(text)
        return []

    monkeypatch.setattr(pii_recognise, "FIRST_PASS", first_pass)
    monkeypatch.setattr(pii_recognise, "_PLAIN", PlainTexts())
    for _ in range(3):
        assert recognise("nothing here, 2026-11-26", present=first_pass) == ()
    assert looked == ["nothing here, 2026-11-26"]


def test_a_text_with_something_in_it_is_never_taken_for_a_plain_one() -> None:
    for _ in range(3):
        assert [one.type for one in recognise("SSN 536-90-8726")] == [PiiType.US_SSN]


def test_forms_of_other_regions_are_looked_for_on_their_own() -> None:
    text = "the number is 212 555 0142"
    for _ in range(2):
        assert recognise(text, regions=frozenset({"uk"})) == ()
        assert [one.type for one in recognise(text, regions=US)] == [PiiType.PHONE]


def test_only_digests_are_kept_and_a_full_memo_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_texts, "ENTRIES", 2)
    memo = PlainTexts()
    names = [name_of(text, US) for text in ("one", "two", "three")]
    assert all(len(digest) == 32 for digest, _ in names)
    for name in names:
        memo.keep(name)
    assert [name in memo for name in names] == [False, False, True]
    assert name_of("one", US) != name_of("one", frozenset())


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_a_text_without_their_marks_holds_no_image_tag_link_or_address(text: str) -> None:
    if not may_hold_urls(text):
        forms = (_IMAGE, _IMAGE_START, _TAG, _LINK, _PATH_BEHIND_MARKER, _URL)
        assert not any(form.search(text) for form in forms)
