"""The ratchet (evaluation.md 7.1): also no worse than the oldest GO release of a year, at twice each margin.

Rule: every step may lose a little inside its margin and be GO; all steps of a year together may lose two margins, so
small losses cannot add up. Holm's correction is taken over this comparison and the baseline's. Fail mode: as for the
baseline: missing pairs, too few clusters or an undecided difference is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.evaluation.comparison import Arm, Comparison, Settings
from pilotage.evaluation.criteria import Criterion, CriterionResult, Kind, Verdict
from pilotage.evaluation.decide import Findings, decide

YEAR: Final = timedelta(days=365)
"""How far back the oldest GO release may lie."""

MARGINS: Final = 2.0
"""How many margins all steps of a year may lose together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratchet:
    """The comparison with the oldest GO release, and what each non-inferiority criterion comes to there."""

    comparison: Comparison
    results: tuple[CriterionResult, ...]

    @property
    def lost(self) -> tuple[Reason, ...]:
        """What was lost beyond what a year may lose."""
        return tuple(one.reason for one in self.results if one.verdict is Verdict.NO_GO)

    def as_json(self) -> dict[str, Json]:
        """Return everything, for the report."""
        return {
            "oldest": self.comparison.baseline,
            "margins": MARGINS,
            "criteria": [one.as_json() for one in self.results],
            "comparison": self.comparison.as_json(),
        }


def widened(settings: Settings) -> Settings:
    """Return the settings with what a year may lose as their margins."""
    return replace(settings, margins={name: MARGINS * margin for name, margin in settings.margins.items()})


def hold_ratchet(
    candidate: Arm,
    settings: Settings,
    criteria: Iterable[Criterion],
    comparison: Comparison,
    *,
    risk_accepted: bool = False,
) -> Ratchet:
    """Return how a candidate stands against the oldest GO release; settings are the widened ones it was compared by."""
    found = Findings(settings=settings, candidate=candidate, comparison=comparison, risk_accepted=risk_accepted)
    wanted = [replace(one, limit=MARGINS * one.limit) for one in criteria if one.kind is Kind.NON_INFERIOR]
    return Ratchet(
        comparison=comparison,
        results=tuple(_against(comparison.baseline, decide(criterion, found)) for criterion in wanted),
    )


def _against(oldest: str, result: CriterionResult) -> CriterionResult:
    """Return the result with a reason that says what it was compared with."""
    text = f"Against {oldest[:19]}, the oldest GO release of a year: {result.reason.text}"
    return replace(result, reason=replace(result.reason, code=f"RATCHET_{result.reason.code}", text=text))
