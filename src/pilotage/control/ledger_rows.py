"""Every row that a gate is decided from, compared with what the ledger recorded of it (`ledger fsck`).

Rule: whatever acts on a release compares its own rows; lists and inboxes show many and do not, so this compares
all of them: a list that shows what no command wrote is named here. Fail mode: rows that cannot be read are a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pilotage.control.attach_evidence import subjects_of
from pilotage.control.ledger_match import ledger_mismatches, mitigation_mismatches, standard_mismatches
from pilotage.core.reason import Reason
from pilotage.evidence.records import SubjectKind
from pilotage.store.gate_snapshot import GateSnapshot, read_snapshot
from pilotage.store.releases import StoredRelease, releases_of

_TOGETHER: Final = 100
"""How many releases are read at once."""


def row_mismatches(engine: Engine, now: datetime) -> Iterator[Reason]:
    """Yield every vote, item, acceptance, standard change and state that is not as the ledger recorded it, once."""
    told: set[Reason] = set()
    with engine.connect() as connection, connection.begin():
        releases = releases_of(connection)
        for start in range(0, len(releases), _TOGETHER):
            try:
                found = list(_mismatches(connection, releases[start : start + _TOGETHER], now))
            except DBAPIError as error:
                text = f"The rows of gates cannot be compared with their entries: {str(error.orig)[:200]}"
                yield Reason(code="FSCK_ROWS", text=text)
                return
            for reason in found:
                if reason not in told:
                    told.add(reason)
                    yield reason


def _mismatches(connection: Connection, releases: Sequence[StoredRelease], now: datetime) -> Iterator[Reason]:
    subjects: dict[SubjectKind, dict[str, None]] = {}
    for one in releases:
        for kind, names in subjects_of(one).items():
            subjects.setdefault(kind, {}).update(dict.fromkeys(names))
    named = {kind: tuple(names) for kind, names in subjects.items()}
    snapshot = read_snapshot(
        connection, releases, parts=(), subjects=named, spaces=(), editors_since=now, now=now, compared=True
    )
    for one in releases:
        yield from _of_release(snapshot, one)


def _of_release(snapshot: GateSnapshot, stored: StoredRelease) -> Iterator[Reason]:
    digest = stored.digest
    about = {(kind, name) for kind, names in subjects_of(stored).items() for name in names}
    changes = [one for one in snapshot.standards if one.release == digest]
    yield from ledger_mismatches(
        snapshot.said,
        stored,
        votes=[one for one in snapshot.votes if one.release == digest],
        evidence=[one for one in snapshot.evidence if (one.subject_kind, one.subject) in about],
        acceptances=[one for one in snapshot.acceptances if one.release == digest],
    )
    templates = {one.template: snapshot.templates[one.template] for one in changes}
    yield from standard_mismatches(snapshot.said, stored, changes, templates.values())
    yield from mitigation_mismatches(
        snapshot.said, [one for one in snapshot.mitigations if one.workflow == stored.workflow]
    )
