"""Two releases side by side, from the result of a run: the sentence on top, what got worse by case, what n can show.

Rule: a case is worse when the primary metric is; where that did not move, the other metrics say it, and both ways is
`mixed`. A release may quote anything that it was shown, cited or not. Fail mode: what was not scored on both sides is
unknown, never the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pilotage.core.canonical import Json
from pilotage.core.tails import normal_quantile
from pilotage.evaluation.assessment import Assessment
from pilotage.evaluation.criteria import Criterion, Kind, Verdict, parse_criteria, worst_verdict
from pilotage.evaluation.generation import Citation, Generation, Passage
from pilotage.evaluation.power import USUAL_PSI, detectable_drop
from pilotage.evaluation.registry import SCORERS
from pilotage.workspace.golden import Fact

_ALPHA, _POWER = 0.05, 0.80
_TWO_SIDED: Final = 0.975
_LONGEST_QUOTE: Final = 160


class Change(StrEnum):
    """What became of a case."""

    WORSE = "worse"
    BETTER = "better"
    MIXED = "mixed"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """The metrics in which a case is worse, and those in which it is better."""

    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()

    def word(self, primary: str) -> Change:
        """Return what became of the case; SAME when no metric moved."""
        if primary in self.worse:
            return Change.WORSE
        if primary in self.better:
            return Change.BETTER
        if self.worse and self.better:
            return Change.MIXED
        if self.worse:
            return Change.WORSE
        return Change.BETTER if self.better else Change.SAME


def case_changes(differences: Sequence[Mapping[str, Any]]) -> dict[str, CaseChange]:
    """Return every case that moved in any metric of a comparison's rows."""
    worse, better = (_by_case(differences, name) for name in ("losses", "gains"))
    return {
        case: CaseChange(worse=tuple(worse.get(case, ())), better=tuple(better.get(case, ())))
        for case in sorted(worse.keys() | better.keys())
    }


def _by_case(differences: Sequence[Mapping[str, Any]], name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in differences:
        for case in one[name]:
            found.setdefault(case, []).append(one["metric"])
    return found


def verdict_given(verdict: Verdict, result: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict of a run; None for a GO that rests on no criterion."""
    return None if verdict is Verdict.GO and not result.get("criteria") else verdict


def what_decided(verdict: Verdict, result: Mapping[str, Any], primary: str) -> str:
    """Return the sentence that decided: the first reason of the result, or for GO what shows that B is no worse."""
    reasons = [str(one["text"]) for one in result.get("reasons", ())]
    if verdict is not Verdict.GO:
        more = f" And {len(reasons) - 1} more." if len(reasons) > 1 else ""
        return f"{reasons[0]}{more}" if reasons else "The run left no reason."
    if not result.get("criteria"):
        return "The run judged no criterion."
    held = [(criterion_of(one), str(one["reason"]["text"])) for one in result.get("criteria", ())]
    compared = [(one, text) for one, text in held if one.is_comparison]
    first = [text for one, text in compared if one.metric == primary] + [text for _, text in compared]
    if not first:
        return f"All {len(held)} criteria hold; none of them compares the two."
    return f"{first[0]} All {len(held)} criteria hold."


def criterion_of(row: Mapping[str, Any]) -> Criterion:
    """Return the criterion that a row of the result judges."""
    return parse_criteria(str(row["criterion"]))[0]


def compared_states(result: Mapping[str, Any]) -> dict[str, Verdict]:
    """Return the verdict over each metric that a criterion compares, the worst where several do."""
    found: dict[str, list[Verdict]] = {}
    for row in result.get("criteria", ()):
        one = criterion_of(row)
        if one.is_comparison:
            found.setdefault(one.metric, []).append(Verdict(row["verdict"]))
    return {metric: worst_verdict(*verdicts) for metric, verdicts in found.items()}


def margins_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return how much each metric may lose, the least that a criterion allows."""
    found: dict[str, float] = {}
    for row in result.get("criteria", ()):
        one = criterion_of(row)
        if one.kind is Kind.NON_INFERIOR:
            found[one.metric] = min(one.limit, found.get(one.metric, one.limit))
    return found


def detectable(difference: Mapping[str, Any], *, repeats: int) -> float | None:
    """Return the smallest loss that this many pairs find with power .80 (7.4); None when there is no such loss.

    None too where the interval has no width. For a metric of passes and fails by exact McNemar with the share that
    changed, .10 where none did; for others from the width of the 95 % interval.
    """
    n = math.floor(difference["n"] / difference["deff"])
    measure = SCORERS.get(difference["metric"])
    if n < 1:
        return None
    if measure is not None and measure.measure.is_binary and repeats == 1:
        changed = len(difference["gains"]) + len(difference["losses"])
        return detectable_drop(n, changed / difference["n"] if changed else USUAL_PSI)
    lower, upper = difference["ci"]
    if lower is None or upper is None or lower == upper:
        return None
    error = (float(upper) - float(lower)) / 2.0 / normal_quantile(_TWO_SIDED)
    return (normal_quantile(1.0 - _ALPHA) + normal_quantile(_POWER)) * error


def unscored_cases(assessments: Sequence[Assessment]) -> dict[str, list[Json]]:
    """Return the cases that lack a number for a harmful reason, by reason."""
    found: dict[str, set[str]] = {}
    for one in assessments:
        if one.is_harmful:
            found.setdefault(one.reason, set()).add(one.case_id)
    return {reason: list[Json](sorted(cases)) for reason, cases in sorted(found.items())}


def sources_of(generation: Generation) -> tuple[Citation | Passage, ...]:
    """Return whatever an answer may quote: what it cites, and all it was shown."""
    return (*(one for one in generation.citations if one.chunk), *generation.passages)


def fact_text(fact: Fact) -> str:
    """Return an expected fact as people read it."""
    value = fact.value
    if not isinstance(value, Mapping):
        return _plain(value)
    return ", ".join(f"{name} {_plain(one)}" for name, one in sorted(value.items()) if one is not None)


def _plain(value: Json) -> str:
    return " | ".join(_plain(one) for one in value) if isinstance(value, list | tuple) else str(value)


def quoted(statement: str, passage: str) -> str:
    """Return the words of a passage that a statement rests on: itself where it stands there, else the beginning."""
    plain, wanted = " ".join(passage.split()), " ".join(statement.split())
    return (wanted if wanted and wanted in plain else plain)[:_LONGEST_QUOTE]
