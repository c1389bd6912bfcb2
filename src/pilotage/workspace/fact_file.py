"""Reads the Fact forms of a golden case (evaluation.md 2.3). Matching is `evaluation/`'s work.

Fail mode: an unknown form, an empty fact, an impossible date, a weight of 0 or less, or a pattern that is not linear
time is a mistake on the row's line.
"""

from __future__ import annotations

from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.fields import BOOLEAN, TEXT, Fields, Reader, choice, integer, list_of, number, read_record
from pilotage.core.located import Located, Problems
from pilotage.core.readers import DATE
from pilotage.corpus.exclusions import pattern_problem
from pilotage.workspace.golden import Fact, FactForm

_FORM_KEYS = (
    ("any", FactForm.ANY),
    ("all", FactForm.ALL),
    ("at_least", FactForm.AT_LEAST),
    ("number", FactForm.NUMBER),
    ("date", FactForm.DATE),
    ("pattern", FactForm.PATTERN),
    ("text", FactForm.TEXT),
)
_NUMBER = number(-1e18, 1e18)
_SURFACES = list_of(TEXT, at_least=1)


class Granularity(StrEnum):
    """How exactly a date must match."""

    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def _read_fact(at: Located, problems: Problems) -> Fact:
    if isinstance(at.node, str):
        return Fact(form=FactForm.TEXT, value=TEXT.read(at, problems))
    return read_record(at, problems, _fact)


FACT: Reader[Fact] = Reader(read=_read_fact, stand_in=lambda: Fact(form=FactForm.TEXT, value=""))


def _fact(fields: Fields) -> Fact:
    forms = [(key, form) for key, form in _FORM_KEYS if fields.has(key)]
    if len(forms) != 1:
        what = "A fact has no form" if not forms else f"A fact has two forms: {forms[0][0]} and {forms[1][0]}"
        fields.problems.add(fields.at, what, "Write text, any, all, at_least with of, number, date or pattern.")
        return Fact(form=FactForm.TEXT, value="")
    weight = fields.get("weight", number(0.0), 1.0)
    if weight <= 0:
        fields.problem("weight", "The weight is 0", "Write a number above 0.")
    return Fact(
        form=forms[0][1],
        value=_value(fields, forms[0][1]),
        id=fields.get("id", TEXT, None),
        weight=weight,
        allow_negated=fields.get("allow_negated", BOOLEAN, default=False),
    )


def _value(fields: Fields, form: FactForm) -> Json:
    match form:
        case FactForm.TEXT:
            return fields.need("text", TEXT)
        case FactForm.ANY | FactForm.ALL:
            return fields.need(form.value, _SURFACES)
        case FactForm.AT_LEAST:
            return _at_least(fields)
        case FactForm.NUMBER:
            return _number(fields)
        case FactForm.DATE:
            day = fields.need("date", DATE)
            granularity = fields.get("granularity", choice(Granularity), Granularity.DAY)
            return {"date": day.isoformat(), "granularity": granularity.value}
        case FactForm.PATTERN:
            return _pattern(fields)


def _at_least(fields: Fields) -> Json:
    surfaces = fields.need("of", _SURFACES)
    wanted = fields.need("at_least", integer(1, 1000))
    if surfaces and wanted > len(surfaces):
        fields.problem("at_least", f"at_least {wanted} of {len(surfaces)} forms", "Write a smaller number.")
    return {"at_least": wanted, "of": list(surfaces)}


def _number(fields: Fields) -> Json:
    return {
        "number": fields.need("number", _NUMBER),
        "unit": fields.get("unit", TEXT, None),
        "abs": fields.get("abs", number(0.0), 0.0),
        "rel": fields.get("rel", number(0.0), 0.0),
        "rounding": fields.get("rounding", integer(0, 20), 3),
    }


def _pattern(fields: Fields) -> Json:
    pattern = fields.need("pattern", TEXT)
    if pattern and pattern_problem(pattern) is not None:
        what = f"{pattern[:80]!r} is not a linear-time pattern"
        fields.problem("pattern", what, "Write RE2 syntax: no lookaround, no backreference.")
    return pattern
