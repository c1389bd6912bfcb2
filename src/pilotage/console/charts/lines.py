"""Line and step charts. A line never crosses an unknown value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from pilotage.console.charts.plot import DASHES, axes, figure, marker
from pilotage.console.charts.scale import Scale, pixel, text_of
from pilotage.console.charts.series import Labels, Limit, Point, Series, checked

_MARKED = 40


def line_chart(
    labels: Labels,
    series: Sequence[Series],
    limits: Sequence[Limit] = (),
    *,
    steps: bool = False,
    x_text: Callable[[float], str] = text_of,
    y_text: Callable[[float], str] = text_of,
) -> Markup:
    """Return the figure; `steps` holds each value until the next."""
    shown = checked(series)
    across, up = axes(shown, limits)
    body = Markup("").join(_line(place, one, across, up, steps=steps) for place, one in enumerate(shown))
    return figure(labels, shown, limits, (across, up), body, x_text=x_text, y_text=y_text)


def runs(points: Sequence[Point]) -> list[list[Point]]:
    """Return the stretches of known values between gaps."""
    found: list[list[Point]] = [[]]
    for point in points:
        if point.y is None:
            found.append([])
        else:
            found[-1].append(point)
    return [run for run in found if run]


def _line(place: int, one: Series, across: Scale, up: Scale, *, steps: bool) -> Markup:
    path = "".join(_path(run, across, up, steps=steps) for run in runs(one.points))
    kind = Markup(' data-steps="yes"') if steps else Markup()
    drawn = Markup('<path class="series s{}" d="{}" stroke-dasharray="{}" data-series="{}"{}/>').format(
        place % 8, path, DASHES[place % 8], one.name, kind
    )
    known = [point for point in one.points if point.y is not None]
    # Every point is marked while they can be told apart; a lone point between gaps always is.
    alone = {run[0].x for run in runs(one.points) if len(run) == 1}
    marked = known if len(known) <= _MARKED else [point for point in known if point.x in alone]
    return drawn + Markup("").join(marker(place, across.at(point.x), up.at(point.y or 0.0)) for point in marked)


def _path(run: Sequence[Point], across: Scale, up: Scale, *, steps: bool) -> str:
    pieces = [f"M{pixel(across.at(run[0].x))} {pixel(up.at(run[0].y or 0.0))}"]
    for point in run[1:]:
        x, y = pixel(across.at(point.x)), pixel(up.at(point.y or 0.0))
        pieces.append(f"H{x}V{y}" if steps else f"L{x} {y}")
    return "".join(pieces)
