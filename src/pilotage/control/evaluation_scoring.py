"""The scorers a run uses: those the sealed settings name, and whatever their limits are about.

Rule: a limit without its scorer could never be shown, so thresholds, margins and the primary metric bring theirs.
Times are measured beside the result (a resumed run could not repeat them), never scored. Fail mode: a scorer nobody
has is a UsageError before the run starts; one that breaks is `scorer_error` for that case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage.control.sealed_golden import PlannedCase
from pilotage.evaluation.assessment import Assessment, Measure
from pilotage.evaluation.generation import ScoringContext
from pilotage.evaluation.registry import DEFAULT_SCORERS, SCORERS, scorers_named
from pilotage.evaluation.scorer import Scorer
from pilotage.evaluation.target import Reply
from pilotage.workspace.golden import EvaluationSettings, GoldenCase

MEASURED: Final = frozenset({"latency_ms", "ttft_ms"})
_PRICED: Final = "cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorers:
    """`evaluation_drive.Scoring` over a list of scorers."""

    scorers: tuple[Scorer, ...]

    @property
    def measures(self) -> Mapping[str, Measure]:
        """What each scorer declares about its number, by name."""
        return {one.measure.name: one.measure for one in self.scorers}

    def versions(self, case: GoldenCase) -> frozenset[str]:
        """Return the versions of the scorers that apply to a case."""
        return frozenset(one.measure.version for one in self.scorers if one.applies(case))

    def assess(
        self, planned: PlannedCase, reply: Reply, context: ScoringContext, *, only: frozenset[str]
    ) -> Sequence[Assessment]:
        """Score one answer with the scorers of these versions."""
        chosen = (one for one in self.scorers if one.measure.version in only and one.applies(planned.case))
        return [one.score(planned, reply.generation, context) for one in chosen]


def make_scoring(settings: EvaluationSettings) -> Scorers:
    """Return the scorers of a release's settings; raise UsageError for one that nobody has."""
    limited = {*settings.thresholds, *settings.margins, settings.primary} & SCORERS.keys()
    named = settings.scorers or tuple(name for name in DEFAULT_SCORERS if name != _PRICED)
    wanted = [name for name in (*named, *sorted(limited)) if name not in MEASURED]
    return Scorers(scorers=scorers_named(wanted))
