"""The quality report of a refresh: what a steward sees, each finding by its rule, and what blocks acceptance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pilotage.core.digest import digest_of
from pilotage.core.ids import DocumentId
from pilotage.corpus.acl import EVERYONE
from pilotage.corpus.inspection import Inspected, inspect_nothing
from pilotage.corpus.quality import MIN_TOKENS, MOST_IDS, FindingKind, QualityCollector, Seen, stale_limit
from pilotage.corpus.records import Chunk, DocumentDraft, Rejected
from pilotage.corpus.settings import Classification

NOW = datetime(2026, 3, 2, tzinfo=UTC)
OLD = stale_limit(NOW, timedelta(days=7))
TEXT = " ".join(f"word{number}" for number in range(MIN_TOKENS))


def draft(name: str = "a", *, text: str = TEXT, **changed: Any) -> DocumentDraft:
    chunk = Chunk(
        ordinal=0,
        section="",
        text=text,
        start=0,
        end=len(text),
        tokens=len(text.split()),
        content_hash=digest_of(text.encode()),
    )
    plain = DocumentDraft(
        id=DocumentId(name),
        title=name,
        uri=None,
        acl=("group:staff",),
        acl_source="rules",
        classification=Classification.INTERNAL,
        region="us",
        effective_from=None,
        effective_to=None,
        revision_hash=digest_of(f"{name} {text}".encode()),
        meta_hash=digest_of(name.encode()),
        chunks=(chunk,),
        lineage={},
        modified=NOW,
    )
    return replace(plain, **changed)


def seen(one: DocumentDraft, text: str = TEXT, **changed: Any) -> Seen:
    return replace(Seen(draft=one, text=text), **changed)


def findings(*found: Seen, stale_before: datetime | None = OLD, pii: int = 0, tripwires: int = 0) -> dict[str, int]:
    inspected = Inspected(pii={"US_SSN": pii} if pii else {}, tripwires=tripwires)
    collector = QualityCollector(inspect=lambda _text: inspected, stale_before=stale_before)
    for one in found:
        collector.add(one)
    return {kind.value: count for kind, count in collector.report().findings.items()}


def test_a_sound_document_has_no_finding() -> None:
    assert findings(seen(draft())) == {}


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (seen(draft(text="too short")), FindingKind.NEARLY_EMPTY),
        (seen(draft(), before_chars=2 * len(TEXT) + 1), FindingKind.SHRUNK),
        (seen(draft(acl=())), FindingKind.NOBODY_READABLE),
        (seen(draft(acl=(EVERYONE,), classification=Classification.CONFIDENTIAL)), FindingKind.READABLE_BY_EVERYONE),
        (seen(draft(modified=OLD - timedelta(seconds=1))), FindingKind.STALE),
        (seen(draft(), needs_ocr=(1,)), FindingKind.NEEDS_OCR),
        (seen(draft(), failed_pages=(2,)), FindingKind.FAILED_PAGES),
        (seen(draft(), hidden_elements=1), FindingKind.HIDDEN_TEXT),
        (seen(draft(notes=("classification_not_lowered",))), FindingKind.CLASSIFICATION_NOT_LOWERED),
    ],
    ids=lambda value: value.value if isinstance(value, FindingKind) else "",
)
def test_each_fault_of_a_document_is_found_by_its_kind(one: Seen, kind: FindingKind) -> None:
    assert findings(one) == {kind.value: 1}


@pytest.mark.parametrize(
    "one",
    [
        seen(draft(), before_chars=2 * len(TEXT)),
        seen(draft(acl=(EVERYONE,), classification=Classification.INTERNAL)),
        seen(draft(acl=("group:hr",), classification=Classification.RESTRICTED)),
        seen(draft(modified=OLD)),
        seen(draft(modified=None)),
    ],
    ids=["half is left", "internal for everyone", "restricted for few", "just in time", "no date of change"],
)
def test_what_is_just_within_a_rule_is_no_finding(one: Seen) -> None:
    assert findings(one) == {}


def test_without_a_cadence_nothing_is_stale() -> None:
    assert findings(seen(draft(modified=OLD - timedelta(days=999))), stale_before=None) == {}


@pytest.mark.feature("D8.7")
def test_personal_data_and_instructions_are_counted_and_never_shown() -> None:
    assert findings(seen(draft()), pii=3, tripwires=1) == {"structured_pii": 1, "tripwire": 1}
    assert inspect_nothing("536-90-8726") == Inspected()


def test_copies_are_named_after_the_first_and_near_copies_are_told_apart() -> None:
    words = [f"word{number}" for number in range(400)]
    base, near = " ".join(words), " ".join([*words[:200], "changed", *words[201:]])
    first, copy, close = draft("a"), draft("b"), draft("c")
    copy = replace(copy, revision_hash=first.revision_hash)
    collector = QualityCollector(inspect=inspect_nothing, stale_before=None)
    for one, text in ((first, base), (copy, base), (close, near), (draft("d"), "only four words here")):
        collector.add(seen(one, text))
    report = collector.report()
    assert report.ids == {FindingKind.EXACT_DUPLICATE: ("a = b",), FindingKind.NEAR_DUPLICATE: ("a = c",)}


@pytest.mark.parametrize(
    ("changed", "conflicts"),
    [
        ({}, 1),
        ({"title": "another"}, 0),
        ({"effective_from": date(2027, 1, 1), "effective_to": None}, 0),
        ({"effective_from": None, "effective_to": None}, 0),
        ({"id": DocumentId("a")}, 0),
        ({"revision_hash": draft("a").revision_hash}, 0),
    ],
    ids=["same days", "another title", "later days", "no days", "same document", "same text"],
)
def test_two_texts_of_one_title_in_force_on_one_day_conflict(changed: dict[str, Any], conflicts: int) -> None:
    span: dict[str, Any] = {"title": "Rates", "effective_from": date(2026, 1, 1), "effective_to": date(2027, 1, 1)}
    found = findings(seen(draft("a", **span)), seen(draft("b", **{**span, **changed})))
    assert found.get("conflicting_effective_dates", 0) == conflicts


def test_ids_are_bounded_and_counts_are_complete() -> None:
    collector = QualityCollector(inspect=inspect_nothing, stale_before=None)
    span: dict[str, Any] = {"title": "Rates", "effective_from": date(2026, 1, 1), "acl": ()}
    for number in range(MOST_IDS + 5):
        collector.add(seen(draft(f"d{number}", **span), text=f"text {number}"))
    report = collector.report()
    assert report.findings[FindingKind.NOBODY_READABLE] == MOST_IDS + 5
    assert len(report.ids[FindingKind.NOBODY_READABLE]) == MOST_IDS
    assert report.findings[FindingKind.CONFLICTING_EFFECTIVE_DATES] == MOST_IDS + 4


def test_rejections_are_counted_by_reason_without_what_differs() -> None:
    collector = QualityCollector(inspect=inspect_nothing, stale_before=None)
    for name in ("a", "b"):
        one = Rejected(id=name, reason=f"too large: {name} takes 9 MB")
        collector.reject(one)
        assert one.as_json() == {"id": name, "reason": one.reason}
    assert collector.report().rejected == {"too large": 2}


def test_data_exposed_to_everyone_blocks_and_nothing_else_does() -> None:
    collector = QualityCollector(inspect=inspect_nothing, stale_before=None)
    collector.add(seen(draft("a", acl=())))
    assert collector.report().blocking == ()
    collector.add(seen(draft("b", acl=(EVERYONE,), classification=Classification.RESTRICTED)))
    (reason,) = collector.report().blocking
    assert (reason.code, reason.where, reason.observed) == ("READABLE_BY_EVERYONE", "b", "1")
    shown: Any = collector.report().as_json()
    assert (shown["documents"], shown["chunks"], shown["tokens"]) == (2, 2, 2 * MIN_TOKENS)
    assert shown["findings"]["readable_by_everyone"] == {"count": 1, "ids": ["b"], "blocking": True}
    assert shown["findings"]["nobody_readable"]["blocking"] is False
