"""A reading that another version of its reader made leaves its criterion unknown, whatever it and the others say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import GOOD_TESTS, NOW, approved_roles, codes, evidence, swap

from pilotage.evidence.read import FORMATS, READ_BY
from pilotage.evidence.reader_versions import CHANGED, changed_reason
from pilotage.evidence.superseding import INSTANCE
from pilotage.gate.decide import decide
from pilotage.gate.vocabulary import GateStatus

JUNIT = next(one for one in FORMATS if one.id == "JUnit XML")
SARIF = next(one for one in FORMATS if one.id == "SARIF")


@pytest.mark.parametrize(
    ("read_by", "junit", "sarif", "is_same"),
    [
        (None, 1, 1, True),
        (None, 1, 2, True),
        (None, 2, 1, False),
        ("JUnit XML@1", 1, 2, True),
        ("JUnit XML@1", 2, 1, False),
        ("JUnit XML@2", 2, 1, True),
        ("JUnit XML@2", 1, 1, False),
        ("Another@1", 1, 1, False),
    ],
)
def test_a_reading_counts_while_its_reader_is_of_the_version_that_made_it(
    read_by: str | None, junit: int, sarif: int, *, is_same: bool
) -> None:
    item = evidence("tests.unit", {"failed": 0.0}, refs={} if read_by is None else {READ_BY: read_by})
    formats = (replace(JUNIT, version=junit), replace(SARIF, version=sarif))
    reason = changed_reason(item, formats)
    assert (reason is None) is is_same
    assert reason is None or reason.code == CHANGED
    assert changed_reason(replace(item, producer=INSTANCE), formats) is None, "no reader read what Pilotage found"


@pytest.mark.parametrize("read_by", [None, "JUnit XML@1"])
def test_a_reading_of_a_kind_that_no_reader_reads_any_more_counts_for_nothing(read_by: str | None) -> None:
    item = evidence("tests.unit", {"failed": 0.0}, refs={} if read_by is None else {READ_BY: read_by})
    reason = changed_reason(item, (SARIF,))
    assert reason is not None
    assert (reason.code, reason.limit) == (CHANGED, "no reader")


OLD = replace(evidence("tests.unit", GOOD_TESTS), refs={READ_BY: "JUnit XML@0"})


def test_a_gate_with_such_a_reading_is_not_approved_and_says_what_to_do() -> None:
    assert decide(approved_roles(), NOW).status is GateStatus.APPROVED
    report = decide(swap(approved_roles(), OLD), NOW)
    assert report.status is GateStatus.STALE
    (reason,) = [one for one in report.reasons if one.code == CHANGED]
    assert (reason.observed, reason.limit) == ("JUnit XML@0", "JUnit XML@1")
    assert "pilotage evidence add" in reason.text


def test_another_suite_of_the_same_kind_does_not_hide_it() -> None:
    given = approved_roles()
    other = evidence("tests.unit", GOOD_TESTS, suite="slow")
    report = decide(replace(swap(given, OLD), evidence=(*swap(given, OLD).evidence, other)), NOW)
    assert CHANGED in codes(report)
    assert not report.status.is_approved


def test_the_same_file_read_again_restores_the_approval_without_new_votes() -> None:
    again = replace(OLD, id="again", refs={READ_BY: "JUnit XML@1"})
    assert decide(swap(approved_roles(), again), NOW).status is GateStatus.APPROVED
