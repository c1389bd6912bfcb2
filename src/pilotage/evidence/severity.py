"""How bad a finding is, from what scanners say: CVSS scores, SARIF levels and the severity words of each tool.

Source: gates.md 2.6, FIRST CVSS v3.1 section 5. Rule: several ratings give the highest; a score of 0 says nothing and
lowers nothing. Fail mode: no score and no word known here is `UNKNOWN`, which gates treat as critical.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from types import MappingProxyType

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_number, number_in
from pilotage.evidence.records import Severity

_RANK: Mapping[Severity, int] = MappingProxyType(
    {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}
)

WORDS: Mapping[str, Severity] = MappingProxyType(
    {
        "critical": Severity.CRITICAL,
        "high": Severity.HIGH,
        "error": Severity.HIGH,
        "important": Severity.HIGH,
        "medium": Severity.MEDIUM,
        "moderate": Severity.MEDIUM,
        "warning": Severity.MEDIUM,
        "low": Severity.LOW,
        "note": Severity.LOW,
        "negligible": Severity.LOW,
        "info": Severity.LOW,
        "informational": Severity.LOW,
    }
)
"""Severity words most tools share. `info` counts as low: an informational finding is shown, never dropped."""

SONARQUBE: Mapping[str, Severity] = MappingProxyType(
    {
        "blocker": Severity.CRITICAL,
        "critical": Severity.CRITICAL,
        "major": Severity.HIGH,
        "high": Severity.HIGH,
        "medium": Severity.MEDIUM,
        "minor": Severity.LOW,
        "low": Severity.LOW,
        "info": Severity.LOW,
    }
)
"""Words of SonarQube, in its standard and its multi-quality mode."""

SARIF_LEVELS: Mapping[str, Severity] = MappingProxyType(
    {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW}
)

ZAP_RISKS: Mapping[str, Severity] = MappingProxyType(
    {"3": Severity.HIGH, "2": Severity.MEDIUM, "1": Severity.LOW, "0": Severity.LOW}
)
"""ZAP's `riskcode`; 0 is informational."""


def of_score(score: float) -> Severity | None:
    """Return the severity of a CVSS or security-severity score in (0, 10]; None when the score says nothing."""
    if score <= 0:
        return None
    for least, severity in ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM)):
        if score >= least:
            return severity
    return Severity.LOW


def of_rating(value: Json) -> Severity | None:
    """Return what a score as a file states it means: None where none is stated, UNKNOWN for one that is no score."""
    if value is None or value == "":
        return None
    score = number_in(value) if isinstance(value, str) else as_number(value)
    return Severity.UNKNOWN if score is None or score < 0 else of_score(score)


def of_word(word: str, words: Mapping[str, Severity] = WORDS) -> Severity | None:
    """Return the severity a tool's own word means, None for a word it does not use."""
    return words.get(word.strip().lower())


def highest(ratings: Iterable[Severity | None]) -> Severity:
    """Return the worst of several ratings; UNKNOWN when none of them says anything, or one cannot be read."""
    said = [rating for rating in ratings if rating is not None]
    return reduce(worse, said, said[0]) if said else Severity.UNKNOWN


def worse(one: Severity, other: Severity) -> Severity:
    """Return the graver of two findings' severities. UNKNOWN is as grave as critical, and critical is the known one."""
    if Severity.CRITICAL in (one, other):
        return Severity.CRITICAL
    if Severity.UNKNOWN in (one, other):
        return Severity.UNKNOWN
    return max(one, other, key=_RANK.__getitem__)
