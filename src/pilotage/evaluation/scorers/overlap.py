"""The answer against a reference text: `exact_match`, `token_recall`, `token_f1` (evaluation.md 3.3).

Tokens are words and numbers of the normal form; overlaps are clipped. Fail mode: a refused or empty answer has 0.
"""

from __future__ import annotations

from collections import Counter

from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.scorer import Found, Missing, Subject, Value
from pilotage.guard.citations import MARKER
from pilotage.guard.grounding_features import grounding_tokens
from pilotage.guard.normalise import normalise
from pilotage.workspace.golden import GoldenCase


def has_reference(case: GoldenCase) -> bool:
    """Tell whether the case holds a reference answer."""
    return case.expect.answer is not None


def exact_match(subject: Subject) -> Found:
    """Return 1 when answer and reference are equal in normal form, markers and a final full stop apart."""
    if subject.generation.refused:
        return Value(0.0)
    return Value(float(_plain(subject.generation.answer) == _plain(subject.case.expect.answer or "")))


def token_recall(subject: Subject) -> Found:
    """Return clipped overlap / reference tokens."""
    overlap, _, reference = _overlap(subject)
    return Value(overlap / reference) if reference else Missing(Unscored.MISSING_FIELD)


def token_f1(subject: Subject) -> Found:
    """Return the harmonic mean of token precision and recall."""
    overlap, answer, reference = _overlap(subject)
    return Value(2 * overlap / (answer + reference)) if reference else Missing(Unscored.MISSING_FIELD)


def _plain(text: str) -> str:
    return normalise(MARKER.sub("", text)).rstrip(". ")


def _overlap(subject: Subject) -> tuple[int, int, int]:
    reference = Counter(grounding_tokens(subject.case.expect.answer or ""))
    answer = Counter[str]() if subject.generation.refused else Counter(subject.answer.words)
    return (answer & reference).total(), answer.total(), reference.total()
