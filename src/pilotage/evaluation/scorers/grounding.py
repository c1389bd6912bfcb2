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


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """The fact-bearing statements of an answer. `unsupported` and `uncertain` count them; `missing` are all anchors."""

    statements: int
    highest: float
    unsupported: int
    uncertain: int
    missing: tuple[str, ...]

    @property
    def details(self) -> dict[str, Json]:
        """What a report shows."""
        return {
            "statements": self.statements,
            "unsupported": self.unsupported,
            "uncertain": self.uncertain,
            "missing": list(self.missing),
        }


def judge_statement(statement: StatementText, evidence: Sequence[str], locale: str) -> Judged:
    """Judge one statement against the texts it relies on."""
    support = support_of(statement.text, evidence, locale=locale)
    features = features_of(statement.tokens, [read_evidence(text) for text in evidence], support)
    return Judged(probability(features, shipped_coefficients()), support.missing)


def _judged(subject: Subject) -> JudgedAnswer:
    return _judge_answer(_Asked(subject.generation.digest, subject.context.locale, subject.generation))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the judged statements are remembered by: the digest stands for the answer and all it relies on."""

    generation_digest: Digest
    locale: str
    generation: Generation = field(compare=False)


@lru_cache(maxsize=4)
def _judge_answer(asked: _Asked) -> JudgedAnswer:
    generation, locale = asked.generation, asked.locale
    judged = [
        judge_statement(one, evidence_of(one, generation), locale)
        for one in read_answer(generation.answer, locale).statements
        if one.is_fact_bearing
    ]
    limits = shipped_coefficients()
    held = [one.probability for one in judged if not one.missing and one.probability <= limits.hi]
    return JudgedAnswer(
        statements=len(judged),
        highest=max([one.probability for one in judged], default=0.0),
        unsupported=len(judged) - len(held),
        uncertain=sum([one >= limits.lo for one in held]),
        missing=tuple([anchor for one in judged for anchor in one.missing]),
    )


def grounding(subject: Subject) -> Found:
    """Return the largest P(unsupported) of the answer's fact-bearing statements."""
    judged = _judged(subject)
    return Value(judged.highest, judged.details) if judged.statements else Missing(Unscored.NO_STATEMENTS)


def hallucination_answer(subject: Subject) -> Found:
    """Return 1 when the answer holds an unsupported statement."""
    if not subject.answer.statements:
        return Missing(Unscored.NO_STATEMENTS)
    judged = _judged(subject)
    return Value(float(judged.unsupported > 0), judged.details)


def hallucination_statement(subject: Subject) -> Found:
    """Return unsupported / fact-bearing statements."""
    judged = _judged(subject)
    if not judged.statements:
        return Missing(Unscored.NO_STATEMENTS)
    return Value(judged.unsupported / judged.statements, judged.details)
