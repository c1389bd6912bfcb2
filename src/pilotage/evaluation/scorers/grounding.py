"""`grounding`, `hallucination_answer` and `hallucination_statement` (evaluation.md 3.5).

A statement is unsupported when one of its anchors is, or its grounding score is above `hi`. Fail mode: an answer
without a statement is `no_statements`; negation and modality are blind spots, so none of these decides a gate alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.evaluation.answer_text import StatementText, evidence_of, read_answer
from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.scorer import Found, Missing, Subject, Value
from pilotage.guard.anchors import support_of
from pilotage.guard.grounding_features import features_of, read_evidence
from pilotage.guard.grounding_model import probability, shipped_coefficients


@dataclass(frozen=True, slots=True)
class Judged:
    """One fact-bearing statement: P(unsupported), and which anchors nothing supports."""

    probability: float
    missing: tuple[str, ...]

    @property
    def is_unsupported(self) -> bool:
        """Tell whether an anchor is unsupported, or the score is above `hi`."""
        return bool(self.missing) or self.probability > shipped_coefficients().hi

    @property
    def is_uncertain(self) -> bool:
        """Tell whether the score can say neither."""
        return not self.is_unsupported and self.probability >= shipped_coefficients().lo


@lru_cache(maxsize=4096)
def judge_statement(statement: StatementText, evidence: tuple[str, ...], locale: str) -> Judged:
    """Judge one statement against the texts it relies on."""
    support = support_of(statement.text, evidence, locale=locale)
    features = features_of(statement.tokens, [read_evidence(text) for text in evidence], support)
    return Judged(probability(features, shipped_coefficients()), support.missing)


def _judged(subject: Subject) -> tuple[Judged, ...]:
    return _judge_answer(_Asked(subject.generation.digest, subject.context.locale, subject.generation))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the judged statements are remembered by: the digest stands for the answer and all it relies on."""

    generation_digest: Digest
    locale: str
    generation: Generation = field(compare=False)


@lru_cache(maxsize=256)
def _judge_answer(asked: _Asked) -> tuple[Judged, ...]:
    generation, locale = asked.generation, asked.locale
    return tuple(
        [
            judge_statement(one, tuple(evidence_of(one, generation)), locale)
            for one in read_answer(generation.answer, locale).statements
            if one.is_fact_bearing
        ]
    )


def grounding(subject: Subject) -> Found:
    """Return the largest P(unsupported) of the answer's fact-bearing statements."""
    judged = _judged(subject)
    if not judged:
        return Missing(Unscored.NO_STATEMENTS)
    return Value(max(one.probability for one in judged), _details(judged))


def hallucination_answer(subject: Subject) -> Found:
    """Return 1 when the answer holds an unsupported statement."""
    if not subject.answer.statements:
        return Missing(Unscored.NO_STATEMENTS)
    judged = _judged(subject)
    return Value(float(any(one.is_unsupported for one in judged)), _details(judged))


def hallucination_statement(subject: Subject) -> Found:
    """Return unsupported / fact-bearing statements."""
    judged = _judged(subject)
    if not judged:
        return Missing(Unscored.NO_STATEMENTS)
    return Value(sum(one.is_unsupported for one in judged) / len(judged), _details(judged))


def _details(judged: Sequence[Judged]) -> dict[str, Json]:
    missing: list[Json] = [anchor for one in judged for anchor in one.missing]
    return {
        "statements": len(judged),
        "unsupported": sum(one.is_unsupported for one in judged),
        "uncertain": sum(one.is_uncertain for one in judged),
        "missing": missing,
    }
