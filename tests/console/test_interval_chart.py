"""Intervals are drawn where their numbers say, and what is unknown has no mark."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pilotage.console.charts.interval import Whisker, interval_chart, scale_of
from pilotage.console.charts.series import Labels

LABELS = Labels(
    title="B against A", finding="B is worse in 1.", x="metric", y="B better by", csv="/compare/numbers?a=1"
)
NUMBERS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda one: round(one, 3))


@st.composite
def rows(draw: st.DrawFn) -> list[Whisker]:
    found = []
    for place in range(draw(st.integers(1, 12))):
        numbers = sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3)))
        limit = draw(st.none() | NUMBERS)
        lower, value, upper = numbers if draw(st.booleans()) else (None, None, None)
        found.append(Whisker(name=f"m{place}", value=value, lower=lower, upper=upper, limit=limit))
    return found


@given(rows())
def test_every_interval_lies_where_its_numbers_say(given_rows: list[Whisker]) -> None:
    page, across = LexborHTMLParser(str(interval_chart(LABELS, given_rows))), scale_of(given_rows)
    points = [float(one.attributes["cx"] or "") for one in page.css("circle.f0")]
    known = [one for one in given_rows if one.value is not None]
    assert len(points) == len(known)
    for x, one in zip(points, known, strict=True):
        path = page.css_first(f'path[data-whisker="{one.name}"]')
        assert path is not None
        drawn = re.match(r"M([-\d.]+) [-\d.]+H([-\d.]+)", path.attributes["d"] or "")
        assert drawn is not None
        wanted = [across.at(number or 0.0) for number in (one.value, one.lower, one.upper)]
        assert all(abs(a - b) <= 1 for a, b in zip((x, float(drawn[1]), float(drawn[2])), wanted, strict=True))
    cells = [cell.attributes["data-y"] for cell in page.css("td[data-y]") if cell.attributes["data-y"]]
    numbers = [
        number for one in given_rows for number in (one.value, one.lower, one.upper, one.limit) if number is not None
    ]
    assert [float(cell or "") for cell in cells] == numbers


def test_an_unknown_one_is_the_word_and_no_mark() -> None:
    unknown = Whisker(name="mrr", value=None, lower=None, upper=None, limit=None)
    page = LexborHTMLParser(str(interval_chart(LABELS, [unknown])))
    assert page.css("circle, path[data-whisker], path.limit") == []
    assert [cell.text() for cell in page.css("tbody td")] == ["unknown", "unknown", "unknown", "none"]
    assert page.css_first("a[download]") is not None
    bare = str(interval_chart(Labels(title="t", finding="f", x="x", y="y"), []))
    assert "download" not in bare


def test_a_point_without_ends_has_no_whisker() -> None:
    page = LexborHTMLParser(str(interval_chart(LABELS, [Whisker(name="m", value=0.5, lower=None, upper=None)])))
    assert len(page.css("circle.f0")) == 1
    assert page.css("path[data-whisker]") == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_raises(number: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        interval_chart(LABELS, [Whisker(name="m", value=number, lower=0.0, upper=1.0)])
