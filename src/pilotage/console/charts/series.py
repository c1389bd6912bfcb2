"""What charts draw: series of points, where a missing value is a gap and never a line.

Rule: NaN and infinity raise; more than eight series become "others" beside the first seven; more than 400 points keep
the smallest and largest of each bin, so that peaks stay. Fail mode: ValueError, nothing is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_SERIES: Final = 8
MOST_POINTS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value at x. `y` None: unknown."""

    x: float
    y: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A named line of points, by rising x."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A horizontal line with its word."""

    value: float
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The words of a chart: title, the finding in one sentence, the names of its axes, and where its CSV is."""

    title: str
    finding: str
    x: str
    y: str
    csv: str = ""


def checked(series: Sequence[Series]) -> tuple[Series, ...]:
    """Return the series, checked and thinned; raise ValueError for a number that is none."""
    for one in series:
        for point in one.points:
            if not math.isfinite(point.x) or not (point.y is None or math.isfinite(point.y)):
                message = f"The series {one.name!r} holds a number that is not finite; nothing is drawn."
                raise ValueError(message)
    return tuple(Series(name=one.name, points=thinned(one.points)) for one in folded(series))


def folded(series: Sequence[Series]) -> tuple[Series, ...]:
    """Return at most eight series: the first seven, and the sum of the others where all of them are known."""
    if len(series) <= MOST_SERIES:
        return tuple(series)
    kept, rest = series[: MOST_SERIES - 1], series[MOST_SERIES - 1 :]
    sums: dict[float, list[float | None]] = {}
    for one in rest:
        for point in one.points:
            sums.setdefault(point.x, []).append(point.y)
    points = tuple(
        Point(x=x, y=sum(y for y in found if y is not None) if None not in found else None)
        for x, found in sorted(sums.items())
    )
    return (*kept, Series(name=f"{len(rest)} others", points=points))


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> tuple[Point, ...]:
    """Return at most `most` points: of each bin its smallest, its largest and a gap if there is one."""
    if len(points) <= most:
        return tuple(points)
    bins = max(1, most // 3)
    size = math.ceil(len(points) / bins)
    found: list[Point] = []
    for start in range(0, len(points), size):
        part = list(enumerate(points[start : start + size]))
        known = [(place, one) for place, one in part if one.y is not None]
        gaps = [(place, one) for place, one in part if one.y is None][:1]
        ends = [min(known, key=_height), max(known, key=_height)] if known else []
        chosen = dict((*ends, *gaps))
        found += [chosen[place] for place in sorted(chosen)]
    return tuple(found)


def _height(placed: tuple[int, Point]) -> float:
    return placed[1].y or 0.0
