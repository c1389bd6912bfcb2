"""`refusal_correct`, and the rates over a set (evaluation.md 3.6).

Serving does not tell "you may not read it" from "it does not exist": a `not_found` meets either reason. Fail mode: an
unknown expectation is not applicable; a rate without a denominator is None.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.scorer import Found, Subject, Value
from pilotage.workspace.golden import GoldenCase, RefusalReason

_MEANS = {
    "not_found": frozenset({RefusalReason.NOT_FOUND, RefusalReason.NOT_PERMITTED}),
    "not_permitted": frozenset({RefusalReason.NOT_PERMITTED}),
    "out_of_scope": frozenset({RefusalReason.OUT_OF_SCOPE}),
    "policy": frozenset({RefusalReason.POLICY}),
    "guard": frozenset({RefusalReason.POLICY}),
    "citation": frozenset({RefusalReason.NOT_FOUND, RefusalReason.NOT_PERMITTED}),
    "grounding": frozenset({RefusalReason.NOT_FOUND, RefusalReason.NOT_PERMITTED}),
}
"""What serving's refusals say of the reasons a case may name."""


def knows_refusal(case: GoldenCase) -> bool:
    """Tell whether the case says if a refusal is right."""
    return case.expect.refuse is not None


def refusal_correct(subject: Subject) -> Found:
    """Return 1 when refused = expected and, where reasons are named, the reason is among them."""
    expect, refused = subject.case.expect, subject.generation.refused
    given = _MEANS.get(subject.generation.refusal_reason or "", frozenset())
    right = refused is expect.refuse
    if right and refused and expect.refuse_reasons:
        right = bool(given.intersection(expect.refuse_reasons))
    return Value(
        float(right),
        {"expected": bool(expect.refuse), "refused": refused, "given": subject.generation.refusal_reason},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRates:
    """Counts over U (refusal expected) and A (answer expected), and the rates they give."""

    refused_in_u: int
    u: int
    refused_in_a: int
    a: int

    @property
    def recall(self) -> float | None:
        """Refused in U / U."""
        return self.refused_in_u / self.u if self.u else None

    @property
    def precision(self) -> float | None:
        """Refused in U / refused."""
        refused = self.refused_in_u + self.refused_in_a
        return self.refused_in_u / refused if refused else None

    @property
    def over_refusal(self) -> float | None:
        """Refused in A / A."""
        return self.refused_in_a / self.a if self.a else None

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of the accuracy in U and in A."""
        if self.recall is None or self.over_refusal is None:
            return None
        return (self.recall + 1 - self.over_refusal) / 2

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        if self.recall is None or self.precision is None or not self.refused_in_u:
            return None if self.recall is None else 0.0
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def refusal_rates(assessments: Iterable[Assessment]) -> RefusalRates:
    """Count over the scored assessments of `refusal_correct`."""
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for one in assessments:
        if one.status is not Status.UNSCORED:
            counts[bool(one.details["expected"]), bool(one.details["refused"])] += 1
    return RefusalRates(
        refused_in_u=counts[True, True],
        u=counts[True, True] + counts[True, False],
        refused_in_a=counts[False, True],
        a=counts[False, True] + counts[False, False],
    )
