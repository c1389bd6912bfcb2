"""Dates as text writes them, read from the normal form (evaluation.md 2.4).

ISO days, `21 July 2026`, `July 21, 2026`, `Jul 2026`, `Q3 2026`, bare years 1900-2099; in `de` and `fr` also their
month names and day-first figures. Fail mode: `07/08/2026` without a locale is two days at once: no date, a note
`ambiguous_date`; an impossible date is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from pilotage.guard.units import alternatives

AMBIGUOUS = "ambiguous_date"


def _split(words: str) -> list[str]:
    return words.split()


_EN = _split("january february march april may june july august september october november december")
_DE = _split("januar februar märz april mai juni juli august september oktober november dezember")
_FR = _split("janvier février mars avril mai juin juillet août septembre octobre novembre décembre")
_ORDINAL_QUARTERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class DateValue:
    """A date as finely as it was written; offsets are code points of the normal form."""

    year: int
    quarter: int | None = None
    month: int | None = None
    day: int | None = None
    start: int = 0
    end: int = 0

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Year, quarter, month and day; 0 for what is not said. A month implies its quarter."""
        quarter = self.quarter if self.month is None else (self.month + 2) // 3
        return self.year, quarter or 0, self.month or 0, self.day or 0

    @property
    def is_bare_year(self) -> bool:
        """Tell whether only a year is said."""
        return self.quarter is None and self.month is None

    def covers(self, other: DateValue) -> bool:
        """Tell whether `other` says the same, at least as finely: `July 2026` covers `21 July 2026`."""
        return all(mine in (0, theirs) for mine, theirs in zip(self.key, other.key, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """The dates of a text, the text with every one but bare years blanked out, and notes."""

    found: tuple[DateValue, ...]
    rest: str
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=8)
def _months(locale: str) -> dict[str, int]:
    names = {name: number for number, name in enumerate(_EN, start=1)}
    names |= {name[:3]: number for name, number in names.items()} | {"sept": 9}
    local = {"de": _DE, "fr": _FR}.get(locale, [])
    for number, name in enumerate(local, start=1):
        names[name] = number
        short = name[:4] if locale == "fr" and len(name) > 4 else name[:3]
        names.setdefault(short, number)
    return names


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str], dict[str, int]], DateValue | None]
    ends_in_year: bool = True
    """The form is looked for only shortly before a year; a year is found much faster than a month's name."""
    has_day: bool = False
    """Between the start of what is searched and its last year stands another digit."""
    mark: str = ""
    """What every text of the form holds: a text without it is not searched."""


def _day(match: re.Match[str], year: int, month: int, day: int) -> DateValue | None:
    try:
        date(year, month, day)
    except ValueError:
        return None
    return DateValue(year=year, month=month, day=day, start=match.start(), end=match.end())


def _read_named(match: re.Match[str], months: dict[str, int]) -> DateValue | None:
    return _day(match, int(match["y"]), months[match["m"]], int(match["d"]))


def _read_month(match: re.Match[str], months: dict[str, int]) -> DateValue | None:
    return DateValue(year=int(match["y"]), month=months[match["m"]], start=match.start(), end=match.end())


def _read_iso(match: re.Match[str], months: dict[str, int]) -> DateValue | None:
    del months
    return _day(match, int(match["y"]), int(match["m"]), int(match["d"]))


def _read_quarter(match: re.Match[str], months: dict[str, int]) -> DateValue | None:
    del months
    quarter = _ORDINAL_QUARTERS.get(match["q"]) or int(match["q"][0])
    return DateValue(year=int(match["y"]), quarter=quarter, start=match.start(), end=match.end())


@lru_cache(maxsize=8)
def _forms(locale: str) -> tuple[_Form, ...]:
    month = rf"(?P<m>{alternatives(dict(_months(locale)))})\.?"
    day = r"(?P<d>\d{1,2})(?:st|nd|rd|th|er|\.)?"
    year = r"(?P<y>(?:1[6-9]|2\d)\d{2})(?!\d)"
    words = alternatives(dict(_ORDINAL_QUARTERS))
    return (
        _Form(
            re.compile(r"(?P<y>\d(?<![\w.].)\d{3})-(?P<m>\d{2})-(?P<d>\d{2})(?:t[\d:.]+z?)?(?!\w)"),
            _read_iso,
            ends_in_year=False,
            mark="-",
        ),
        _Form(re.compile(rf"(?<![\w.]){day}(?: of)?[ -]{month}[ -]?,? ?{year}"), _read_named, has_day=True),
        _Form(re.compile(rf"(?<!\w){month} {day},? {year}"), _read_named, has_day=True),
        _Form(re.compile(rf"(?<!\w){month}(?: of)?[ -]?,? ?{year}"), _read_month),
        _Form(re.compile(rf"q(?<!\w.)(?P<q>[1-4])[ -/]? ?(?:of )?{year}"), _read_quarter, mark="q"),
        _Form(
            re.compile(r"(?P<y>[12](?<!\w.)(?:(?<=1)9|(?<=2)0)\d{2})[ -]?q(?P<q>[1-4])(?!\w)"),
            _read_quarter,
            ends_in_year=False,
            mark="q",
        ),
        _Form(re.compile(rf"(?<!\w)(?P<q>{words}) quarter(?: of)?,? {year}"), _read_quarter, mark="quarter"),
    )


# Each starts with what it looks for, so the engine jumps from figure to figure.
_FOUR = re.compile(r"\d{4}")  # no form goes without
_DIGIT = re.compile(r"\d")
_LAST = re.compile(r"[12](?:(?<=1)[6-9]|(?<=2)\d)\d{2}(?!\d)")
_FIGURES = re.compile(r"(\d(?<![\w./].)\d?)([/.])(\d{1,2})\2(\d{4})(?![\w/])")
_CENTURY = "(?:(?<=1)9|(?<=2)0)"
_YEAR = re.compile(
    rf"[12](?:(?<![\w.,'$\u20ac\u00a3\u00a5-].){_CENTURY}\d{{2}}(?![\w%']|[.,]\d)"
    rf"|(?<=\d{{4}}-.){_CENTURY}\d{{2}}(?![\w%]|[.,]\d))"
)
_REACH = 40
"""No form is longer before its year."""


def read_dates(text: str, *, locale: str = "en") -> Dates:
    """Read every date of a text in normal form, left to right; earlier forms win where two overlap."""
    if _FOUR.search(text) is None:
        return Dates(found=(), rest=text)
    found: list[DateValue] = []
    months = _months(locale)
    near = _before_years(text)
    places = {False: [(start, end) for start, end, _ in near], True: [(start, end) for start, end, day in near if day]}
    for form in _forms(locale):
        if form.mark not in text:
            continue
        for start, end in places[form.has_day] if form.ends_in_year else ((0, len(text)),):
            hits = [(match, form.read(match, months)) for match in form.pattern.finditer(text, start, end)]
            if hits:
                text = _take(text, hits, found)
    notes: tuple[str, ...] = ()
    hits = [(match, _figures(match, locale)) for match in _FIGURES.finditer(text)]
    if any(value is None and match[2] == "/" for match, value in hits):
        notes = (AMBIGUOUS,)
    text = _take(text, hits, found)
    found += [DateValue(year=int(match[0]), start=match.start(), end=match.end()) for match in _YEAR.finditer(text)]
    return Dates(found=tuple(sorted(found, key=lambda one: one.start)), rest=text, notes=notes)


def _before_years(text: str) -> list[tuple[int, int, bool]]:
    """Return the spans that hold every form that ends in a year, with the character behind it; none overlap.

    The third value tells whether a day may stand there: a digit before the year.
    """
    spans: list[tuple[int, int, bool]] = []
    for match in _LAST.finditer(text):
        start, end = max(0, match.start() - _REACH), match.end() + 1
        if spans and start <= spans[-1][1]:
            start = spans.pop()[0]
        spans.append((start, end, _DIGIT.search(text, start, match.start()) is not None))
    return spans


def _take(text: str, hits: Iterable[tuple[re.Match[str], DateValue | None]], found: list[DateValue]) -> str:
    """Keep what was read, and blank it so that nothing else reads it. Ambiguous figures are blanked unread."""
    for match, value in hits:
        start, end = match.span()
        if value is not None:
            found.append(value)
        text = text[:start] + "\x01" * (end - start) + text[end:]
    return text


def _figures(match: re.Match[str], locale: str) -> DateValue | None:
    """Day first in `de` and `fr`; elsewhere only where both readings agree, or one of them is impossible."""
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if locale in ("de", "fr") or match[2] == ".":
        return _day(match, year, second, first)
    readings = {one for one in (_day(match, year, second, first), _day(match, year, first, second)) if one is not None}
    return readings.pop() if len(readings) == 1 else None
