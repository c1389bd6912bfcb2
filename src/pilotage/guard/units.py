"""Currencies, percent, scale words and units of time: one vocabulary for amounts (evaluation.md 2.4).

A number's unit is a lower-case ISO 4217 code, `%`, a unit of time, `ordinal`, or "" when none is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

PERCENT = "%"
ORDINAL = "ordinal"
BASIS_POINT = "bps"


def _split(words: str) -> list[str]:
    return words.split()


ISO_CODES = frozenset(
    _split(
        "usd eur gbp jpy chf cad aud nzd cny hkd sgd inr krw sek nok dkk isk pln czk huf ron bgn try ils zar "
        "brl mxn ars clp cop pen thb idr myr php vnd twd aed sar qar kwd egp ngn kes"
    )
)
_SYMBOLS = {"us$": "usd", "c$": "cad", "a$": "aud", "nz$": "nzd", "hk$": "hkd", "s$": "sgd", "r$": "brl"} | {
    "$": "usd", "\u20ac": "eur", "\u00a3": "gbp", "\u00a5": "jpy", "\u20b9": "inr", "\u20a9": "krw", "\u20ba": "try",
}  # fmt: skip
_WORDS = {
    "us dollars": "usd", "us dollar": "usd", "u.s. dollars": "usd", "dollars": "usd", "dollar": "usd",
    "euros": "eur", "euro": "eur", "pounds sterling": "gbp", "pound sterling": "gbp", "yen": "jpy",
    "swiss francs": "chf", "swiss franc": "chf",
}  # fmt: skip
CURRENCIES: Mapping[str, str] = MappingProxyType({**_SYMBOLS, **_WORDS, **{code: code for code in ISO_CODES}})
"""Every way to write a currency, in normal form, to its code."""

PERCENT_WORDS = ("percentage points", "percentage point", "percent", "per cent", "pct", "prozent", "pour cent", "%")
BASIS_POINT_WORDS = ("basis points", "basis point", "bps", "bp")
TIME_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")

_SCALES = {
    "k": 3, "thousand": 3, "thousands": 3, "m": 6, "mm": 6, "mn": 6, "mio": 6, "million": 6, "millions": 6,
    "bn": 9, "b": 9, "billion": 9, "billions": 9, "t": 12, "tn": 12, "trillion": 12, "trillions": 12,
}  # fmt: skip
# A German or French billion is the English trillion: the locale decides.
_LONG = {"billion": 12, "mrd": 9, "md": 9, "trillion": 18}
_SCALES_DE = _SCALES | _LONG | {
    "tausend": 3, "millionen": 6, "milliarde": 9, "milliarden": 9, "billionen": 12, "trillionen": 18,
}  # fmt: skip
_SCALES_FR = _SCALES | _LONG | {"mille": 3, "milliard": 9, "milliards": 9, "billions": 12, "trillions": 18}


def scales(locale: str) -> Mapping[str, int]:
    """Return scale word to power of ten as `locale` (two letters) reads it."""
    return {"de": _SCALES_DE, "fr": _SCALES_FR}.get(locale, _SCALES)


def alternatives(words: Mapping[str, object] | tuple[str, ...] | frozenset[str]) -> str:
    """Return a regular expression of any of the words, longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))


def unit_of(text: str) -> str:
    """Return the unit a gold unit means: `$` and `USD` are `usd`, `pct` is `%`, `days` is `day`; else itself."""
    plain = " ".join(text.casefold().split())
    if plain in CURRENCIES:
        return CURRENCIES[plain]
    if plain in PERCENT_WORDS:
        return PERCENT
    if plain in BASIS_POINT_WORDS:
        return BASIS_POINT
    singular = plain.removesuffix("s")
    return singular if singular in TIME_UNITS else plain


def is_compatible(wanted: str, shown: str) -> bool:
    """Tell whether a number shown with one unit may stand for one wanted with another.

    An absent unit is compatible, another never; percent must be shown. A number wanted without unit takes any.
    """
    return wanted in ("", shown) or (shown == "" and wanted != PERCENT)
