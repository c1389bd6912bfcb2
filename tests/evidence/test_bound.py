"""Evidence that names a commit is about the sealed one, or not known to be; what was fetched must say so itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.evidence.bound import bound_problem, is_of_source
from pilotage.release.seal import Source

SEALED = Source(repo="r", commit="c1", tree="t1", dirty=False)
DIRTY, NO_GIT = replace(SEALED, dirty=True), Source()
ABOUT = {"commit": "c1", "head_tree": "t1"}
OTHER = {"commit": "c2", "head_tree": "t2"}


@pytest.mark.parametrize(
    ("kind", "refs", "source", "is_fetched", "told"),
    [
        ("quality", ABOUT, SEALED, True, None),
        ("quality", ABOUT, SEALED, False, None),
        ("review.code", ABOUT, SEALED, False, None),
        ("quality", OTHER, SEALED, False, "It is about commit c2; the release was sealed from c1."),
        ("review.code", OTHER, SEALED, False, "It is about head tree t2; the release was sealed from t1."),
        ("review.code", {"commit": "c2", "head_tree": "t1"}, SEALED, False, None),
        ("tests.unit", OTHER, SEALED, False, None),
        ("tests.unit", OTHER, SEALED, True, "It is about commit c2; the release was sealed from c1."),
        ("tests.unit", {}, SEALED, True, None),
        ("quality", {}, SEALED, False, None),
        ("quality", {}, SEALED, True, "the tool names no commit"),
        ("quality", ABOUT, DIRTY, False, None),
        ("quality", ABOUT, DIRTY, True, "the release was sealed with uncommitted changes"),
        ("quality", ABOUT, NO_GIT, False, None),
        ("quality", ABOUT, NO_GIT, True, "the release was sealed outside Git"),
    ],
)
def test_only_evidence_of_the_sealed_commit_counts_and_what_was_fetched_proves_it(
    kind: str, refs: dict[str, str], source: Source, *, is_fetched: bool, told: str | None
) -> None:
    found = bound_problem(kind, refs, source, is_fetched=is_fetched)
    assert (found is None) is (told is None)
    if found is not None and told is not None:
        assert (found.code, found.where) == ("EV_WRONG_SUBJECT", kind)
        assert told in found.text


@pytest.mark.parametrize(
    ("kind", "refs", "source", "is_it"),
    [
        ("quality", ABOUT, SEALED, True),
        ("scan.sast", ABOUT, SEALED, True),
        ("review.code", {"commit": "c2", "head_tree": "t1"}, SEALED, True),
        ("review.code", {"commit": "c1", "head_tree": "t2"}, SEALED, False),
        ("quality", OTHER, SEALED, False),
        ("quality", {}, SEALED, False),
        ("quality", ABOUT, DIRTY, False),
        ("quality", {"commit": ""}, NO_GIT, False),
        ("load.peak", ABOUT, SEALED, False),
    ],
)
def test_what_names_the_sealed_tree_is_evidence_of_the_source(
    kind: str, refs: dict[str, str], source: Source, *, is_it: bool
) -> None:
    assert is_of_source(kind, refs, source) is is_it
