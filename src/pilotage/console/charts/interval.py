"""Intervals: for each name a point with its whisker, against a line at 0 and a limit of its own.

Rule: an unknown one keeps its row and has no mark. Fail mode: ValueError for a number that is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from pilotage.console.charts.plot import RIGHT, TOP, WIDTH
from pilotage.console.charts.scale import Scale, pixel, text_of, ticks
from pilotage.console.charts.series import Labels

ROW, NAMES, FLOOR = 28, 248, 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """One row; `value` with `lower` and `upper`, all None when unknown. `limit` None: it has none."""

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    limit: float | None = None

    @property
    def numbers(self) -> tuple[float, ...]:
        """Every number that is drawn."""
        return tuple(one for one in (self.value, self.lower, self.upper, self.limit) if one is not None)


def interval_chart(labels: Labels, rows: Sequence[Whisker], *, text: Callable[[float], str] = text_of) -> Markup:
    """Return the figure with the table of its numbers."""
    across, bottom = scale_of(rows), TOP + ROW * len(rows)
    title, finding = escape(labels.title), escape(labels.finding)
    parts = _ruler(across, bottom, text) + "".join(_row(place, one, across) for place, one in enumerate(rows))
    drawing = (
        f'<div class="plot"><svg class="chart" viewBox="0 0 {WIDTH} {bottom + FLOOR}" role="img" aria-label="{title}">'
        f"<title>{title}</title><desc>{finding}</desc>{parts}</svg></div>"
    )
    return Markup(  # noqa: S704 - every text in it is escaped where it is put in
        f"<figure><figcaption>{title}</figcaption><p>{finding}</p>{drawing}{_table(labels, rows, text)}</figure>"
    )


def scale_of(rows: Sequence[Whisker]) -> Scale:
    """Return the scale that holds every number and 0; raise ValueError for one that is not finite."""
    known = [number for one in rows for number in one.numbers]
    if not all(math.isfinite(one) for one in known):
        message = "An interval holds a number that is not finite; nothing is drawn."
        raise ValueError(message)
    marks = ticks(min(0.0, *known, 0.0), max(0.0, *known, 0.0))
    return Scale(low=marks[0], high=marks[-1], start=NAMES, end=WIDTH - RIGHT)


def _ruler(across: Scale, bottom: float, text: Callable[[float], str]) -> str:
    marks = "".join(
        f'<path class="axis" d="M{pixel(across.at(value))} {TOP}V{bottom}"/>'
        f'<text x="{pixel(across.at(value))}" y="{bottom + 20}" text-anchor="middle" data-tick="x" data-at="{value!r}">'
        f"{escape(text(value))}</text>"
        for value in ticks(across.low, across.high)
        if across.low <= value <= across.high
    )
    return f'{marks}<path class="series s5" d="M{pixel(across.at(0.0))} {TOP}V{bottom}"/>'


def _row(place: int, one: Whisker, across: Scale) -> str:
    middle = TOP + ROW * place + ROW / 2
    name = f'<text x="{NAMES - 8}" y="{pixel(middle + 5)}" text-anchor="end">{escape(one.name)}</text>'
    if one.value is None:
        return f'{name}<text x="{pixel(across.at(0.0) + 6)}" y="{pixel(middle + 5)}">unknown</text>'
    limit = ""
    if one.limit is not None:
        x = pixel(across.at(one.limit))
        limit = f'<path class="limit" d="M{x} {pixel(middle - 10)}V{pixel(middle + 10)}" data-limit="{one.limit!r}"/>'
    whisker = ""
    if one.lower is not None and one.upper is not None:
        left, right = pixel(across.at(one.lower)), pixel(across.at(one.upper))
        ends = f"M{left} {pixel(middle - 5)}V{pixel(middle + 5)}M{right} {pixel(middle - 5)}V{pixel(middle + 5)}"
        whisker = (
            f'<path class="series s0" d="M{left} {pixel(middle)}H{right}{ends}" data-whisker="{escape(one.name)}"/>'
        )
    point = f'<circle class="f0" cx="{pixel(across.at(one.value))}" cy="{pixel(middle)}" r="4"/>'
    return name + limit + whisker + point


def _table(labels: Labels, rows: Sequence[Whisker], text: Callable[[float], str]) -> str:
    title = escape(labels.title)
    body = "".join(
        f'<tr><th scope="row">{escape(one.name)}</th>'
        + "".join(_cell(number, text) for number in (one.value, one.lower, one.upper))
        + ('<td class="number">none</td>' if one.limit is None else _cell(one.limit, text))
        + "</tr>"
        for one in rows
    )
    heads = "".join(f'<th scope="col" class="number">{escape(word)}</th>' for word in (labels.y, "from", "to", "limit"))
    csv = ""
    if labels.csv:
        more = f'<span class="unseen">: {title}</span>'
        csv = f'<p><a href="{escape(labels.csv)}" download>Download as CSV{more}</a></p>'
    return (
        f'<details><summary>Table of these numbers<span class="unseen">: {title}</span></summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr><th scope="col">'
        f"{escape(labels.x)}</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>{csv}</details>"
    )


def _cell(number: float | None, text: Callable[[float], str]) -> str:
    if number is None:
        return '<td class="number" data-y="">unknown</td>'
    return f'<td class="number" data-y="{number!r}">{escape(text(number))}</td>'
