"""The scorer contract (evaluation.md 3.1): a pure function with a declared measure, wrapped so that it cannot cheat.

Rule: whether a scorer applies depends on the case and the pinned corpus alone, never on the generation, so a system
cannot opt out. A version names everything the value depends on. Fail mode: a target error, an exception, NaN, infinity
or a value out of range is unscored for a harmful reason; there are no default scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, TypeAlias

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.evaluation.answer_text import AnswerText, read_answer
from pilotage.evaluation.assessment import Assessment, Measure, Status, Unscored
from pilotage.evaluation.facts import CompiledFact, compile_fact, states
from pilotage.evaluation.generation import Generation, ScoringContext, TargetFailure
from pilotage.workspace.golden import GoldenCase


class Planned(Protocol):
    """A case with its digest, as a run plans it."""

    @property
    def case(self) -> GoldenCase:
        """The golden case."""
        ...

    @property
    def case_digest(self) -> Digest:
        """The digest of everything asked and expected."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scorer looks at; the answer is read and the facts are compiled once for all scorers."""

    case: GoldenCase
    case_digest: Digest
    generation: Generation
    context: ScoringContext

    @property
    def answer(self) -> AnswerText:
        """The answer, read."""
        return read_answer(self.generation.answer, self.context.locale)

    @property
    def facts(self) -> tuple[CompiledFact, ...]:
        """The expected facts."""
        return _compiled(_Expected(self.case_digest, self.context.locale, self.case))[0]

    @property
    def forbidden(self) -> tuple[CompiledFact, ...]:
        """The forbidden facts."""
        return _compiled(_Expected(self.case_digest, self.context.locale, self.case))[1]

    @property
    def stated(self) -> tuple[bool, ...]:
        """Whether the answer states each expected fact."""
        return _stated(_Expected(self.case_digest, self.context.locale, self.case), self.generation.answer)


@dataclass(frozen=True, slots=True)
class _Expected:
    """The key facts are remembered by: the digest stands for the case."""

    case_digest: Digest
    locale: str
    case: GoldenCase = field(compare=False)


@lru_cache(maxsize=256)
def _stated(expected: _Expected, answer: str) -> tuple[bool, ...]:
    read = read_answer(answer, expected.locale)
    return tuple([states(read, fact) for fact in _compiled(expected)[0]])


@lru_cache(maxsize=4096)
def _compiled(expected: _Expected) -> tuple[tuple[CompiledFact, ...], tuple[CompiledFact, ...]]:
    expect, locale = expected.case.expect, expected.locale
    return (
        tuple(compile_fact(fact, place=place, locale=locale) for place, fact in enumerate(expect.facts, start=1)),
        tuple(compile_fact(fact, place=place, locale=locale) for place, fact in enumerate(expect.forbid, start=1)),
    )


@dataclass(frozen=True, slots=True)
class Value:
    """What a scoring function found, and the details a report shows."""

    value: float
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no value."""

    reason: Unscored


Found: TypeAlias = "Value | Missing"
Score: TypeAlias = Callable[[Subject], Found]
Applies: TypeAlias = Callable[[GoldenCase], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """One scorer: its declared measure, the cases it speaks about, and its function.

    `by_statement`: it scores statements, so a refusal leaves nothing to score; that is benign where `refusal_correct`
    judges the refusal, and harmful where nothing does.
    """

    measure: Measure
    applies: Applies
    function: Score
    by_statement: bool = False

    def score(self, planned: Planned, generation: Generation, context: ScoringContext) -> Assessment:
        """Score one generation of one case. Never raises."""
        case, digest, measure = planned.case, planned.case_digest, self.measure
        found = self.found(Subject(case, digest, generation, context))
        value: float | None = None
        details: Mapping[str, Json] = {}
        if isinstance(found, Missing):
            status, reason = Status.UNSCORED, found.reason.value
        else:
            status, reason = Status.PASS if measure.passes(found.value) else Status.FAIL, ""
            value, details = found.value, found.details
        return Assessment(
            case_id=case.id,
            case_digest=digest,
            generation_digest=generation.digest,
            scorer=measure.name,
            version=measure.version,
            status=status,
            value=value,
            reason=reason,
            details=details,
        )

    def found(self, subject: Subject) -> Found:
        """Return the value, or why there is none. Never raises, never out of range."""
        error = subject.generation.error
        if error is not None:
            return Missing(Unscored.TARGET_ERROR if error is TargetFailure.UNREACHED else Unscored(error.value))
        if self.by_statement and subject.generation.refused:
            is_judged = subject.case.expect.refuse is not None
            return Missing(Unscored.REFUSED if is_judged else Unscored.NO_STATEMENTS)
        try:
            found = self.function(subject)
        except Exception:  # noqa: BLE001 - the edge of a scorer: whatever breaks in one is unscored, never a value
            return Missing(Unscored.SCORER_ERROR)
        if isinstance(found, Value) and not self._is_in_range(found.value):
            return Missing(Unscored.SCORER_ERROR)
        return found

    def _is_in_range(self, value: float) -> bool:
        return math.isfinite(value) and self.measure.low <= value <= self.measure.high


def version_of(name: str, semver: str, parameters: Mapping[str, Json]) -> str:
    """Return `name@semver+<sha256 hex>` over the parameters: lexicons and coefficients stand in them by version."""
    digest = digest_of_json(parameters, form=Form.PLAIN)
    return f"{name}@{semver}+{digest.removeprefix('sha256:')}"
