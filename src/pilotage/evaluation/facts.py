"""Does an answer state a fact? Every fact form, tolerance and negation of evaluation.md 2.3.

Rule: negation is conservative both ways: a negated mention never fulfils an expected fact and always counts as a
forbidden one; `allow_negated` flips it. A pattern is RE2 on the normal form, in linear time. Fail mode: a pattern that
does not compile raises, which is `scorer_error`; parsing has refused it before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import TypeAlias, assert_never

import re2

from pilotage.core.canonical import Json
from pilotage.evaluation.answer_text import AnswerText
from pilotage.guard.dates_text import DateValue
from pilotage.guard.normalise import normalise
from pilotage.guard.tokens import Tokens, tokens_of
from pilotage.guard.units import TIME_UNITS, is_compatible, unit_of
from pilotage.guard.values import Number, read_values
from pilotage.workspace.golden import Fact, FactForm

FACTS_VERSION = "pilotage-facts/1"
DEFAULT_ROUNDING = 3
_DIGIT = re.compile(r"\d")
_WIDE = Context(prec=120)  # longer than any figure that is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """At least `wanted` of these surface forms occur as whole-token sequences."""

    forms: tuple[Tokens, ...]
    wanted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A number within tolerance, with a compatible unit."""

    gold: Decimal
    unit: str = ""
    tolerance: Decimal = Decimal(0)
    rounding: int = DEFAULT_ROUNDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A date equal at its granularity; an answer may say it more finely."""

    gold: DateValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A linear-time regular expression on the normal form, without regard to case."""

    pattern: str


Matcher: TypeAlias = "Words | Amount | Day | Pattern"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFact:
    """A fact ready to be looked for; any one of its matchers is enough. `label` is its id, or its place from 1."""

    label: str
    weight: float
    allow_negated: bool
    matchers: tuple[Matcher, ...]


def compile_fact(fact: Fact, *, place: int, locale: str = "en") -> CompiledFact:
    """Read a fact of a golden case."""
    return CompiledFact(
        label=fact.id or str(place),
        weight=fact.weight,
        allow_negated=fact.allow_negated,
        matchers=_matchers(fact, locale),
    )


def states(answer: AnswerText, fact: CompiledFact) -> bool:
    """Tell whether an answer states an expected fact."""
    return any(_holds(answer, one, negated_counts=fact.allow_negated) for one in fact.matchers)


def mentions(answer: AnswerText, fact: CompiledFact) -> bool:
    """Tell whether an answer holds a forbidden fact; a negated mention is one unless `allow_negated`."""
    return any(_holds(answer, one, negated_counts=not fact.allow_negated) for one in fact.matchers)


def _matchers(fact: Fact, locale: str) -> tuple[Matcher, ...]:
    value = fact.value
    match fact.form:
        case FactForm.TEXT:
            return _typed(str(value), locale)
        case FactForm.ANY:
            return (Words(forms=_forms(value), wanted=1),)
        case FactForm.ALL:
            forms = _forms(value)
            return (Words(forms=forms, wanted=len(forms)),)
        case FactForm.AT_LEAST:
            fields = _fields(value)
            return (Words(forms=_forms(fields["of"]), wanted=int(str(fields["at_least"]))),)
        case FactForm.NUMBER:
            return (_amount(_fields(value)),)
        case FactForm.DATE:
            fields = _fields(value)
            day = date.fromisoformat(str(fields["date"]))
            return (Day(gold=_at(day, str(fields.get("granularity") or "day"))),)
        case FactForm.PATTERN:
            return (Pattern(pattern=str(value)),)
    assert_never(fact.form)


def _typed(text: str, locale: str) -> tuple[Matcher, ...]:
    """Return number and date matchers where one value is the whole text, else its words. A year is both."""
    normal = normalise(text).strip()
    if _DIGIT.search(normal) is None:  # a date has four; a number in words is looked for as words
        return (Words(forms=(tokens_of(normal),), wanted=1),)
    values = read_values(normal, locale=locale)
    found: list[Matcher] = [Day(gold=one) for one in values.dates if (one.start, one.end) == (0, len(normal))]
    found += [
        Amount(gold=number.amount, unit=number.unit)
        for number in values.numbers
        if (number.start, number.end) == (0, len(normal)) and number.unit not in TIME_UNITS and not number.spelled
    ]
    return tuple(found) or (Words(forms=(tokens_of(normal),), wanted=1),)


def _forms(value: Json) -> tuple[Tokens, ...]:
    items = value if isinstance(value, list | tuple) else ()
    return tuple(tokens_of(normalise(str(item))) for item in items)


def _fields(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise TypeError("A number or date fact holds no fields.")
    return value


def _amount(fields: Mapping[str, Json]) -> Amount:
    gold = _decimal(fields["number"])
    unit = unit_of(str(fields["unit"])) if fields.get("unit") else ""
    factor = Decimal("0.01") if unit == "bps" else Decimal(1)
    slack = max(_decimal(fields.get("abs") or 0) * factor, _decimal(fields.get("rel") or 0) * abs(gold * factor))
    rounding = fields.get("rounding", DEFAULT_ROUNDING)
    return Amount(
        gold=gold * factor,
        unit="%" if unit == "bps" else unit,
        tolerance=slack,
        rounding=int(str(DEFAULT_ROUNDING if rounding is None else rounding)),
    )


def _decimal(value: Json) -> Decimal:
    return Decimal(str(value))


def _at(day: date, granularity: str) -> DateValue:
    match granularity:
        case "year":
            return DateValue(year=day.year)
        case "quarter":
            return DateValue(year=day.year, quarter=(day.month + 2) // 3)
        case "month":
            return DateValue(year=day.year, month=day.month)
        case _:
            return DateValue(year=day.year, month=day.month, day=day.day)


def _holds(answer: AnswerText, matcher: Matcher, *, negated_counts: bool) -> bool:
    tokens = answer.tokens
    if isinstance(matcher, Words):
        held = sum(
            any(negated_counts or not tokens.is_negated(place) for place in tokens.occurrences(form))
            for form in matcher.forms
        )
        return held >= matcher.wanted > 0
    return any(negated_counts or not tokens.is_negated_at(place) for place in _places(answer, matcher))


def _places(answer: AnswerText, matcher: Amount | Day | Pattern) -> Iterator[int]:
    """Yield the code point at which each match starts."""
    if isinstance(matcher, Amount):
        return (one.start for one in answer.values.numbers if is_amount(one, matcher))
    if isinstance(matcher, Day):
        return (one.start for one in answer.values.dates if matcher.gold.covers(one))
    found = _compile(matcher.pattern).finditer(answer.normal)
    return (match.start() for match in found if match.end() > match.start())


def is_amount(shown: Number, wanted: Amount) -> bool:
    """Tell whether a shown number is the wanted one: compatible unit, within tolerance, or rounded as it is shown."""
    if not is_compatible(wanted.unit, shown.unit):
        return False
    if abs(shown.amount - wanted.gold) <= wanted.tolerance:
        return True
    if not wanted.rounding or shown.digits < wanted.rounding:
        return False
    # ROUND_HALF_UP of the decimal module rounds half away from zero.
    return wanted.gold.quantize(Decimal(1).scaleb(shown.place), rounding=ROUND_HALF_UP, context=_WIDE) == shown.amount


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re2._Regexp[str]:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options)
