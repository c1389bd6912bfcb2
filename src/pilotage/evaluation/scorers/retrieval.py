"""Retrieval against graded gold: recall, hit, precision, reciprocal rank, nDCG at k (evaluation.md 3.6).

Gold is what the case's persona may read of the case's `retrieve`; ranking is the passages in the order shown, each gold
entry counted at its first place. Fail mode: gold nobody may read is not applicable, by the pinned corpus and not by the
generation: it is unscored as `refused`, which is benign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pilotage.core.digest import Digest
from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.generation import Passage
from pilotage.evaluation.scorer import Found, Missing, Score, Subject, Value
from pilotage.workspace.golden import GoldenCase

Metric = Callable[[Sequence[int], Mapping[str, int], int], float]


def has_graded_gold(case: GoldenCase) -> bool:
    """Tell whether the case says what retrieval should find."""
    return bool(case.expect.retrieve)


def at_k(metric: Metric, k: int) -> Score:
    """Return the scoring function of a retrieval metric at rank `k`."""

    def score(subject: Subject) -> Found:
        gold, grades = _graded(
            _Asked(subject.case_digest, subject.generation.digest, subject.context.readable, subject)
        )
        return Value(metric(grades, gold, k), {"gold": len(gold), "k": k}) if gold else Missing(Unscored.REFUSED)

    return score


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the grades are remembered by, as every metric asks for them: the digests stand for what they rank."""

    case_digest: Digest
    generation_digest: Digest
    readable: frozenset[str] | None
    subject: Subject = field(compare=False)


@lru_cache(maxsize=4)
def _graded(asked: _Asked) -> tuple[Mapping[str, int], Sequence[int]]:
    """Return the gold that may be read, and the grade of each rank."""
    readable = asked.readable
    gold = {
        entry: grade
        for entry, grade in asked.subject.case.expect.retrieve.items()
        if readable is None or entry.partition("#")[0] in readable
    }
    return gold, grades_of(asked.subject.generation.passages, gold)


def grades_of(passages: Sequence[Passage], gold: Mapping[str, int]) -> list[int]:
    """Return the grade of each rank; a document's further passages, or a gold entry met before, hold no rank."""
    grades: list[int] = []
    met: set[str] = set()
    parts = [(entry, *entry.partition("#")) for entry in gold]
    for document, section in dict.fromkeys([(one.document, one.section) for one in passages]):
        entries = [
            entry
            for entry, name, mark, wanted in parts
            if name == document and (not mark or wanted == section or section.endswith(f" > {wanted}"))
        ]
        fresh = [entry for entry in entries if entry not in met]
        if entries and not fresh:
            continue
        if not entries and f"\x00{document}" in met:
            continue
        met.update(fresh or (f"\x00{document}",))
        grades.append(max((gold[entry] for entry in fresh), default=0))
    return grades


def recall(grades: Sequence[int], gold: Mapping[str, int], k: int) -> float:
    """Return found gold / gold."""
    return min(1.0, sum(grade > 0 for grade in grades[:k]) / len(gold))


def hit(grades: Sequence[int], gold: Mapping[str, int], k: int) -> float:
    """Return 1 when any gold is among the first k."""
    del gold
    return float(any(grades[:k]))


def precision(grades: Sequence[int], gold: Mapping[str, int], k: int) -> float:
    """Return found gold / k."""
    del gold
    return sum(grade > 0 for grade in grades[:k]) / k


def reciprocal_rank(grades: Sequence[int], gold: Mapping[str, int], k: int) -> float:
    """Return 1 / rank of the first gold, 0 if none; not cut at k."""
    del gold, k
    return next((1 / rank for rank, grade in enumerate(grades, start=1) if grade), 0.0)


def ndcg(grades: Sequence[int], gold: Mapping[str, int], k: int) -> float:
    """Return discounted gain / ideal, linear gain grade/log2(rank + 1); ideal over the readable gold."""
    ideal = _gain(sorted(gold.values(), reverse=True)[:k])
    return min(1.0, _gain(grades[:k]) / ideal)


def _gain(grades: Sequence[int]) -> float:
    return math.fsum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))
