"""Scores and words of scanners give one severity; nothing said is unknown."""

from __future__ import annotations

import pytest

from pilotage.evidence.records import Severity
from pilotage.evidence.severity import highest, of_score, of_word, worse


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
        (-1.0, None),
        (None, None),
    ],
)
def test_a_score_gives_its_severity(score: float | None, severity: Severity | None) -> None:
    assert of_score(score) is severity


def test_a_rating_of_zero_lowers_nothing() -> None:
    assert highest([of_score(9.8), of_score(0.0)]) is Severity.CRITICAL


def test_nothing_said_is_unknown() -> None:
    assert highest([]) is Severity.UNKNOWN
    assert highest([of_word("none"), of_word("")]) is Severity.UNKNOWN
    assert highest([Severity.UNKNOWN, Severity.LOW]) is Severity.LOW


def test_unknown_is_as_grave_as_critical() -> None:
    assert worse(Severity.HIGH, Severity.UNKNOWN) is Severity.UNKNOWN
    assert worse(Severity.UNKNOWN, Severity.CRITICAL) is Severity.CRITICAL
    assert worse(Severity.LOW, Severity.MEDIUM) is Severity.MEDIUM
