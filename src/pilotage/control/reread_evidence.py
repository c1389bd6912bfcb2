"""A stored file read again: whether its reader makes of the bytes what the row says.

Rule: beside what is there now, as far as the file is held against anything. Fail mode: a file that cannot be read any
more, or about something that is gone, does not read the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from pilotage.adapters.parsing.evidence_process import EVIDENCE
from pilotage.control.attach_evidence import authors_of, subjects_of, tags_of, workflow_of
from pilotage.control.evidence_context import About, read_context
from pilotage.control.evidence_text import text_of
from pilotage.control.instance import Instance
from pilotage.control.keep_evidence import with_reading
from pilotage.core.errors import PilotageError
from pilotage.evidence.read import READ_BY
from pilotage.evidence.records import Evidence, Reading
from pilotage.store.evidence import evidence_about
from pilotage.store.releases import StoredRelease, get_blob, releases_of

_OURS: Final = frozenset({"attested_by", "fetched_from"})
"""References of an item that no reader found."""


def reads_the_same(connection: Connection, instance: Instance, item: Evidence) -> bool:
    """Tell whether claims, findings, names and references of an item are what its reader makes of the bytes."""
    stored = _release(connection, item)
    if stored is None:
        return False
    try:
        workflow = workflow_of(instance, stored.workflow)
        data = get_blob(connection, item.sha256.removeprefix("sha256:"))
    except PilotageError:
        return False
    about = About(
        kind=item.kind,
        received_at=item.received_at,
        trust=item.trust,
        space=item.space,
        authors=authors_of(connection, stored),
        current=tuple(
            one
            for one in evidence_about(connection, subjects_of(stored))
            if one.received_at <= item.received_at and one.id != item.id
        ),
        tags=tags_of(connection, stored, workflow, [item.kind]),
    )
    read = EVIDENCE.read(
        data,
        kind=item.kind,
        name=item.id,
        subject=stored.digest,
        context=read_context(instance.workspace, workflow, about),
        text_of=text_of,
    )
    if not isinstance(read, Reading):
        return False
    bare = replace(item, refs={name: value for name, value in item.refs.items() if name in _OURS})
    again = replace(with_reading(bare, read), produced_at=item.produced_at)
    return again == replace(item, refs={READ_BY: again.refs[READ_BY], **item.refs})


def _release(connection: Connection, item: Evidence) -> StoredRelease | None:
    """Return the newest release that an item is about."""
    found = [one for one in releases_of(connection) if item.subject in subjects_of(one).get(item.subject_kind, ())]
    return max(found, key=lambda one: (one.sealed_at, one.digest), default=None)
