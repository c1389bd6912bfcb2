"""Numbers and dates of a text with their units, read the same online and offline (evaluation.md 2.4).

Input is the normal form of `normalise`. Dates are taken out first; a bare year is a date and a number. Amounts are
exact decimals; `digits` and `place` say how precisely one was written. Fail mode: what is not well formed
(`1.2.3`, `12ab`) is no value; ambiguous dates become a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from pilotage.guard.dates_text import DateValue, read_dates
from pilotage.guard.number_words import SpelledNumber, read_number_words
from pilotage.guard.units import (
    BASIS_POINT,
    BASIS_POINT_WORDS,
    CURRENCIES,
    ORDINAL,
    PERCENT,
    PERCENT_WORDS,
    TIME_UNITS,
    alternatives,
    scales,
)

VALUES_VERSION = "pilotage-values/1"

_LONGEST_DIGITS: Final = 40
_EXACT_DIGITS: Final = 28
_LONGEST_LEAD: Final = 20
# Each branch starts with what it looks for, so the engine jumps from figure to figure.
_CHUNK = re.compile(r"\d(?<![\d.].)\d*(?:[.,' ]\d+)*|[.,](?<![\w.].)\d+")
_AFTER_UNIT = re.compile(
    rf" ?-?(?:(?P<bps>{alternatives(BASIS_POINT_WORDS)})(?!\w)|(?P<percent>{alternatives(PERCENT_WORDS)})(?!\w)"
    rf"|(?P<currency>{alternatives(CURRENCIES)})(?![\w$])"
    r"|(?:(?:business|calendar|working|banking|consecutive|full|fiscal|trading)[ -])?"
    rf"(?P<time>{'|'.join(TIME_UNITS)})s?(?!\w))"
)
# Most numbers have no unit, and a look at the letters beside them tells; the patterns are for the others.
_NEXT = re.compile(r" ?-?([a-z]*)")
_NEXT_WORDS = frozenset(
    re.split("[^a-z]", word)[0]
    for word in (
        *CURRENCIES, *PERCENT_WORDS, *BASIS_POINT_WORDS, *TIME_UNITS, *(f"{unit}s" for unit in TIME_UNITS),
        "business", "calendar", "working", "banking", "consecutive", "full", "fiscal", "trading",
    )
) - {""}  # fmt: skip
_MARKS = frozenset("+-(")
_SIGNS = frozenset(word[0] for word in (*CURRENCIES, PERCENT) if not word[0].isalpha())
_ENDINGS = {end: tuple(word for word in CURRENCIES if word[-1] == end) for end in {word[-1] for word in CURRENCIES}}


def _before_pattern(currencies: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<open>\()?(?:(?<![\w)\x01])(?P<sign>[-+]))? ?(?<![a-z])(?P<unit>{currencies}) ?(?P<inner>[-+])?$"
        r"|(?P<open2>\()?(?:(?<![\w)%\x01])(?P<sign2>[-+]))$|(?P<open3>\()$"
    )


_BEFORE = _before_pattern(alternatives(CURRENCIES))
# Most currencies before a number are signs: a look for the few of them takes a tenth of one for all.
_SIGNS_BEFORE = _before_pattern(alternatives(tuple(word for word in CURRENCIES if not word[-1].isalpha())))
_ORDINAL = re.compile(r"(?:st|nd|rd|th)(?!\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number. `unit` as `units` names it, "" for none; 25 bps are 0.25 `%`.

    `digits` counts significant digits shown, `place` is the power of ten of the last one; `spelled` tells words from
    figures, `bracketed` a whole number of at most two digits that stands alone in brackets, as enumerations do.
    """

    amount: Decimal
    unit: str
    digits: int
    place: int
    start: int
    end: int
    spelled: bool = False
    bracketed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Everything a text says in figures. `bare_words` are spelled numbers without scale or unit: perhaps no amount."""

    numbers: tuple[Number, ...]
    dates: tuple[DateValue, ...]
    bare_words: tuple[Number, ...] = ()
    notes: tuple[str, ...] = ()


def read_values(text: str, *, locale: str = "en") -> Values:
    """Read the values of a text in normal form."""
    dates = read_dates(text, locale=locale)
    found = [number for number in _figures(dates.rest, locale) if number is not None]
    bare: list[Number] = []
    for spelled in read_number_words(dates.rest):
        number = _spelled(dates.rest, spelled)
        (found if spelled.has_scale or number.unit else bare).append(number)
    found.sort(key=lambda one: one.start)
    return Values(numbers=tuple(found), dates=dates.found, bare_words=tuple(bare), notes=dates.notes)


@dataclass(frozen=True, slots=True)
class _Grammar:
    whole: re.Pattern[str]
    point: str
    group: str
    scale: re.Pattern[str]
    powers: dict[str, int]


@lru_cache(maxsize=8)
def _grammar(locale: str) -> _Grammar:
    point, group = (",", ".") if locale in ("de", "fr") else (".", ",")
    whole = re.compile(
        rf"\d{{1,3}}([{re.escape(group)}' ])\d{{3}}(?:\1\d{{3}})*(?:{re.escape(point)}\d+)?"
        rf"|\d*(?:{re.escape(point)}\d+)|\d+"
    )
    powers = dict(scales(locale))
    # A letter belongs to its number directly ("5k", "5 m"); a hyphen only comes before a whole word ("$43-million").
    scale = re.compile(rf"(?: ?|-(?=[a-z]{{4}}))({alternatives(powers)})(?![\w'])\.?")
    return _Grammar(whole=whole, point=point, group=group, scale=scale, powers=powers)


def _figures(text: str, locale: str) -> list[Number | None]:
    grammar = _grammar(locale)
    return [
        _figure(text, start, piece, grammar)
        for chunk in _CHUNK.finditer(text)
        for start, piece in _pieces(chunk[0], chunk.start(), grammar)
    ]


def _pieces(chunk: str, start: int, grammar: _Grammar) -> list[tuple[int, str]]:
    """`1 000` and `25,000` are one number; `2013 12` and `1,2` are two; `1.2.3` is none."""
    if chunk.isdecimal() or grammar.whole.fullmatch(chunk) is not None:
        return [(start, chunk)]
    for mark in (" ", "'", grammar.group if grammar.group == "," else ""):
        if mark and mark in chunk:
            found: list[tuple[int, str]] = []
            for piece in chunk.split(mark):
                found += _pieces(piece, start, grammar) if piece else []
                start += len(piece) + 1
            return found
    return []


def _figure(text: str, start: int, piece: str, grammar: _Grammar) -> Number | None:
    plain = piece
    if not piece.isdecimal():
        plain = piece.translate(_NO_GROUPS).replace(grammar.group, "").replace(grammar.point, ".")
    if len(plain) > _LONGEST_DIGITS:
        return None
    end, power = start + len(piece), 0
    scale = grammar.scale.match(text, end) if _word_after(text, end) in grammar.powers else None
    if scale is not None:
        power, end = grammar.powers[scale[1]], scale.end()
    lead = _before(text, start)
    if not lead.unit and start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        return None
    after, end = _after(text, end, has_currency=bool(lead.unit))
    if after == "" and end < len(text) and (text[end].isalnum() or text[end] == "_"):
        ordinal = _ORDINAL.match(text, end)
        if ordinal is None:
            return None
        after, end = ORDINAL, ordinal.end()
    is_closed = lead.is_open and text[end : end + 1] == ")"
    amount, digits, place = _amount(plain, power)
    number = _with_unit(amount, place, lead.unit or after)
    is_negative = lead.is_negative or (is_closed and not _repeats_words(text, lead.start))
    return Number(
        amount=-number[0] if is_negative else number[0],
        unit=number[2],
        digits=digits,
        place=number[1],
        start=lead.start,
        end=end + is_closed,
        bracketed=is_closed and number[2] == "" and place == 0 and len(plain) <= 2,
    )


_NO_GROUPS = str.maketrans("", "", "' ")


def _amount(plain: str, power: int) -> tuple[Decimal, int, int]:
    """Return the amount, its significant digits and the place of the last one."""
    whole, _, fraction = plain.partition(".")
    digits = len((whole + fraction).lstrip("0")) or 1
    amount = Decimal(f"0{plain}")
    return amount.scaleb(power) if power or len(plain) > _EXACT_DIGITS else amount, digits, power - len(fraction)


def _with_unit(amount: Decimal, place: int, unit: str) -> tuple[Decimal, int, str]:
    """Return amount, place and unit with basis points as hundredths of a percent."""
    return (amount / 100, place - 2, PERCENT) if unit == BASIS_POINT else (amount, place, unit)


def _repeats_words(text: str, begin: int) -> bool:
    """`thirty (30) days` repeats the word in figures; the brackets make nothing negative."""
    tail = text[max(0, begin - 24) : begin].rstrip(" (")
    last = read_number_words(tail)
    return bool(last) and last[-1].end == len(tail)


class _Lead(NamedTuple):
    """What stands before a number: where it really starts, its currency, its sign, whether a bracket opens."""

    start: int
    unit: str = ""
    is_negative: bool = False
    is_open: bool = False


def _before(text: str, start: int) -> _Lead:
    head = text[max(0, start - _LONGEST_LEAD) : start]
    reach = _reach(head)
    if not reach:
        return _Lead(start)
    pattern = _BEFORE if head.rstrip("+-( ")[-1:].isalpha() else _SIGNS_BEFORE
    found = pattern.search(head, max(0, len(head) - reach))
    if found is None:
        return _Lead(start)
    return _Lead(
        start - (len(head) - found.start()),
        CURRENCIES[found["unit"]] if found["unit"] else "",
        "-" in (found["sign"], found["inner"], found["sign2"]),
        bool(found["open"] or found["open2"] or found["open3"]),
    )


def _reach(head: str) -> int:
    """Return how far before the end of a text a sign, a bracket or a currency may start; 0: none stands there."""
    last = head[-1:]
    is_mark = last in _MARKS
    word = head[:-1] if is_mark else head
    word = word[:-1] if word[-1:] == " " else word
    longest = 0
    for unit in _ENDINGS.get(word[-1:], ()):
        if len(unit) > longest and word.endswith(unit):
            longest = len(unit)
    # "(- usd -": around a currency stand at most five more characters, without one at most two.
    return longest + 5 if longest else 2 * is_mark


def _word_after(text: str, end: int) -> str:
    """Return the letters behind a number, "" for none."""
    found = _NEXT.match(text, end)
    return found[1] if found is not None else ""


def _may_follow(text: str, end: int) -> bool:
    """Tell whether a unit may stand behind a number."""
    found = _NEXT.match(text, end)
    return found is not None and (
        found[1] in _NEXT_WORDS or (not found[1] and text[found.end() : found.end() + 1] in _SIGNS)
    )


def _after(text: str, end: int, *, has_currency: bool) -> tuple[str, int]:
    """Return the unit behind a number and where it ends."""
    found = _AFTER_UNIT.match(text, end) if _may_follow(text, end) else None
    if found is None or (has_currency and not found["currency"]):
        return "", end
    if found["currency"]:
        return CURRENCIES[found["currency"]], found.end()
    return found["time"] or (BASIS_POINT if found["bps"] else PERCENT), found.end()


def _spelled(text: str, spelled: SpelledNumber) -> Number:
    lead = _before(text, spelled.start)
    after, end = _after(text, spelled.end, has_currency=bool(lead.unit))
    amount, place, unit = _with_unit(Decimal(spelled.amount), spelled.place, lead.unit or after)
    return Number(
        amount=-amount if lead.is_negative else amount,
        unit=unit,
        digits=len(str(spelled.amount)) - spelled.place,
        place=place,
        start=lead.start,
        end=end,
        spelled=True,
    )
