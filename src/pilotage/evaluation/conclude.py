"""From assessments to the result of a run: metrics, criteria, regressions by name, one verdict.

Rule: a pure function of the plan, the answers and earlier attempts. A later attempt of the same question can lower the
verdict and never raise it. Fail mode: an empty set, no criterion, missing or unscored answers are INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evaluation.assessment import Assessment
from pilotage.evaluation.generation import Generation
from pilotage.workspace.golden import GoldenCase


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case, one repeat, one arm: the answer and what the scorers found."""

    case: GoldenCase
    case_digest: Digest
    repeat: int
    generation: Generation
    assessments: Sequence[Assessment]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Verdicts of earlier gating attempts of the same question, and how often its golden set was used to gate."""

    verdicts: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The result. `body` is what is stored and digested, `claims` what a gate reads, by evidence claim name."""

    verdict: str
    body: Mapping[str, Json]
    claims: Mapping[str, float]
    summary: str
    scored: int
    unscored: int
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Mapping[str, Json], ...] = field(default_factory=tuple)


def conclude(candidate: Sequence[CaseResult], baseline: Sequence[CaseResult], attempts: Attempts) -> Conclusion:
    """Return the result of a run."""
    values: dict[str, list[float]] = {}
    for result in candidate:
        for one in result.assessments:
            if one.value is not None:
                values.setdefault(one.scorer, []).append(one.value)
    metrics: dict[str, Json] = {
        name: {"value": sum(found) / len(found), "n": len(found)} for name, found in values.items()
    }
    body: dict[str, Json] = {"cases": len(candidate), "scored": len(candidate), "unscored": 0, "metrics": metrics}
    return Conclusion(verdict="inconclusive", body=body, claims={}, summary="", scored=len(candidate), unscored=0)
