"""Charts draw what their tables say, and nothing across what is unknown."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pilotage.console.charts.lines import line_chart, runs
from pilotage.console.charts.plot import axes
from pilotage.console.charts.scale import text_of, ticks
from pilotage.console.charts.series import Labels, Limit, Point, Series, checked, thinned

LABELS = Labels(title="Errors", finding="Errors stay below 0.1 %.", x="when", y="share")
VALUES = st.one_of(st.none(), st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda one: round(one, 3)))
LINES = st.lists(VALUES, min_size=1, max_size=60).map(
    lambda ys: tuple(Point(x=float(place), y=y) for place, y in enumerate(ys))
)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_every_point_of_a_line_lies_where_its_number_says(lines: list[tuple[Point, ...]]) -> None:
    series = [Series(name=f"s{place}", points=points) for place, points in enumerate(lines)]
    page = LexborHTMLParser(str(line_chart(LABELS, series)))
    across, up = axes(checked(series), ())
    for one in series:
        path = page.css_first(f'path[data-series="{one.name}"]')
        assert path is not None
        drawn = [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path.attributes["d"] or "")]
        known = [point for point in one.points if point.y is not None]
        assert len(drawn) == len(known)
        for (x, y), point in zip(drawn, known, strict=True):
            assert abs(x - across.at(point.x)) <= 1
            assert abs(y - up.at(point.y or 0.0)) <= 1
        assert (path.attributes["d"] or "").count("M") == len(runs(one.points))
    cells = [cell.attributes["data-y"] for cell in page.css("td[data-y]")]
    assert len(cells) == sum(len(one.points) for one in series)
    plotted = sorted(point.y for one in series for point in one.points if point.y is not None)
    assert sorted(float(cell) for cell in cells if cell) == plotted


def test_a_row_remembered_of_one_chart_is_not_taken_for_that_of_another() -> None:
    def drawn(y: float | None, unit: str) -> str:
        series = [Series(name="a", points=(Point(x=0, y=y),))]
        return str(line_chart(LABELS, series, y_text=lambda value: f"{value:g} {unit}"))

    assert '<td class="number" data-y="3.0">3 %</td>' in drawn(3, "%")
    assert '<td class="number" data-y="3.0">3 ms</td>' in drawn(3.0, "ms")
    assert '<td class="number" data-y="">unknown</td>' in drawn(None, "ms")
    assert '<td class="number" data-y="0.0">0 ms</td>' in drawn(-0.0, "ms")


@given(LINES)
def test_an_unknown_value_is_the_word_and_never_a_zero(points: tuple[Point, ...]) -> None:
    text = LexborHTMLParser(str(line_chart(LABELS, [Series(name="a", points=points)])))
    words = [cell.text() for cell in text.css("td[data-y]")]
    assert [word == "unknown" for word in words] == [point.y is None for point in points]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_raises(number: float) -> None:
    series = Series(name="a", points=(Point(x=0, y=number),))
    with pytest.raises(ValueError, match="not finite"):
        line_chart(LABELS, [series])
    with pytest.raises(ValueError, match="not finite"):
        line_chart(LABELS, [Series(name="a", points=(Point(x=number, y=0),))])


@given(st.lists(VALUES, min_size=25, max_size=90))
def test_thinning_keeps_the_peaks_and_the_order(ys: list[float | None]) -> None:
    points = tuple(Point(x=float(place), y=y) for place, y in enumerate(ys))
    found = thinned(points, 24)
    assert len(found) <= 24
    assert [point.x for point in found] == sorted(point.x for point in found)
    known = [y for y in ys if y is not None]
    if known:
        kept = [point.y for point in found if point.y is not None]
        assert (max(kept), min(kept)) == (max(known), min(known))
    assert (None in ys) == any(point.y is None for point in found)


def test_more_than_eight_series_become_others() -> None:
    series = [Series(name=str(place), points=(Point(x=0, y=1.0), Point(x=1, y=None))) for place in range(11)]
    found = checked(series)
    assert [one.name for one in found] == [*map(str, range(7)), "4 others"]
    assert [point.y for point in found[-1].points] == [4.0, None]


def test_the_same_numbers_give_the_same_bytes() -> None:
    series = [Series(name="a", points=(Point(x=0, y=1.0), Point(x=1, y=2.0)))]
    limit = [Limit(value=1.5, word="limit 1.5")]
    drawn = line_chart(LABELS, series, limit)
    assert drawn == line_chart(LABELS, series, limit)
    assert "limit 1.5" in drawn
    assert "style=" not in drawn


def test_the_words_of_two_limits_close_to_each_other_stand_at_different_ends() -> None:
    limits = [Limit(value=1.0, word="go"), Limit(value=1.01, word="back")]
    page = LexborHTMLParser(str(line_chart(LABELS, [Series(name="a", points=(Point(x=0, y=9.0),))], limits)))
    words = [(node.text(), node.attributes["text-anchor"]) for node in page.css(".limit-word")]
    assert words == [("go", "end"), ("back", "start")]


@given(st.floats(min_value=-1e9, max_value=1e9), st.floats(min_value=1e-6, max_value=1e9))
def test_ticks_span_the_numbers(low: float, span: float) -> None:
    high = low + span
    found = ticks(low, high)
    size = max(abs(low), abs(high), 1e-9)
    assert found[0] <= low + 1e-6 * size
    assert found[-1] >= high - 1e-6 * size
    assert len(found) <= 12


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1234.5, "1,234"), (0.00123, "0.00123"), (25, "25")])
def test_numbers_are_written_as_people_read_them(value: float, text: str) -> None:
    assert text_of(value) == text
