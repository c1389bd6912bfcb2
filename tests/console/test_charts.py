"""Charts draw what their tables say, and nothing across what is unknown."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pilotage.console.charts.bars import bar_chart
from pilotage.console.charts.intervals import interval_chart
from pilotage.console.charts.lines import line_chart, runs
from pilotage.console.charts.plot import axes
from pilotage.console.charts.scale import text_of, ticks
from pilotage.console.charts.series import Labels, Limit, Point, Series, checked, thinned
from pilotage.console.charts.spark import sparkline

LABELS = Labels(title="Errors", finding="Errors stay below 0.1 %.", x="when", y="share")
VALUES = st.one_of(st.none(), st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda one: round(one, 3)))
LINES = st.lists(VALUES, min_size=1, max_size=60).map(
    lambda ys: tuple(Point(x=float(place), y=y) for place, y in enumerate(ys))
)


@given(st.lists(LINES, min_size=1, max_size=4))
def test_every_point_of_a_line_lies_where_its_number_says(lines: list[tuple[Point, ...]]) -> None:
    series = [Series(name=f"s{place}", points=points) for place, points in enumerate(lines)]
    page = LexborHTMLParser(str(line_chart(LABELS, series)))
    across, up = axes(checked(series), (), from_zero=True)
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
    plotted = sorted(repr(point.y) for one in series for point in one.points if point.y is not None)
    assert sorted(cell for cell in cells if cell) == plotted


@given(LINES)
def test_an_unknown_value_is_the_word_and_never_a_zero(points: tuple[Point, ...]) -> None:
    text = LexborHTMLParser(str(line_chart(LABELS, [Series(name="a", points=points)])))
    words = [cell.text() for cell in text.css("td[data-y]")]
    assert [word == "unknown" for word in words] == [point.y is None for point in points]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_raises(number: float) -> None:
    series = Series(name="a", points=(Point(x=0, y=number),))
    for draw in (line_chart, bar_chart, interval_chart):
        with pytest.raises(ValueError, match="not finite"):
            draw(LABELS, [series])
    with pytest.raises(ValueError, match="not finite"):
        sparkline(series, "x")


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
    series = [Series(name="a", points=(Point(x=0, y=1.0, low=0.5, high=1.5), Point(x=1, y=2.0)))]
    limit = [Limit(value=1.5, word="limit 1.5")]
    assert line_chart(LABELS, series, limit) == line_chart(LABELS, series, limit)
    assert "limit 1.5" in interval_chart(LABELS, series, limit)
    assert "style=" not in bar_chart(LABELS, series, limit, stacked=True)


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


def boxes(figure: str, kind: str) -> list[dict[str, float]]:
    """The rectangles of a drawing, without those of its legend."""
    drawing = LexborHTMLParser(figure).css_first(".chart[role=img]")
    assert drawing is not None
    rows = [node.attributes for node in drawing.css(f"rect{kind}")]
    return [{name: float(row[name] or "") for name in ("x", "y", "width", "height")} for row in rows]


POSITIVE = st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)), min_size=1, max_size=20)


@given(POSITIVE)
def test_every_bar_is_as_tall_as_its_number_and_an_unknown_one_has_none(values: list[float | None]) -> None:
    series = [Series(name="a", points=tuple(Point(x=float(place), y=y) for place, y in enumerate(values)))]
    _, up = axes(checked(series), (), from_zero=True)
    found = boxes(str(bar_chart(LABELS, series)), "")
    known = [y for y in values if y is not None]
    assert len(found) == len(known)
    assert [box["x"] for box in found] == sorted(box["x"] for box in found)
    for box, y in zip(found, known, strict=True):
        assert abs(box["height"] - (up.at(0) - up.at(y))) <= 1
        assert abs(box["y"] - up.at(y)) <= 1


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), min_size=1, max_size=12))
def test_stacked_bars_stand_on_each_other(pairs: list[tuple[float, float]]) -> None:
    lower, upper = (
        Series(name=name, points=tuple(Point(x=float(place), y=pair[which]) for place, pair in enumerate(pairs)))
        for which, name in enumerate(("a", "b"))
    )
    drawn = str(bar_chart(LABELS, [lower, upper], stacked=True))
    first, second = boxes(drawn, ".f0"), boxes(drawn, ".f1")
    assert len(first) == len(second) == len(pairs)
    total = max(a + b for a, b in pairs)
    _, up = axes([Series(name="all", points=(Point(x=0, y=total),))], (), from_zero=True)
    for low, high, (a, b) in zip(first, second, pairs, strict=True):
        assert abs(low["y"] - up.at(a)) <= 1
        assert abs(high["y"] - up.at(a + b)) <= 1
        assert abs(high["y"] + high["height"] - low["y"]) <= 1


WHISKERS = st.lists(st.one_of(st.none(), st.tuples(*[st.floats(-1e6, 1e6)] * 3).map(sorted)), min_size=1, max_size=12)


@given(WHISKERS)
def test_every_whisker_spans_its_interval_and_an_unknown_point_has_none(values: list[list[float] | None]) -> None:
    points = tuple(
        Point(x=float(place), y=None) if one is None else Point(x=float(place), y=one[1], low=one[0], high=one[2])
        for place, one in enumerate(values)
    )
    series = [Series(name="a", points=points)]
    figure = str(interval_chart(LABELS, series))
    page = LexborHTMLParser(figure)
    _, up = axes(checked(series), (), from_zero=False)
    spans = [node.attributes["d"] or "" for node in page.css(".chart[role=img] path.series")]
    dots = [float(node.attributes["cy"] or "") for node in page.css(".chart[role=img] circle")]
    known = [one for one in values if one is not None]
    assert len(spans) == len(dots) == len(known)
    for path, dot, (low, y, high) in zip(spans, dots, known, strict=True):
        ((bottom, top),) = re.findall(r"M[-\d.]+ ([-\d.]+)V([-\d.]+)", path)
        assert abs(float(bottom) - up.at(low)) <= 1
        assert abs(float(top) - up.at(high)) <= 1
        assert abs(dot - up.at(y)) <= 1
    assert [cell.text() == "unknown" for cell in page.css("td[data-y]")] == [one is None for one in values]


@given(LINES)
def test_a_sparkline_has_a_gap_wherever_a_value_is_unknown(points: tuple[Point, ...]) -> None:
    path = LexborHTMLParser(str(sparkline(Series(name="a", points=points), "x"))).css_first("path")
    assert path is not None
    drawn = path.attributes["d"] or ""
    assert drawn.count("M") == len(runs(points))
    assert len(re.findall(r"[ML][-\d.]+ [-\d.]+", drawn)) == sum(point.y is not None for point in points)
