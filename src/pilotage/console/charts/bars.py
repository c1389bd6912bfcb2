"""Bars and stacked bars. The axis starts at 0; an unknown value has no bar."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from markupsafe import Markup

from pilotage.console.charts.plot import LEFT, RIGHT, WIDTH, axes, figure
from pilotage.console.charts.scale import Scale, pixel, text_of
from pilotage.console.charts.series import Labels, Limit, Point, Series, checked


def bar_chart(
    labels: Labels,
    series: Sequence[Series],
    limits: Sequence[Limit] = (),
    *,
    stacked: bool = False,
    x_text: Callable[[float], str] = text_of,
) -> Markup:
    """Return the figure; series stand beside each other, or on each other when stacked."""
    shown = checked(series)
    tall = _stacked(shown) if stacked else shown
    _, up = axes(tall, limits, from_zero=True)
    xs = sorted({point.x for one in shown for point in one.points}) or [0.0]
    gap = min((b - a for a, b in itertools.pairwise(xs)), default=1.0)
    across = Scale(low=xs[0] - gap / 2, high=xs[-1] + gap / 2, start=LEFT, end=WIDTH - RIGHT)
    room = 0.8 * (across.at(xs[0] + gap) - across.at(xs[0]))
    each = room if stacked else room / max(1, len(shown))
    body: list[Markup] = []
    floors: dict[float, float] = {}
    for place, one in enumerate(shown):
        for point in one.points:
            if point.y is None:
                continue
            left = across.at(point.x) - room / 2 + (0 if stacked else place * each)
            floor = floors.get(point.x, 0.0) if stacked else 0.0
            floors[point.x] = floor + point.y
            body.append(_bar(place, left, each, (floor, floor + point.y), up))
    return figure(labels, shown, limits, (across, up), Markup("").join(body), x_text=x_text)


def _bar(place: int, left: float, width: float, span: tuple[float, float], up: Scale) -> Markup:
    ends = sorted(up.at(value) for value in span)
    return Markup('<rect class="f{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        place % 8, pixel(left), pixel(ends[0]), pixel(max(1.0, width - 1)), pixel(ends[1] - ends[0])
    )


def _stacked(series: Sequence[Series]) -> list[Series]:
    sums: dict[float, float] = {}
    for one in series:
        for point in one.points:
            sums[point.x] = sums.get(point.x, 0.0) + (point.y or 0.0)
    return [Series(name="all", points=tuple(Point(x=x, y=y) for x, y in sorted(sums.items())))]
