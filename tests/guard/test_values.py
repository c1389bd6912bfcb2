# ruff: noqa: RUF001 - look-alike characters are what is tested
"""The value grammar of evaluation.md 2.4: listed forms, round trips in each locale, and what is no value."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.guard.dates_text import AMBIGUOUS, DateValue, read_dates
from pilotage.guard.normalise import normalise
from pilotage.guard.number_words import read_number_words
from pilotage.guard.numbers import unsupported_numbers
from pilotage.guard.tokens import tokens_of
from pilotage.guard.units import is_compatible, unit_of
from pilotage.guard.values import Values, read_values


def read(text: str, locale: str = "en") -> Values:
    return read_values(normalise(text), locale=locale)


NUMBERS = """
0 | 0 |
7 | 7 |
007 | 7 |
43 | 43 |
1,000 | 1000 |
1,234,567 | 1234567 |
1 000 | 1000 |
1 234 567 | 1234567 |
1'000 | 1000 |
1’000’000 | 1000000 |
1\u00a0000 | 1000 |
0.5 | 0.5 |
.5 | 0.5 |
3.14159 | 3.14159 |
1,234.50 | 1234.50 |
-5 | -5 |
\u22125 | -5 |
+5 | 5 |
(5) | -5 |
(1,234.5) | -1234.5 |
5k | 5000 |
5 k | 5000 |
5K | 5000 |
5 thousand | 5000 |
5m | 5000000 |
5 mm | 5000000 |
5 mn | 5000000 |
5 million | 5000000 |
1.5 millions | 1500000 |
5bn | 5000000000 |
5 b | 5000000000 |
5.5 billion | 5500000000 |
2t | 2000000000000 |
2 trillion | 2000000000000 |
10-million | 10000000 |
two hundred | 200 |
five thousand | 5000 |
forty-three million | 43000000 |
forty three million | 43000000 |
ninety-nine billion | 99000000000 |
nineteen trillion | 19000000000000 |
two hundred and five thousand | 205000 |
two million five hundred thousand | 2500000 |
one hundred | 100 |
Five Hundred | 500 |
$43 | 43 | usd
$ 43 | 43 | usd
$1,000.50 | 1000.50 | usd
-$5 | -5 | usd
$-5 | -5 | usd
($5) | -5 | usd
($1.2 million) | -1200000 | usd
$43 million | 43000000 | usd
$43-million | 43000000 | usd
**$43 million** | 43000000 | usd
$43 million [1] | 43000000 | usd
$\u200b43 million | 43000000 | usd
US$43 | 43 | usd
US$ 1.5 million | 1500000 | usd
USD 43 | 43 | usd
USD43 | 43 | usd
usd 43 million | 43000000 | usd
43 USD | 43 | usd
43USD | 43 | usd
43 million USD | 43000000 | usd
43 dollars | 43 | usd
43 million dollars | 43000000 | usd
43 US dollars | 43 | usd
forty-three million dollars | 43000000 | usd
five dollars | 5 | usd
EUR 43 million | 43000000 | eur
€43 | 43 | eur
€ 43 | 43 | eur
43 € | 43 | eur
43€ | 43 | eur
43 euros | 43 | eur
€1.5bn | 1500000000 | eur
£10 | 10 | gbp
GBP 10 | 10 | gbp
10 GBP | 10 | gbp
10 pounds sterling | 10 | gbp
¥500 | 500 | jpy
JPY 500 | 500 | jpy
500 yen | 500 | jpy
CHF 1'000 | 1000 | chf
CHF 20 | 20 | chf
20 Swiss francs | 20 | chf
C$5 | 5 | cad
CAD 5 | 5 | cad
A$5 | 5 | aud
HK$5 | 5 | hkd
S$5 | 5 | sgd
₹100 | 100 | inr
INR 100 | 100 | inr
SEK 100 | 100 | sek
5% | 5 | %
5 % | 5 | %
5 percent | 5 | %
5 per cent | 5 | %
5 pct | 5 | %
5.25% | 5.25 | %
-5 % | -5 | %
(5%) | -5 | %
five percent | 5 | %
twenty-five percent | 25 | %
2 percentage points | 2 | %
25 bps | 0.25 | %
25bps | 0.25 | %
25 basis points | 0.25 | %
1 basis point | 0.01 | %
150 bp | 1.50 | %
twenty basis points | 0.20 | %
30 days | 30 | day
30-day | 30 | day
30 business days | 30 | day
10 calendar days | 10 | day
two business days | 2 | day
thirty days | 30 | day
24 hours | 24 | hour
15 minutes | 15 | minute
6 months | 6 | month
six months | 6 | month
5 years | 5 | year
2 weeks | 2 | week
3rd | 3 | ordinal
21st | 21 | ordinal
ｆｏｕｒ ｍｉｌｌｉｏｎ | 4000000 |
４３ | 43 |
"""
NUMBERS_DE = """
1.000 | 1000 |
1.234.567,89 | 1234567.89 |
1 000,5 | 1000.5 |
0,5 | 0.5 |
2,5 % | 2.5 | %
1.000,50 € | 1000.50 | eur
€ 1.000,50 | 1000.50 | eur
43 Millionen EUR | 43000000 | eur
5 Mrd. € | 5000000000 | eur
5 Mio. € | 5000000 | eur
3 Milliarden | 3000000000 |
1 Billion | 1000000000000 |
5 Prozent | 5 | %
"""
NUMBERS_FR = """
1 000,50 | 1000.50 |
1\u202f000\u202f000 € | 1000000 | eur
2,5 % | 2.5 | %
5 milliards | 5000000000 |
5 milliards d'euros | 5000000000 |
3 millions € | 3000000 | eur
5 pour cent | 5 | %
"""
DATES = """
2026-07-21 | 2026 3 7 21
2026-07-21T10:00:00Z | 2026 3 7 21
21 July 2026 | 2026 3 7 21
21st July 2026 | 2026 3 7 21
21st of July 2026 | 2026 3 7 21
July 21, 2026 | 2026 3 7 21
July 21 2026 | 2026 3 7 21
Jul 21, 2026 | 2026 3 7 21
Jul. 21, 2026 | 2026 3 7 21
21 Jul 2026 | 2026 3 7 21
21-Jul-2026 | 2026 3 7 21
JULY 21, 2026 | 2026 3 7 21
1 May 2026 | 2026 2 5 1
September 30, 2026 | 2026 3 9 30
Sept 30, 2026 | 2026 3 9 30
29 February 2028 | 2028 1 2 29
Jul 2026 | 2026 3 7 0
July 2026 | 2026 3 7 0
July, 2026 | 2026 3 7 0
July of 2026 | 2026 3 7 0
December 1999 | 1999 4 12 0
Q3 2026 | 2026 3 0 0
Q3/2026 | 2026 3 0 0
2026 Q3 | 2026 3 0 0
2026-Q3 | 2026 3 0 0
third quarter 2026 | 2026 3 0 0
third quarter of 2026 | 2026 3 0 0
first quarter of 2025 | 2025 1 0 0
2026 | 2026 0 0 0
1900 | 1900 0 0 0
2099 | 2099 0 0 0
25/12/2026 | 2026 4 12 25
12/25/2026 | 2026 4 12 25
07/07/2026 | 2026 3 7 7
21.07.2026 | 2026 3 7 21
"""
DATES_DE = """
07/08/2026 | 2026 3 8 7
07.08.2026 | 2026 3 8 7
21. Juli 2026 | 2026 3 7 21
1. März 2026 | 2026 1 3 1
Dezember 2026 | 2026 4 12 0
"""
DATES_FR = """
07/08/2026 | 2026 3 8 7
21 juillet 2026 | 2026 3 7 21
1er mars 2026 | 2026 1 3 1
août 2026 | 2026 3 8 0
"""
NOTHING = ("12ab", "1.2.3", "v2x", "x5", "1e5", "", "none", "a1b2", "31 February 2026 x", "1800", "2100")


def _split(words: str) -> list[str]:
    return words.split()


def cells(table: str) -> list[tuple[str, str, str]]:
    found = []
    for line in table.strip("\n").split("\n"):
        text, amount, unit = (line + " ").split("|")
        found.append((text.strip(" "), amount.strip(), unit.strip()))
    return found


def pairs(table: str) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (text.strip(), tuple(int(one) for one in key.split()))
        for text, key in (line.split("|") for line in table.strip("\n").split("\n"))
    ]


def test_at_least_150_forms_are_listed() -> None:
    listed = (NUMBERS, NUMBERS_DE, NUMBERS_FR, DATES, DATES_DE, DATES_FR)
    assert sum(len(table.strip("\n").split("\n")) for table in listed) >= 150


@pytest.mark.parametrize(
    ("locale", "table"), [("en", NUMBERS), ("de", NUMBERS_DE), ("fr", NUMBERS_FR)], ids=["en", "de", "fr"]
)
def test_listed_numbers_are_read_with_their_unit(locale: str, table: str) -> None:
    for text, amount, unit in cells(table):
        found = read(f"It is {text} in all.", locale).numbers
        assert [(one.amount, one.unit) for one in found] == [(Decimal(amount), unit)], text


def test_two_kinds_of_separator_make_two_numbers() -> None:
    assert [one.amount for one in read("1 000,000").numbers] == [1, 0]


@pytest.mark.parametrize(
    ("locale", "table"), [("en", DATES), ("de", DATES_DE), ("fr", DATES_FR)], ids=["en", "de", "fr"]
)
def test_listed_dates_are_read_as_finely_as_written(locale: str, table: str) -> None:
    for text, key in pairs(table):
        assert [one.key for one in read(f"on {text}, we", locale).dates] == [key], text


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_not_well_formed_is_no_date_and_no_odd_number(text: str) -> None:
    found = read(text)
    assert found.dates == () or text.startswith("31 February")
    assert all(one.amount in (31, 2026, 1800, 2100) for one in found.numbers)


def test_an_ambiguous_date_matches_nothing_and_leaves_a_note() -> None:
    found = read("due on 07/08/2026")
    assert (found.dates, found.numbers, found.notes) == ((), (), (AMBIGUOUS,))
    assert read("due on 07/08/2026", "de").notes == ()


def test_an_impossible_date_is_none() -> None:
    assert [one.key for one in read("2026-02-30").dates] == []
    assert [one.key for one in read("30.02.2026", "de").dates] == []


def test_a_bare_year_is_a_date_and_a_number() -> None:
    found = read("for 2014 it is")
    assert [one.amount for one in found.numbers] == [2014]
    assert [one.is_bare_year for one in found.dates] == [True]


def test_dates_are_taken_out_before_numbers() -> None:
    assert read("From 21 July 2026 to 2026-08-01 and Q3 2026").numbers == ()


def test_a_number_repeated_in_brackets_is_not_negative() -> None:
    found = read("within thirty (30) days")
    assert [one.amount for one in found.numbers] == [30]
    assert [one.amount for one in found.bare_words] == [30]


def test_list_marks_are_known_as_bracketed() -> None:
    assert [one.bracketed for one in read("(1) first ($2) second").numbers] == [True, False]


def test_bare_words_stand_apart_because_one_may_be_a_pronoun() -> None:
    found = read("One of them has ten customers.")
    assert found.numbers == ()
    assert [one.amount for one in found.bare_words] == [1, 10]


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("one two", [1, 2]),
        ("zero five", [0, 5]),
        ("twenty thirty", [20, 30]),
        ("hundred", []),
        ("five hundred hundred", [5]),
        ("one thousand two million", [1, 2]),
        ("twenty eleven", [20, 11]),
    ],
)
def test_words_that_make_no_number_are_read_one_by_one(text: str, amounts: list[int]) -> None:
    assert [one.amount for one in read_number_words(text)] == amounts


def test_ranges_are_two_numbers_and_the_dash_is_no_sign() -> None:
    assert [one.amount for one in read("10-15 days").numbers] == [10, 15]
    assert [one.key[0] for one in read("2014-2015").dates] == [2014, 2015]


def test_precision_shown_counts_significant_digits_and_last_place() -> None:
    shown = {text: read(text).numbers[0] for text in ("1,497", "1.50 thousand", "0.05", "$43 million", "25 bps")}
    assert {text: (one.digits, one.place) for text, one in shown.items()} == {
        "1,497": (4, 0),
        "1.50 thousand": (3, 1),
        "0.05": (1, -2),
        "$43 million": (2, 6),
        "25 bps": (2, -2),
    }


def test_a_figure_of_more_digits_than_any_amount_has_is_skipped() -> None:
    assert read("9" * 60).numbers == ()


GROUPED = {"en": (",", "."), "de": (".", ","), "fr": (" ", ",")}


@given(
    amount=st.decimals(min_value=0, max_value=10**15, places=2, allow_nan=False),
    locale=st.sampled_from(sorted(GROUPED)),
    currency=st.sampled_from(["", "$", "€", "EUR "]),
)
def test_formatted_amounts_read_back_in_each_locale(amount: Decimal, locale: str, currency: str) -> None:
    group, point = GROUPED[locale]
    text = f"{amount:,.2f}".replace(",", "\0").replace(".", point).replace("\0", group)
    (found,) = read(f"{currency}{text}", locale).numbers
    assert found.amount == amount
    assert found.unit == {"": "", "$": "usd", "€": "eur", "EUR ": "eur"}[currency]


@given(day=st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
def test_formatted_dates_read_back(day: date) -> None:
    for form in (day.isoformat(), f"{day:%d %B %Y}", f"{day:%B %d, %Y}", f"{day:%b %d, %Y}"):
        (found,) = read(form).dates
        assert (found.year, found.month, found.day) == (day.year, day.month, day.day), form
    for locale in ("de", "fr"):
        (found,) = read(f"{day:%d/%m/%Y}", locale).dates
        assert (found.year, found.month, found.day) == (day.year, day.month, day.day)


@given(number=st.integers(min_value=1, max_value=99))
def test_words_before_a_scale_read_back(number: int) -> None:
    ones = _split("x one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
    ones += _split("seventeen eighteen nineteen")
    tens = _split("x x twenty thirty forty fifty sixty seventy eighty ninety")
    words = ones[number] if number < 20 else tens[number // 10] + (f"-{ones[number % 10]}" if number % 10 else "")
    assert [one.amount for one in read(f"{words} million").numbers] == [number * 10**6]


@given(text=st.text(max_size=80))
def test_normal_form_is_idempotent_and_reading_never_fails(text: str) -> None:
    once = normalise(text)
    for locale in ("en", "de", "fr"):
        found = read_values(once, locale=locale)
        assert all(0 <= one.start < one.end <= len(once) for one in found.numbers)
    tokens_of(once)


@pytest.mark.parametrize(
    "text", ["**Bold** [1] _it_ `x`", "a \u201cb\u201d \u2013 c", "x\u00ady\u200bz", "Stra\u00dfe"]
)
def test_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_units_have_many_names() -> None:
    assert [unit_of(one) for one in ("$", "USD", "pct", "days", "bps", "EUR", "widgets")] == [
        "usd", "usd", "%", "day", "bps", "eur", "widgets",
    ]  # fmt: skip
    assert is_compatible("usd", "")
    assert is_compatible("", "%")
    assert not is_compatible("%", "")
    assert not is_compatible("usd", "eur")


def test_a_coarser_date_covers_a_finer_one_and_never_the_reverse() -> None:
    july = DateValue(year=2026, month=7)
    day = DateValue(year=2026, month=7, day=21)
    assert july.covers(day)
    assert not day.covers(july)
    assert DateValue(year=2026, quarter=3).covers(july)
    assert not july.covers(DateValue(year=2026, quarter=3))


def test_online_and_offline_share_scales_units_and_dates() -> None:
    assert unsupported_numbers("It is 43,000,000.", "It is $43 million.") == ()
    assert unsupported_numbers("It is $43 billion.", "It is $43 million.") == ("43000000000",)
    assert unsupported_numbers("It is 5 %.", "It takes 5 days.") == ("5",)
    assert unsupported_numbers("Since 2015.", "Since 21 July 2014.") == ("2015",)
    assert unsupported_numbers("Since 2014.", "Since 21 July 2014.") == ()
    assert unsupported_numbers("By 07/08/2026.", "By 08/07/2026.") == ("07/08/2026",)


def test_text_without_digits_has_no_dates() -> None:
    assert read_dates("no figures").found == ()
