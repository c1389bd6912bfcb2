"""The frame of every chart: SVG with title and description, axes, limit lines, and the table of the same numbers.

Rule: classes and presentation attributes only; series differ by dash and marker as well as colour; a gap stays a gap.
`data-` attributes hold what a mark stands for, as numbers: static/plot.js draws the same chart over it from them.
Sources: WAI-ARIA graphics (`role="img"` with title and desc). Fail mode: ValueError from `series.checked`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

from pilotage.console.charts.scale import Scale, pixel, text_of, ticks
from pilotage.console.charts.series import Labels, Limit, Series

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44
_ROWS_KEPT: Final = 8192
"""Rows of tables a process remembers: a live chart grows by one, and the others stay as they are."""
_ABSENT: Final = "absent"
"""Stands where a series has no point; `None` is one whose value is unknown."""
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "10 4", "4 4", "1 3", "12 3 3 3")


def axes(series: Sequence[Series], limits: Sequence[Limit]) -> tuple[Scale, Scale]:
    """Return the scales of x and y that hold every known number, zero too."""
    xs = [point.x for one in series for point in one.points] or [0.0, 1.0]
    known = [point.y for one in series for point in one.points if point.y is not None]
    ys = [*known, *(limit.value for limit in limits)] or [0.0, 1.0]
    marks = ticks(min(0.0, *ys), max(ys))
    first, last = min(xs), max(xs)
    across = Scale(low=first, high=last if last > first else first + 1.0, start=LEFT, end=WIDTH - RIGHT)
    return across, Scale(low=marks[0], high=marks[-1], start=HEIGHT - BOTTOM, end=TOP)


def marker(place: int, x: float, y: float) -> str:
    """Return the marker of the nth series."""
    if place % 3 == 0:
        return f'<circle class="f{place % 8}" cx="{pixel(x)}" cy="{pixel(y)}" r="3"/>'
    if place % 3 == 1:
        return f'<rect class="f{place % 8}" x="{pixel(x - 3)}" y="{pixel(y - 3)}" width="6" height="6"/>'
    path = f"M{pixel(x)} {pixel(y - 4)}L{pixel(x + 4)} {pixel(y + 3)}L{pixel(x - 4)} {pixel(y + 3)}z"
    return f'<path class="f{place % 8}" d="{path}"/>'


def figure(  # noqa: PLR0913 - the parts of a figure
    labels: Labels,
    series: Sequence[Series],
    limits: Sequence[Limit],
    scales: tuple[Scale, Scale],
    body: str,
    *,
    x_text: Callable[[float], str] = text_of,
    y_text: Callable[[float], str] = text_of,
) -> Markup:
    """Return the whole figure: drawing, legend and table. `body` is SVG of ours."""
    across, up = scales
    title, finding = escape(labels.title), escape(labels.finding)
    parts = _grid(up, y_text) + _floor(across, x_text) + _limits(limits, across, up) + body
    drawing = (
        f'<div class="plot"><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"<title>{title}</title><desc>{finding}</desc>{parts}</svg></div>"
    )
    numbers = table(labels, series, x_text=x_text, y_text=y_text)
    whole = f"<figure><figcaption>{title}</figcaption><p>{finding}</p>{drawing}{_legend(series)}{numbers}</figure>"
    return Markup(whole)  # noqa: S704 - every text in it is escaped where it is put in


def _grid(up: Scale, y_text: Callable[[float], str]) -> str:
    return "".join(
        f'<path class="axis" d="M{LEFT} {pixel(up.at(value))}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 8}" y="{pixel(up.at(value) + 5)}" text-anchor="end" data-tick="y" data-at="{value!r}">'
        f"{escape(y_text(value))}</text>"
        for value in ticks(up.low, up.high)
        if up.low <= value <= up.high
    )


def _floor(across: Scale, x_text: Callable[[float], str]) -> str:
    middle = (across.low + across.high) / 2
    places = ((across.low, "start"), (middle, "middle"), (across.high, "end"))
    return "".join(
        f'<text x="{pixel(across.at(value))}" y="{HEIGHT - BOTTOM + 24}" text-anchor="{anchor}" data-tick="x"'
        f' data-at="{value!r}">{escape(x_text(value))}</text>'
        for value, anchor in places
    )


def _limits(limits: Sequence[Limit], across: Scale, up: Scale) -> str:
    return "".join(
        f'<path class="limit" d="M{pixel(across.start)} {pixel(up.at(one.value))}H{pixel(across.end)}"/>'
        f'<text class="limit-word" x="{pixel(across.start + 4 if place % 2 else across.end)}"'
        f' y="{pixel(up.at(one.value) - 5)}"'
        # words of two limits close to each other stay apart
        f' text-anchor="{"start" if place % 2 else "end"}" data-at="{one.value!r}">{escape(one.word)}</text>'
        for place, one in enumerate(limits)
    )


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    items = "".join(
        '<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">'
        f'<path class="chart-key series s{place % 8}" d="M0 6H28" stroke-dasharray="{DASHES[place % 8]}"/>'
        f"{marker(place, 14, 6)}</svg> {escape(one.name)}</li>"
        for place, one in enumerate(series)
    )
    return f'<ul class="legend chart">{items}</ul>'


def table(
    labels: Labels, series: Sequence[Series], *, x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> str:
    """Return exactly the plotted numbers; an unknown one is the word."""
    by_name = [{point.x: point.y for point in one.points} for one in series]
    head = "".join(f'<th scope="col" class="number">{escape(one.name)}</th>' for one in series)
    rows = "".join(
        [
            _row(x + 0.0, tuple([_known(known, x) for known in by_name]), x_text, y_text)
            for x in sorted({x for known in by_name for x in known})
        ]
    )
    title = escape(labels.title)
    return (
        f'<details><summary>Table of these numbers<span class="unseen">: {title}</span></summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr><th scope="col">'
        f"{escape(labels.x)}</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>{_download(labels)}</details>"
    )


def _download(labels: Labels) -> str:
    if not labels.csv:
        return ""
    more = f'<span class="unseen">: {escape(labels.title)}</span>'
    return f'<p><a href="{escape(labels.csv)}" download>Download as CSV{more}</a></p>'


def _known(points: Mapping[float, float | None], x: float) -> float | str | None:
    """Return what a series says there; no zero is negative, so that equal numbers are one row."""
    y = points.get(x, _ABSENT)
    return y if y is None or isinstance(y, str) else y + 0.0


@lru_cache(maxsize=_ROWS_KEPT)
def _row(
    x: float, ys: tuple[float | str | None, ...], x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> str:
    cells = "".join([_cell(y, y_text) for y in ys])
    return f'<tr><th scope="row" data-x="{x!r}">{escape(x_text(x))}</th>{cells}</tr>'


def _cell(y: float | str | None, y_text: Callable[[float], str]) -> str:
    if isinstance(y, str):
        return '<td class="number"></td>'
    if y is None:
        return '<td class="number" data-y="">unknown</td>'
    return f'<td class="number" data-y="{y!r}">{escape(y_text(y))}</td>'
