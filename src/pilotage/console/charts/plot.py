"""The frame of every chart: SVG with title and description, axes, limit lines, and the table of the same numbers.

Rule: classes and presentation attributes only; series differ by dash and marker as well as colour; a gap stays a gap.
`data-` attributes hold what a mark stands for, as numbers: static/plot.js draws the same chart over it from them.
Sources: WAI-ARIA graphics (`role="img"` with title and desc). Fail mode: ValueError from `series.checked`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import Markup, escape

from pilotage.console.charts.scale import Scale, pixel, text_of, ticks
from pilotage.console.charts.series import Labels, Limit, Point, Series

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 44
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


def marker(place: int, x: float, y: float) -> Markup:
    """Return the marker of the nth series."""
    kind = Markup("f{}").format(place % 8)
    if place % 3 == 0:
        return Markup('<circle class="{}" cx="{}" cy="{}" r="3"/>').format(kind, pixel(x), pixel(y))
    if place % 3 == 1:
        corner = (pixel(x - 3), pixel(y - 3))
        return Markup('<rect class="{}" x="{}" y="{}" width="6" height="6"/>').format(kind, *corner)
    path = f"M{pixel(x)} {pixel(y - 4)}L{pixel(x + 4)} {pixel(y + 3)}L{pixel(x - 4)} {pixel(y + 3)}z"
    return Markup('<path class="{}" d="{}"/>').format(kind, path)


def figure(  # noqa: PLR0913 - the parts of a figure
    labels: Labels,
    series: Sequence[Series],
    limits: Sequence[Limit],
    scales: tuple[Scale, Scale],
    body: Markup,
    *,
    x_text: Callable[[float], str] = text_of,
    y_text: Callable[[float], str] = text_of,
) -> Markup:
    """Return the whole figure: drawing, legend and table."""
    across, up = scales
    parts = [_grid(up, y_text), _floor(across, x_text), _limits(limits, across, up), body]
    drawing = Markup(
        '<div class="plot"><svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        "<title>{}</title><desc>{}</desc>{}</svg></div>"
    ).format(WIDTH, HEIGHT, labels.title, labels.title, labels.finding, Markup("").join(parts))
    return Markup("<figure><figcaption>{}</figcaption><p>{}</p>{}{}{}</figure>").format(
        labels.title, labels.finding, drawing, _legend(series), table(labels, series, x_text=x_text, y_text=y_text)
    )


def _grid(up: Scale, y_text: Callable[[float], str]) -> Markup:
    lines = [
        Markup(
            '<path class="axis" d="M{} {}H{}"/>'
            '<text x="{}" y="{}" text-anchor="end" data-tick="y" data-at="{!r}">{}</text>'
        ).format(LEFT, pixel(up.at(value)), WIDTH - RIGHT, LEFT - 8, pixel(up.at(value) + 5), value, y_text(value))
        for value in ticks(up.low, up.high)
        if up.low <= value <= up.high
    ]
    return Markup("").join(lines)


def _floor(across: Scale, x_text: Callable[[float], str]) -> Markup:
    middle = (across.low + across.high) / 2
    places = ((across.low, "start"), (middle, "middle"), (across.high, "end"))
    return Markup("").join(
        Markup('<text x="{}" y="{}" text-anchor="{}" data-tick="x" data-at="{!r}">{}</text>').format(
            pixel(across.at(value)), HEIGHT - BOTTOM + 24, anchor, value, x_text(value)
        )
        for value, anchor in places
    )


def _limits(limits: Sequence[Limit], across: Scale, up: Scale) -> Markup:
    return Markup("").join(
        Markup(
            '<path class="limit" d="M{} {}H{}"/>'
            '<text class="limit-word" x="{}" y="{}" text-anchor="{}" data-at="{!r}">{}</text>'
        ).format(
            pixel(across.start),
            pixel(up.at(one.value)),
            pixel(across.end),
            pixel(across.start + 4 if place % 2 else across.end),
            pixel(up.at(one.value) - 5),
            "start" if place % 2 else "end",  # words of two limits close to each other stay apart
            one.value,
            one.word,
        )
        for place, one in enumerate(limits)
    )


def _legend(series: Sequence[Series]) -> Markup:
    if len(series) < 2:
        return Markup()
    items = Markup("").join(
        Markup('<li><svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">{}{}</svg> {}</li>').format(
            Markup('<path class="chart-key series s{}" d="M0 6H28" stroke-dasharray="{}"/>').format(
                place % 8, DASHES[place % 8]
            ),
            marker(place, 14, 6),
            one.name,
        )
        for place, one in enumerate(series)
    )
    return Markup('<ul class="legend chart">{}</ul>').format(items)


def table(
    labels: Labels, series: Sequence[Series], *, x_text: Callable[[float], str], y_text: Callable[[float], str]
) -> Markup:
    """Return exactly the plotted numbers; an unknown one is the word."""
    xs = sorted({point.x for one in series for point in one.points})
    by_name = [{point.x: point for point in one.points} for one in series]
    head = Markup("").join(Markup('<th scope="col" class="number">{}</th>').format(one.name) for one in series)
    rows = Markup("").join(
        Markup('<tr><th scope="row" data-x="{!r}">{}</th>{}</tr>').format(
            x, x_text(x), Markup("").join(_cell(points.get(x), y_text) for points in by_name)
        )
        for x in xs
    )
    return Markup(
        '<details><summary>Table of these numbers<span class="unseen">: {}</span></summary>'
        '<div class="scroll" tabindex="0" role="region"'
        ' aria-label="{}"><table><thead><tr><th scope="col">{}</th>{}</tr></thead><tbody>{}</tbody></table></div>'
        "{}</details>"
    ).format(labels.title, labels.title, labels.x, head, rows, _download(labels))


def _download(labels: Labels) -> Markup:
    if not labels.csv:
        return Markup()
    return Markup('<p><a href="{}" download>Download as CSV<span class="unseen">: {}</span></a></p>').format(
        labels.csv, labels.title
    )


def _cell(point: Point | None, y_text: Callable[[float], str]) -> Markup:
    if point is None:
        return Markup('<td class="number"></td>')
    shown = "unknown" if point.y is None else y_text(point.y)
    return Markup('<td class="number" data-y="{}">{}</td>').format(
        "" if point.y is None else repr(point.y), escape(shown)
    )
