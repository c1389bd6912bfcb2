"""`answer_accuracy`, the primary metric: 1 when every applicable part passes (evaluation.md 3.3).

Its parts are refusal_correct, key_fact_recall, forbidden_fact and citation_validity, each with its own threshold. Fail
mode: a part that could not be scored leaves the whole unscored for the same reason, unless the part is benign.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.core.canonical import Json
from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.scorer import Applies, Found, Missing, Score, Scorer, Subject, Value
from pilotage.workspace.golden import GoldenCase


def applies_if_any(parts: Sequence[Scorer]) -> Applies:
    """Return a rule that holds where any part says something about the case."""

    def applies(case: GoldenCase) -> bool:
        return any(part.applies(case) for part in parts)

    return applies


def all_parts(parts: Sequence[Scorer]) -> Score:
    """Return the scoring function over the parts."""

    def score(subject: Subject) -> Found:
        failed: list[Json] = []
        for part in parts:
            if not part.applies(subject.case):
                continue
            found = part.found(subject)
            if isinstance(found, Missing):
                if found.reason is not Unscored.REFUSED:
                    return found
            elif not part.measure.passes(found.value):
                failed.append(part.measure.name)
        return Value(float(not failed), {"failed": failed})

    return score
