"""The deterministic rungs of the citation ladder, 1 to 4 (evaluation.md 3.4). A later rung never repairs an earlier.

Fail mode: no statement of the kind a rung counts is `no_statements`, which is harmful; rung 1 without a citation is 1,
since nothing invalid was cited: whether something had to be cited is rung 2.
"""

from __future__ import annotations

from pilotage.core.canonical import Json
from pilotage.evaluation.answer_text import cited_by
from pilotage.evaluation.assessment import Unscored
from pilotage.evaluation.generation import Citation
from pilotage.evaluation.scorer import Found, Missing, Subject, Value
from pilotage.guard.anchors import support_of
from pilotage.workspace.golden import FactForm, GoldenCase


def may_answer(case: GoldenCase) -> bool:
    """Tell whether an answer is expected, or nothing is known about it."""
    return case.expect.refuse is not True


def has_gold(case: GoldenCase) -> bool:
    """Tell whether an answer with citations is expected."""
    return bool(case.expect.citations) and may_answer(case)


def expects_anchor(case: GoldenCase) -> bool:
    """Tell whether an answer has to hold a number or date: some expected fact is one, or shows figures."""
    return may_answer(case) and any(
        fact.form in (FactForm.NUMBER, FactForm.DATE) or any(char.isdigit() for char in str(fact.value))
        for fact in case.expect.facts
        if fact.form is not FactForm.PATTERN
    )


def citation_validity(subject: Subject) -> Found:
    """Return valid / cited: shown, allowed for the asker, not taken down."""
    cited = subject.generation.citations
    invalid: list[Json] = [one.marker for one in cited if not (one.valid and one.allowed)]
    value = 1 - len(invalid) / len(cited) if cited else 1.0
    return Value(value, {"cited": len(cited), "invalid": invalid})


def citation_coverage(subject: Subject) -> Found:
    """Return cited fact-bearing statements / fact-bearing statements."""
    bearing = [one for one in subject.answer.statements if one.is_fact_bearing]
    if not bearing:
        return Missing(Unscored.NO_STATEMENTS)
    cited = sum(bool(cited_by(one, subject.generation)) for one in bearing)
    return Value(cited / len(bearing), {"statements": len(bearing), "cited": cited})


def citation_precision_gold(subject: Subject) -> Found:
    """Return |cited and gold| / |cited| over distinct places; 0 when nothing is cited."""
    gold = {entry for one in subject.case.expect.citations for entry in one}
    cited = {(one.document, one.section): one for one in subject.generation.citations}
    met = sum(any(is_met(entry, one) for entry in gold) for one in cited.values())
    return Value(met / len(cited) if cited else 0.0, {"cited": len(cited)})


def citation_recall_gold(subject: Subject) -> Found:
    """Return met entries / entries; one member meets an entry of alternatives."""
    wanted = subject.case.expect.citations
    cited = subject.generation.citations
    missing: list[Json] = [list(one) for one in wanted if not any(is_met(entry, c) for entry in one for c in cited)]
    return Value(1 - len(missing) / len(wanted), {"missing": missing})


def is_met(entry: str, citation: Citation) -> bool:
    """Tell whether a citation is what an entry `doc` or `doc#section` wants."""
    document, mark, section = entry.partition("#")
    if citation.document != document:
        return False
    return not mark or citation.section == section or citation.section.endswith(f" > {section}")


def citation_anchor(subject: Subject) -> Found:
    """Return statements whose anchors all stand in what they cite / cited statements with an anchor."""
    held = total = 0
    missing: list[Json] = []
    for statement in subject.answer.statements:
        cited = cited_by(statement, subject.generation)
        if not cited or not statement.has_anchor:
            continue
        total += 1
        found = support_of(statement.text, [one.text for one in cited], locale=subject.context.locale)
        held += not found.missing
        missing += found.missing
    return Value(held / total, {"statements": total, "missing": missing}) if total else Missing(Unscored.NO_STATEMENTS)
