"""A stored file read again: whether its reader makes of the bytes what the row says.

Rule: only what the bytes alone decide can differ; people, licences, critical paths, golden tags and other evidence were
others when the file came. Fail mode: what cannot be read now, or is about something gone, is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from sqlalchemy import Connection

from pilotage.adapters.parsing.evidence_process import EVIDENCE
from pilotage.control.attach_evidence import authors_of, subjects_of, tags_of, workflow_of
from pilotage.control.evidence_context import About, read_context
from pilotage.control.evidence_text import text_of
from pilotage.control.instance import Instance
from pilotage.control.keep_evidence import with_reading
from pilotage.evidence.read import READ_BY
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence, Reading
from pilotage.store.evidence import evidence_about
from pilotage.store.releases import StoredRelease, get_blob

_OURS: Final = frozenset({"attested_by", "fetched_from"})
"""References of an item that no reader found."""

_WHOLE: Final = ("claims.*", "names.*", "summary")
_BY_CONTEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "uat": _WHOLE,
    "review.code": _WHOLE,
    "training": _WHOLE,
    "coverage": ("claims.missing_critical", "claims.critical_rate", "names.missing_critical", "names.uncovered_paths"),
    "sbom": ("claims.denied", "claims.unknown_licence", "summary"),
    "licences": ("claims.denied", "claims.unknown_licence", "summary"),
    "tests.*": ("claims.points_tested", "names.points", "summary"),
    "load.*": ("claims.volume_ratio",),
}
"""What a reading holds, by kind, that depends on what it was compared with."""


class Reread(StrEnum):
    """What reading a file again came to. UNKNOWN: it could not be read, or what it was held against has changed."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


def release_about(item: Evidence, releases: Iterable[StoredRelease]) -> StoredRelease | None:
    """Return the newest release that an item is about and that was there when it came; None when it is gone."""
    found = [
        one
        for one in releases
        if one.sealed_at <= item.received_at and item.subject in subjects_of(one).get(item.subject_kind, ())
    ]
    return max(found, key=lambda one: (one.sealed_at, one.digest), default=None)


def reread(connection: Connection, instance: Instance, item: Evidence, stored: StoredRelease) -> Reread:
    """Return whether claims, findings, names and references of an item are what its reader makes of the bytes.

    Raises what reading its release, its workflow or its golden cases raises.
    """
    if changed_reason(item) is not None:  # a reader of another version, whose reading counts for nothing
        return Reread.UNKNOWN
    workflow = workflow_of(instance, stored.workflow)
    about = About(
        kind=item.kind,
        received_at=item.received_at,
        trust=item.trust,
        space=item.space,
        authors=authors_of(connection, stored),
        current=tuple(
            one for one in evidence_about(connection, subjects_of(stored)) if one.received_at < item.received_at
        ),
        tags=tags_of(connection, stored, workflow, [item.kind]),
    )
    read = EVIDENCE.read(
        get_blob(connection, item.sha256.removeprefix("sha256:")),
        kind=item.kind,
        name=item.id,
        subject=stored.digest,
        context=read_context(instance.workspace, workflow, about),
        text_of=text_of,
    )
    return compared(item, read) if isinstance(read, Reading) else Reread.UNKNOWN


def compared(item: Evidence, read: Reading) -> Reread:
    """Return whether an item says what a reading of its bytes says."""
    bare = replace(item, refs={name: value for name, value in item.refs.items() if name in _OURS})
    again = with_reading(bare, read)
    held, made = _fields(replace(item, refs={READ_BY: again.refs[READ_BY], **item.refs})), _fields(again)
    differing = {name for name in held.keys() | made.keys() if held.get(name) != made.get(name)}
    if not differing:
        return Reread.SAME
    moving = [one for kind, names in _BY_CONTEXT.items() if fnmatchcase(item.kind, kind) for one in names]
    by_context = all(any(fnmatchcase(name, pattern) for pattern in moving) for name in differing)
    return Reread.UNKNOWN if by_context else Reread.DIFFERS


def _fields(item: Evidence) -> dict[str, object]:
    found: dict[str, object] = {"reader": item.reader, "summary": item.summary, "findings": item.findings}
    found |= {f"claims.{name}": value for name, value in item.claims.items()}
    found |= {f"refs.{name}": value for name, value in item.refs.items()}
    return found | {f"names.{name}": tuple(values) for name, values in item.names.items()}
