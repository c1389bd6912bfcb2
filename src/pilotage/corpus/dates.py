"""Effective dates: what is in force on a day, and what a refresh keeps of earlier revisions (corpus-and-ledger.md 2.4).

Validity is `[effective_from, effective_to)`, open ends allowed. Revisions of one document never overlap in a version.
Fail mode: overlap within one listing is a rejection; a day outside every interval shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pilotage.core.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """One revision's validity and text. `rev` is its number once stored; 0 for a new one that has none yet."""

    key: int
    hash: Digest
    meta: Digest
    effective_from: date | None
    effective_to: date | None
    stored: bool


def in_force(effective_from: date | None, effective_to: date | None, day: date) -> bool:
    """Tell whether `from <= day < to`."""
    return (effective_from is None or effective_from <= day) and (effective_to is None or day < effective_to)


def overlap(one: tuple[date | None, date | None], other: tuple[date | None, date | None]) -> bool:
    """Tell whether two half-open intervals share a day."""
    return (one[0] or date.min) < (other[1] or date.max) and (other[0] or date.min) < (one[1] or date.max)


def conflicts(before: Iterable[Dated], fresh: Iterable[Dated]) -> bool:
    """Tell whether a changed text has the same `effective_from` as its predecessor: it replaces it, and is reported."""
    starts: dict[date, set[Digest]] = {}
    for revision in before:
        if revision.effective_from is not None:
            starts.setdefault(revision.effective_from, set()).add(revision.hash)
    return any(
        revision.effective_from is not None
        and revision.effective_from in starts
        and revision.hash not in starts[revision.effective_from]
        for revision in fresh
    )


def keep_history(before: Sequence[Dated], fresh: Sequence[Dated]) -> tuple[Dated, ...]:
    """Merge refreshed revisions of ONE document into its earlier ones, as `history: dated` asks.

    Each revision ends at the next one's `effective_from`; an equal text with a later date changes nothing; a changed
    text with an equal date replaces its predecessor. A revision whose end moved is no longer `stored` as it was.
    """
    line = sorted(before, key=_start)
    for revision in sorted(fresh, key=_start):
        line = _insert(line, revision)
    ended = []
    for revision, following in zip(line, [*line[1:], None], strict=True):
        end = revision.effective_to
        if following is not None and following.effective_from is not None:
            end = following.effective_from if end is None else min(end, following.effective_from)
        moved = end != revision.effective_to
        ended.append(replace(revision, effective_to=end, stored=revision.stored and not moved))
    return tuple(ended)


def end_at(before: Sequence[Dated], day: date) -> tuple[Dated, ...]:
    """End a document that a consolidated listing of `day` no longer holds: earlier days still show it."""
    kept = []
    for revision in before:
        if _start(revision) >= day:
            continue
        if revision.effective_to is None or revision.effective_to > day:
            kept.append(replace(revision, effective_to=day, stored=False))
        else:
            kept.append(revision)
    return tuple(kept)


def _start(revision: Dated) -> date:
    return revision.effective_from or date.min


def _insert(line: list[Dated], revision: Dated) -> list[Dated]:
    start = _start(revision)
    same = next((index for index, old in enumerate(line) if _start(old) == start), None)
    if same is not None:
        old = line[same]
        if old.hash == revision.hash and old.meta == revision.meta:
            return line
        return [*line[:same], revision, *line[same + 1 :]]
    earlier = [old for old in line if _start(old) < start]
    if earlier and earlier[-1].hash == revision.hash and _reaches(earlier[-1], revision):
        return line
    return [*earlier, revision, *line[len(earlier) :]]


def _reaches(old: Dated, revision: Dated) -> bool:
    """Tell whether the earlier revision is still in force when the equal later one starts, and as long."""
    return (old.effective_to or date.max) >= (revision.effective_to or date.max)
