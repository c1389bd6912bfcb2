"""A file read again differs only in what its bytes alone decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gate.builders import NOW, RELEASE, evidence

from pilotage.control.keep_evidence import with_reading
from pilotage.control.reread_evidence import Reread, compared, release_about
from pilotage.evidence.read import READ_BY
from pilotage.evidence.records import Reading, SubjectKind
from pilotage.testing.releases import stored_release

READ = Reading(
    kind="coverage",
    reader="lcov",
    claims={"line_rate": 0.9, "critical_rate": 1.0},
    summary="s",
    refs={READ_BY: "lcov@1"},
    names={"uncovered_paths": ()},
)
ITEM = with_reading(evidence("coverage", {}, at=NOW), READ)


@pytest.mark.parametrize(
    ("kind", "claims", "expected"),
    [
        ("coverage", READ.claims, Reread.SAME),
        ("coverage", {"line_rate": 0.9, "critical_rate": 0.5}, Reread.UNKNOWN),
        ("coverage", {"line_rate": 0.9}, Reread.UNKNOWN),
        ("coverage", {"line_rate": 0.8, "critical_rate": 1.0}, Reread.DIFFERS),
        ("coverage", {"line_rate": 0.8, "critical_rate": 0.5}, Reread.DIFFERS),
        ("quality", {"line_rate": 0.9, "critical_rate": 0.5}, Reread.DIFFERS),
        ("training", {"line_rate": 0.9, "critical_rate": 0.5}, Reread.UNKNOWN),
    ],
)
def test_what_depends_on_people_paths_or_other_evidence_is_no_difference(
    kind: str, claims: dict[str, float], expected: Reread
) -> None:
    assert compared(replace(ITEM, kind=kind), replace(READ, claims=claims)) is expected


def test_references_and_names_that_the_bytes_decide_differ() -> None:
    assert compared(replace(ITEM, refs={**ITEM.refs, "commit": "c1"}), READ) is Reread.DIFFERS
    assert compared(replace(ITEM, refs={**ITEM.refs, "attested_by": "k1"}), READ) is Reread.SAME
    assert compared(replace(ITEM, refs={}), READ) is Reread.SAME, "read before readers had versions"


def test_an_item_is_about_the_newest_release_that_was_there_when_it_came() -> None:
    first, later = stored_release(RELEASE, at=NOW), stored_release(RELEASE, at=NOW + timedelta(days=1))
    item = replace(ITEM, subject_kind=SubjectKind.WORKFLOW, subject=first.workflow)
    assert release_about(item, [later, first]) is first
    assert release_about(replace(item, received_at=later.sealed_at), [later, first]) is later
    assert release_about(item, [later]) is None
