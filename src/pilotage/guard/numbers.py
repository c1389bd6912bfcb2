"""Numbers and dates of an answer must stand in what it cites, or in the question (serving.md 5.6).

The one reading of numbers is `values.py`: separators, scale words, currencies and percent are normalised on both sides,
so `$43 million` supports `43,000,000` and not `44 million`. A date supports every coarser way to say it. Fail mode: a
figure that cannot be read (`07/08/2026`) is supported only by the same figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pilotage.guard.dates_text import DateValue
from pilotage.guard.normalise import normalise
from pilotage.guard.units import PERCENT
from pilotage.guard.values import Number, Values, read_values

_HIGHEST_WORD = 12
_AMBIGUOUS = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The values of a text, and its normal form."""

    text: str
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The figures a statement may rely on. `amounts` maps a plain decimal to the units it is shown with."""

    text: str
    values: Values
    amounts: Mapping[str, tuple[str, ...]]


@lru_cache(maxsize=64)
def read_figures(text: str, locale: str = "en") -> Figures:
    """Read what is said; several checks in a row ask for it, and nobody later."""
    normal = normalise(text)
    return Figures(text=normal, values=read_values(normal, locale=locale))


@lru_cache(maxsize=4096)
def read_source(text: str, locale: str = "en") -> Source:
    """Read a text once; passages come back with many answers."""
    normal = normalise(text)
    values = read_values(normal, locale=locale)
    amounts: dict[str, tuple[str, ...]] = {}
    for one in (*values.numbers, *_words(values)):
        plain = _plain(one)
        units = amounts.get(plain, ())
        if one.unit not in units:
            amounts[plain] = (*units, one.unit)
    return Source(text=normal, values=values, amounts=amounts)


def numbers_in(text: str) -> frozenset[str]:
    """Return the numbers of a text as plain decimals, scale words multiplied out; dates are not numbers, years are."""
    return frozenset(read_source(text).amounts)


def _words(values: Values) -> Iterable[Number]:
    """Spelled numbers up to twelve; beyond, only with a scale or a unit, where they already are numbers."""
    return [one for one in values.bare_words if one.amount <= _HIGHEST_WORD]


def _plain(number: Number) -> str:
    text = f"{number.amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number_anchors(figures: Figures) -> tuple[Number, ...]:
    """Return the numbers a statement has to answer for: not years, not list marks, not the word `one`."""
    years = {one.start for one in figures.values.dates if one.is_bare_year}
    words = [one for one in _words(figures.values) if one.amount > 1]
    return tuple([one for one in (*figures.values.numbers, *words) if one.start not in years and not one.bracketed])


def is_number_supported(number: Number, sources: Iterable[Source]) -> bool:
    """Tell whether a source holds the amount with a compatible unit. Percent must be shown on both sides."""
    amount = _plain(number)
    return any(_fits(number.unit, unit) for source in sources for unit in source.amounts.get(amount, ()))


def _fits(mine: str, theirs: str) -> bool:
    return mine == theirs or (PERCENT not in (mine, theirs) and not (mine and theirs))


def is_date_supported(wanted: DateValue, sources: Iterable[Source]) -> bool:
    """Tell whether a source holds the date at least as finely."""
    return any(wanted.covers(one) for source in sources for one in source.values.dates)


def ambiguous_in(figures: Figures) -> tuple[str, ...]:
    """Return dates that read two ways, as written."""
    return tuple(_AMBIGUOUS.findall(figures.text)) if figures.values.notes else ()


def unsupported_numbers(statement: str, sources: str) -> tuple[str, ...]:
    """Return the numbers and dates of a statement that stand nowhere in its sources, in order of their text."""
    mine, theirs = read_figures(statement), (read_source(sources),)
    missing = {_plain(one) for one in number_anchors(mine) if not is_number_supported(one, theirs)}
    missing |= {mine.text[one.start : one.end] for one in mine.values.dates if not is_date_supported(one, theirs)}
    missing |= {written for written in ambiguous_in(mine) if written not in theirs[0].text}
    return tuple(sorted(missing))
