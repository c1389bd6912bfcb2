"""Points with whiskers, one row each: estimates with their intervals, beside a limit."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pilotage.console.charts.plot import LEFT, RIGHT, WIDTH, axes, figure, marker
from pilotage.console.charts.scale import Scale, pixel
from pilotage.console.charts.series import Labels, Limit, Series, checked


def interval_chart(labels: Labels, series: Sequence[Series], limits: Sequence[Limit] = ()) -> Markup:
    """Return the figure: each series is drawn with its own marker, each point with its whisker."""
    shown = checked(series)
    _, up = axes(shown, limits, from_zero=False)
    xs = sorted({point.x for one in shown for point in one.points}) or [0.0]
    across = Scale(low=xs[0] - 0.5, high=xs[-1] + 0.5, start=LEFT, end=WIDTH - RIGHT)
    body = Markup("").join(_points(place, one, across, up) for place, one in enumerate(shown))
    return figure(labels, shown, limits, (across, up), body)


def _points(place: int, one: Series, across: Scale, up: Scale) -> Markup:
    found: list[Markup] = []
    for point in one.points:
        x = across.at(point.x) + 8 * place
        if point.low is not None and point.high is not None:
            path = f"M{pixel(x)} {pixel(up.at(point.low))}V{pixel(up.at(point.high))}"
            found.append(Markup('<path class="series s{}" d="{}"/>').format(place % 8, path))
        if point.y is not None:
            found.append(marker(place, x, up.at(point.y)))
    return Markup("").join(found)
