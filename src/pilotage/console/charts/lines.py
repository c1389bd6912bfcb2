"""Line and step charts. A line never crosses an unknown value."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

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
    body = "".join(_line(place, one, across, up, steps=steps) for place, one in enumerate(shown))
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


def _line(place: int, one: Series, across: Scale, up: Scale, *, steps: bool) -> str:
    found = runs(one.points)
    path = "".join(_path(run, across, up, steps=steps) for run in found)
    kind = ' data-steps="yes"' if steps else ""
    drawn = (
        f'<path class="series s{place % 8}" d="{path}" stroke-dasharray="{DASHES[place % 8]}"'
        f' data-series="{escape(one.name)}"{kind}/>'
    )
    known = [point for run in found for point in run]
    # Every point is marked while they can be told apart; a lone point between gaps always is.
    marked = known if len(known) <= _MARKED else [run[0] for run in found if len(run) == 1]
    return drawn + "".join([marker(place, across.at(point.x), up.at(point.y or 0.0)) for point in marked])


def _path(run: Sequence[Point], across: Scale, up: Scale, *, steps: bool) -> str:
    pieces = [f"M{pixel(across.at(run[0].x))} {pixel(up.at(run[0].y or 0.0))}"]
    for point in run[1:]:
        x, y = pixel(across.at(point.x)), pixel(up.at(point.y or 0.0))
        pieces.append(f"H{x}V{y}" if steps else f"L{x} {y}")
    return "".join(pieces)
