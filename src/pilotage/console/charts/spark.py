"""A sparkline: the shape of a series in a line of text, with its finding for those who do not see it."""

from __future__ import annotations

from markupsafe import Markup

from pilotage.console.charts.lines import runs
from pilotage.console.charts.scale import Scale, pixel
from pilotage.console.charts.series import Series, checked

WIDTH, HEIGHT, EDGE = 120, 24, 2


def sparkline(series: Series, finding: str) -> Markup:
    """Return the drawing alone; the numbers stand in the text beside it."""
    (shown,) = checked([series])
    known = [point.y for point in shown.points if point.y is not None]
    xs = [point.x for point in shown.points] or [0.0]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    across = Scale(low=xs[0], high=xs[-1] if xs[-1] > xs[0] else xs[0] + 1, start=EDGE, end=WIDTH - EDGE)
    up = Scale(low=low, high=high if high > low else low + 1, start=HEIGHT - EDGE, end=EDGE)
    path = "".join(
        "M" + "L".join(f"{pixel(across.at(point.x))} {pixel(up.at(point.y or 0.0))}" for point in run)
        for run in runs(shown.points)
    )
    return Markup(
        '<svg class="chart spark" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>'
        '<path class="series s0" d="{}"/></svg>'
    ).format(WIDTH, HEIGHT, finding, finding, path)
