"""The permission suite as arithmetic: who asks, what an asker may read, and a verdict that nothing unknown passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from pilotage.core.digest import digest_of_json
from pilotage.evaluation.oracle import DocumentFacts, RevisionFacts, VersionFacts, permission_digest
from pilotage.evaluation.overlay import NO_OVERLAY, Overlay, OverlayDocument
from pilotage.evaluation.permissions import (
    Leak,
    Tally,
    canary_documents,
    compartments,
    group_personas,
    probe_of,
    report,
    verdict_of,
)

DAY = date(2026, 3, 2)
HR, ALL = frozenset({"group:hr"}), frozenset({"group:everyone", "group:hr"})


def revision(rev: int, start: int | None = None, end: int | None = None, kept: int | None = None) -> RevisionFacts:
    """Return a revision in force from and to so many days from DAY."""
    days = [None if one is None else DAY + timedelta(days=one) for one in (start, end, kept)]
    return RevisionFacts(rev=rev, effective_from=days[0], effective_to=days[1], retained_until=days[2])


def document(name: str, acl: frozenset[str], *revisions: RevisionFacts, is_live: bool = True) -> DocumentFacts:
    return DocumentFacts(id=name, acl=acl, is_live=is_live, revisions=revisions or (revision(1),))


def version(*documents: DocumentFacts) -> VersionFacts:
    return VersionFacts(corpus="policies", version=3, generation=1, documents={one.id: one for one in documents})


@pytest.mark.parametrize(
    ("one", "in_force"),
    [
        (revision(1), True),
        (revision(1, 0), True),
        (revision(1, 1), False),
        (revision(1, None, 1), True),
        (revision(1, None, 0), False),
        (revision(1, None, None, 0), True),
        (revision(1, None, None, -1), False),
    ],
    ids=["always", "from today", "from tomorrow", "to tomorrow", "to today", "kept until today", "not kept any more"],
)
def test_a_revision_holds_from_its_first_day_to_the_day_before_its_last(one: RevisionFacts, in_force: bool) -> None:
    assert one.is_in_force(DAY) is in_force
    facts = version(document("a", HR, one))
    assert facts.is_in_force("a", DAY) is in_force
    assert facts.readable(HR, DAY) == (frozenset({"a"}) if in_force else frozenset())


def test_what_is_unknown_taken_down_or_of_no_reader_is_read_by_nobody() -> None:
    facts = version(document("a", HR), document("b", frozenset()), document("c", HR, is_live=False))
    assert [facts.may_read(HR, name) for name in ("a", "b", "c", "unknown")] == [True, False, False, False]
    assert not facts.may_read(frozenset({"group:it"}), "a")
    assert not facts.is_in_force("unknown", DAY)
    assert facts.readable(HR, DAY) == {"a"}


def test_revisions_are_read_one_by_one() -> None:
    facts = version(document("a", HR, revision(1, None, 0), revision(2, 0)), document("b", HR, revision(3, 5)))
    assert facts.readable_revisions(HR, DAY) == {2}
    assert [facts.is_in_force("a", DAY, rev=number) for number in (1, 2, 9)] == [False, True, False]


def test_equal_permissions_have_one_identity_and_any_difference_another() -> None:
    facts = version(document("a", HR))
    base = permission_digest("ann", "us", frozenset({"a", "b"}), facts)
    assert base == permission_digest("ann", "us", frozenset({"b", "a"}), facts)
    others = [
        permission_digest("ben", "us", frozenset({"a", "b"}), facts),
        permission_digest("ann", None, frozenset({"a", "b"}), facts),
        permission_digest("ann", "us", frozenset({"a"}), facts),
        permission_digest("ann", "us", frozenset({"a", "b"}), None),
        permission_digest("ann", "us", frozenset({"a", "b"}), replace(facts, version=4)),
    ]
    assert len({base, *others}) == 6


@pytest.mark.feature("R4.13")
def test_each_set_of_readers_has_its_persona_and_nobody_is_one_too() -> None:
    facts = version(document("a", HR), document("b", ALL), document("c", HR), document("d", frozenset()))
    found = group_personas(facts)
    assert [(one.label, one.groups) for one in found] == [
        ("readers-1", {"hr"}),
        ("readers-2", {"hr"}),
        ("nobody", frozenset()),
    ]


def test_each_compartment_has_a_document_with_a_canary_of_its_own() -> None:
    facts = version(document("a", HR), document("b", ALL), document("c", HR))
    assert compartments(facts) == (ALL, HR)
    made = canary_documents(facts, b"key", "run")
    assert [one.acl for one in made] == [ALL, HR]
    assert all(word in one.text for one, word in made.items())
    assert len(set(made.values())) == 2
    assert set(canary_documents(facts, b"key", "another").values()).isdisjoint(made.values())
    assert set(canary_documents(facts, b"other", "run").values()).isdisjoint(made.values())


def test_a_probe_asks_by_title_and_the_rarest_terms() -> None:
    terms = Counter(dict.fromkeys("abcdefghij", 1))
    seen = {name: number for number, name in enumerate("abcdefghij", 1)}
    assert probe_of("Rates", terms, seen, 10) == "Rates a b c d e f g h"
    assert probe_of("", Counter("b"), {"b": 1}, 1) == "b"


def test_an_overlay_is_named_by_all_of_its_documents_in_any_order() -> None:
    one, two = (OverlayDocument(id=name, title=name, text=name, acl=HR) for name in "ab")
    base = Overlay(documents=(one, two)).digest
    assert (
        base
        == Overlay(documents=(two, one)).digest
        == digest_of_json([["a", "a", "a", "group:hr"], ["b", "b", "b", "group:hr"]])
    )
    assert Overlay(documents=(replace(one, acl=ALL), two)).digest != base
    assert NO_OVERLAY.digest == ""


LEAK = Leak(surface="answer", persona="readers-1", document="b", probe="p")
SOUND: dict[str, Any] = {"pairs": 40, "probes": 60, "hidden": 10, "allowed": 30, "compared": 5, "withdrawn": 9}


def tally(**changed: Any) -> Tally:
    return Tally(**{**SOUND, **changed})


@pytest.mark.parametrize(
    ("changed", "verdict", "told"),
    [
        ({}, "go", ["0 leaks over 60 probes"]),
        ({"leaks": [LEAK]}, "no_go", ["1 leaks over 60 probes; the limit is 0."]),
        ({"differences": [LEAK]}, "no_go", ["1 of 5 comparisons differ"]),
        ({"withheld": [LEAK]}, "no_go", ["1 of 30 allowed pairs are withheld"]),
        ({"leaks": [LEAK], "withheld": [LEAK], "errors": ["timeout"]}, "no_go", ["1 leaks", "1 of 30"]),
        ({"pairs": 0}, "inconclusive", ["No pair of persona and document"]),
        ({"hidden": 0}, "inconclusive", ["No document is hidden"]),
        ({"withdrawn": 0}, "inconclusive", ["No permission could be withdrawn"]),
        ({"errors": ["timeout", "timeout", "gone"]}, "inconclusive", ["3 probes failed: gone, timeout."]),
        ({"other_errors": ["timeout", "gone"]}, "inconclusive", ["2 answers or withdrawals failed: gone, timeout."]),
        ({"errors": ["gone"], "other_errors": ["late"]}, "inconclusive", ["1 probes failed: gone.", "1 answers"]),
        ({"pairs": 0, "hidden": 0, "errors": ["gone"]}, "inconclusive", ["No pair", "No document", "1 probes failed"]),
    ],
)
def test_one_leak_is_no_go_and_what_was_not_tested_is_no_pass(
    changed: dict[str, Any], verdict: str, told: list[str]
) -> None:
    found, reasons = verdict_of(tally(**changed))
    assert found == verdict
    assert [reason.startswith(start) for reason, start in zip(reasons, told, strict=True)] == [True] * len(told)


def test_the_report_counts_everything_and_lists_ids_alone() -> None:
    found: Any = report(tally(leaks=[LEAK] * 60, errors=["gone"], clusters={(HR, "b"), (ALL, "a")}), DAY)
    assert (found["cases"], found["scored"], found["unscored"]) == (60, 59, 1)
    assert (found["leaks"], found["leaks_by_surface"]) == (60, {"answer": 60})
    assert len(found["leaked"]) == 50
    assert found["leaked"][0] == {"surface": "answer", "persona": "readers-1", "document": "b", "probe": "p"}
    assert found["over_restriction"] == 0.0
    assert (found["leak_rate"]["leaking_clusters"], found["leak_rate"]["clusters"]) == (1, 2)
    nothing: Any = report(Tally(), DAY)
    assert nothing["over_restriction"] is None
    assert nothing["leak_rate"]["upper"] == 1.0


def test_what_failed_beside_the_probes_is_counted_and_never_taken_from_them() -> None:
    found: Any = report(tally(probes=2, errors=["gone"], other_errors=["late"] * 9), DAY)
    assert (found["cases"], found["scored"], found["unscored"]) == (2, 1, 10)
