"""Scores and words of scanners give one severity; nothing said is unknown."""

from __future__ import annotations

import pytest

from pilotage.core.canonical import Json
from pilotage.evidence.records import Severity
from pilotage.evidence.severity import highest, of_rating, of_word, worse


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (10.0, Severity.CRITICAL),
        (9.0, Severity.CRITICAL),
        (8.9, Severity.HIGH),
        (7.0, Severity.HIGH),
        (6.9, Severity.MEDIUM),
        (4.0, Severity.MEDIUM),
        (3.9, Severity.LOW),
        (0.1, Severity.LOW),
        (0.0, None),
        ("9.8", Severity.CRITICAL),
        ("", None),
        (None, None),
        (-1.0, Severity.UNKNOWN),
        ("NaN", Severity.UNKNOWN),
        ("high", Severity.UNKNOWN),
        (True, Severity.UNKNOWN),
    ],
)
def test_a_score_gives_its_severity_and_one_that_is_no_score_is_unknown(score: Json, severity: Severity | None) -> None:
    assert of_rating(score) is severity


def test_a_rating_of_zero_lowers_nothing() -> None:
    assert highest([of_rating(9.8), of_rating(0.0)]) is Severity.CRITICAL


def test_nothing_said_is_unknown() -> None:
    assert highest([]) is Severity.UNKNOWN
    assert highest([of_word("none"), of_word("")]) is Severity.UNKNOWN
    assert highest([None, Severity.LOW]) is Severity.LOW


def test_a_rating_that_cannot_be_read_hides_behind_no_other() -> None:
    assert highest([Severity.UNKNOWN, Severity.LOW]) is Severity.UNKNOWN
    assert highest([Severity.HIGH, Severity.UNKNOWN, Severity.CRITICAL]) is Severity.CRITICAL


def test_unknown_is_as_grave_as_critical() -> None:
    assert worse(Severity.HIGH, Severity.UNKNOWN) is Severity.UNKNOWN
    assert worse(Severity.UNKNOWN, Severity.CRITICAL) is Severity.CRITICAL
    assert worse(Severity.LOW, Severity.MEDIUM) is Severity.MEDIUM
