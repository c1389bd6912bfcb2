"""What a release is compared with (evaluation.md 7.1): its baseline, and the oldest GO release of a year.

Rule: the baseline is the one named, else what serves in the space, else the nearest ancestor with a GO; neither it nor
the oldest is ever a release that was withdrawn or rolled back. Fail mode: UsageError for a named one that may be none;
without any, comparisons are inconclusive.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.core.ids import SpaceName
from pilotage.evaluation.ratchet import YEAR
from pilotage.store.baselines import is_go, is_standing, oldest_go
from pilotage.store.evaluation_runs import stable_release
from pilotage.store.releases import StoredRelease, find_release, named_release


def choose_baseline(
    connection: Connection, stored: StoredRelease, *, named: str | None, space: SpaceName | None
) -> Digest | None:
    """Return what a release is compared with, None where there is nothing."""
    if named is not None:
        return _named(connection, stored, named)
    stable = None if space is None else stable_release(connection, space, stored.workflow)
    if stable is not None and stable != stored.digest and is_standing(connection, stable):
        return stable
    return _ancestor(connection, stored)


def choose_oldest(
    connection: Connection, stored: StoredRelease, *, baseline: Digest | None, now: datetime
) -> Digest | None:
    """Return the oldest GO release of a year; None where that is the baseline, which one margin holds already."""
    found = oldest_go(connection, stored.workflow, other_than=stored.digest, since=now - YEAR, until=now)
    return None if found == baseline else found


def _named(connection: Connection, stored: StoredRelease, name: str) -> Digest:
    found = named_release(connection, name)
    if found.workflow != stored.workflow or found.digest == stored.digest:
        message = f"{name!r} is no baseline for {stored.digest[:19]}; name another of its workflow."
        raise UsageError("BASELINE", message, hint="See `pilotage release list`.")
    if not is_standing(connection, found.digest):
        message = f"{found.digest[:19]} was withdrawn or rolled back; to be no worse than it shows nothing."
        raise UsageError("BASELINE_WITHDRAWN", message, hint="Name a release that stands, or none.")
    return found.digest


def _ancestor(connection: Connection, stored: StoredRelease) -> Digest | None:
    parent, seen = stored.parent, set[Digest]()
    while parent is not None and parent not in seen:
        seen.add(parent)
        found = find_release(connection, parent)
        if found is None:
            return None
        if is_go(connection, parent) and is_standing(connection, parent):
            return parent
        parent = found.parent
    return None
