"""Facts in the answer: `key_fact_recall`, `coverage` and `forbidden_fact` (evaluation.md 3.3).

Fail mode: a refused answer holds no fact, whatever it says; its recall is 0.
"""

from __future__ import annotations

import math

from pilotage.core.canonical import Json
from pilotage.evaluation.facts import mentions
from pilotage.evaluation.scorer import Found, Subject, Value
from pilotage.workspace.golden import GoldenCase


def has_facts(case: GoldenCase) -> bool:
    """Tell whether facts are expected."""
    return bool(case.expect.facts)


def expects_answer_with_facts(case: GoldenCase) -> bool:
    """Tell whether an answer is expected and facts say what it must hold."""
    return bool(case.expect.facts) and case.expect.refuse is not True


def has_forbidden(case: GoldenCase) -> bool:
    """Tell whether something is forbidden: a fact or a document."""
    return bool(case.expect.forbid or case.expect.forbid_documents)


def key_fact_recall(subject: Subject) -> Found:
    """Return matched weight / total weight of the expected facts; 0 when refused."""
    facts = subject.facts
    held = [False] * len(facts) if subject.generation.refused else subject.stated
    matched = [fact for fact, is_held in zip(facts, held, strict=True) if is_held]
    missing: list[Json] = [fact.label for fact in facts if fact not in matched]
    notes: list[Json] = list(subject.answer.values.notes)
    value = math.fsum(fact.weight for fact in matched) / math.fsum(fact.weight for fact in facts)
    return Value(min(1.0, value), {"missing": missing} | ({"notes": notes} if notes else {}))


def forbidden_fact(subject: Subject) -> Found:
    """Return 1 when a forbidden fact stands in the answer, or a forbidden document was a passage or cited."""
    facts: list[Json] = [fact.label for fact in subject.forbidden if mentions(subject.answer, fact)]
    generation = subject.generation
    seen = {one.document for one in generation.passages} | {one.document for one in generation.citations}
    documents: list[Json] = [one for one in subject.case.expect.forbid_documents if one in seen]
    return Value(float(bool(facts or documents)), {"facts": facts, "documents": documents})
