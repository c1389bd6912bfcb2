"""Claims as they are judged, and one condition over them.

Rule: own runs are pooled, counts of several suites add up, everything else is judged item by item. Fail mode: a limit
nobody set, an absent claim and a value that is no number are inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from pilotage.core.reason import Outcome, Reason
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import OWN_RUNS, WHY_UNPROVEN, pooled
from pilotage.gate.records import GateInput
from pilotage.gate.report import Check
from pilotage.gate.wording import asks, lacks, no_limit, not_held, not_told
from pilotage.workspace.gate import Condition, Operator

_SUMMED = frozenset({"tests", "scan"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Claims of one kind, where they come from, and what a person should know of them."""

    kind: str
    criterion: str
    claims: Mapping[str, float]
    evidence: tuple[str, ...] = ()
    note: str = ""
    series: str = ""


def views(kind: str, criterion: str, items: Sequence[Evidence]) -> list[Seen]:
    """Return the claims to judge: pooled own runs, summed suites, or each item by itself."""
    names = tuple(item.id for item in items)
    if kind in OWN_RUNS:
        why = dict.fromkeys(one for item in items for one in item.names.get(WHY_UNPROVEN, ()))
        return [Seen(kind=kind, criterion=criterion, claims=pooled(items), evidence=names, note=" ".join(why))]
    if kind.partition(".")[0] in _SUMMED:
        claims = summed(items) if len(items) > 1 else items[0].claims
        return [Seen(kind=kind, criterion=criterion, claims=claims, evidence=names)]
    return [of_item(item, criterion) for item in items]


def of_item(item: Evidence, criterion: str) -> Seen:
    """Return the claims of one item; a document says what it lacks."""
    series = " ".join(filter(None, (item.space, item.suite)))
    seen = Seen(kind=item.kind, criterion=criterion, claims=item.claims, evidence=(item.id,), series=series)
    return replace(seen, note=lacks(item.names)) if item.kind.startswith("document.") else seen


def summed(items: Sequence[Evidence]) -> dict[str, float]:
    """Add counts up; a claim that one suite lacks is absent. The share of skipped tests is computed anew."""
    names = set(items[0].claims).intersection(*(item.claims for item in items[1:]))
    total = {name: math.fsum(item.claims[name] for item in items) for name in names}
    if "points_tested" in total:
        # Two suites that test the same point test one point.
        total["points_tested"] = float(len({point for item in items for point in item.names.get("points", ())}))
    if "skipped_share" in total:
        every = total.get("executed", 0.0) + total.get("skipped", 0.0)
        total["skipped_share"] = total.get("skipped", 0.0) / every if every else 1.0
    return total


def compare(condition: Condition, seen: Seen, given: GateInput) -> Check:
    """Judge one condition on what was seen."""
    kind, criterion, note = seen.kind, seen.criterion, seen.note
    limit = condition.limit if condition.path is None else given.facts.paths.get(condition.path)
    observed = seen.claims.get(condition.claim)
    shown_limit = f"{condition.operator} {'?' if limit is None else _number(limit)}"
    outcome, reason = Outcome.OK, None
    if limit is None:
        text = no_limit(kind, condition)
        outcome, reason = Outcome.INCONCLUSIVE, Reason(code="CRITERION_INCONCLUSIVE", text=text, where=criterion)
    elif observed is None or not math.isfinite(observed):
        text = not_told(kind, condition, limit, note=note, space=given.gate.space)
        outcome, reason = Outcome.INCONCLUSIVE, Reason(code="CRITERION_INCONCLUSIVE", text=text, where=criterion)
    elif not holds(observed, condition.operator, limit):
        text = not_held(kind, condition, observed, limit, note=note, space=given.gate.space)
        outcome = Outcome.NOT_OK
        reason = Reason(
            code="CRITERION_NOT_MET", text=text, where=criterion, observed=_number(observed), limit=shown_limit
        )
    return Check(
        kind=kind,
        condition=str(condition),
        outcome=outcome,
        observed=None if observed is None else _number(observed),
        limit=shown_limit,
        reason=reason,
        evidence=seen.evidence,
        series=seen.series,
        asks=asks(kind, condition, limit),
    )


def holds(observed: float, operator: Operator, limit: float) -> bool:
    """Tell whether a value is on the right side of its limit."""
    match operator:
        case Operator.EQ:
            return observed == limit
        case Operator.NE:
            return observed != limit
        case Operator.LT:
            return observed < limit
        case Operator.LE:
            return observed <= limit
        case Operator.GT:
            return observed > limit
        case Operator.GE:
            return observed >= limit
    assert_never(operator)


def _number(value: float) -> str:
    return f"{value:.6g}"
