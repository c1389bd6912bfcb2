"""Applies what a refresh learned about readers, classification and region: current facts, valid for every version.

An item that was rejected still says who may read it: its document may stand in versions that serve. Fail mode: a
change is applied together with its ledger entry and the notification, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.corpus_entries import Deed, PermissionChange, record_permission_changes
from pilotage.control.refresh_staging import Stager
from pilotage.core.ids import CorpusName
from pilotage.corpus.diff import AclChange, acl_change
from pilotage.corpus.settings import CorpusSettings
from pilotage.store.corpora import bump_generation, count_confirmation, lock_corpus
from pilotage.store.corpus_documents import Governed, StoredDocument, confirm_acls, documents_of, govern_documents

_NOTHING = AclChange(added=(), removed=())


def apply_permissions(
    connection: Connection, settings: CorpusSettings, stager: Stager, deed: Deed
) -> dict[str, AclChange]:
    """Apply and record every difference; return the ACL changes by document."""
    _govern_refused(connection, settings, stager, deed)
    changed: list[Governed] = []
    changes: dict[str, PermissionChange] = {}
    for document, found in stager.governed.items():
        before = stager.before[document]
        change = _change(before, found)
        if change is not None:
            changes[document] = change
        if change is not None or before.acl_source != found.acl_source:
            changed.append(found)
    govern_documents(connection, settings.name, changed)
    if stager.governed:
        confirm_acls(connection, settings.name, [stager.governed[id_] for id_ in sorted(stager.governed)])
        count_confirmation(connection, settings.name)
    record_permission_changes(connection, settings.name, changes, deed)
    return {document: change.acl for document, change in changes.items() if change.acl is not _NOTHING}


def narrow_derived(
    connection: Connection,
    corpora: Mapping[CorpusName, CorpusSettings],
    source: CorpusName,
    changes: Mapping[str, AclChange],
    deed: Deed,
) -> None:
    """Take from derived copies at once what readers of their originals lost; what was gained waits for a refresh."""
    lost = {document: frozenset(change.removed) for document, change in changes.items() if change.removed}
    for derived in corpora.values() if lost else ():
        if derived.derived_from != source:
            continue
        lock_corpus(connection, derived.name)
        narrowed: list[Governed] = []
        found: dict[str, PermissionChange] = {}
        for document, stored in documents_of(connection, derived.name, sorted(lost)).items():
            left = tuple(name for name in stored.acl if name not in lost[document])
            gone = tuple(name for name in stored.acl if name in lost[document])
            if gone:
                narrowed.append(_governed(stored, left, f"derived:{source}", stored.acl_confirmed_at))
                found[document] = PermissionChange(
                    acl=AclChange(added=(), removed=gone),
                    source=f"derived:{source}",
                    classification=stored.classification,
                    region=stored.region,
                )
        if narrowed:
            govern_documents(connection, derived.name, narrowed)
            record_permission_changes(connection, derived.name, found, deed)
            bump_generation(connection, derived.name)
            moved = {document: change.acl for document, change in found.items()}
            narrow_derived(connection, corpora, derived.name, moved, deed)


def _governed(stored: StoredDocument, acl: tuple[str, ...], source: str, confirmed_at: datetime) -> Governed:
    return Governed(
        id=stored.id,
        title="",
        uri=None,
        acl=acl,
        acl_source=source,
        classification=stored.classification,
        region=stored.region,
        acl_confirmed_at=confirmed_at,
    )


def _govern_refused(connection: Connection, settings: CorpusSettings, stager: Stager, deed: Deed) -> None:
    """Let rejected items narrow the readers of a document that came in beside them, or set those of a stored one."""
    for document in stager.refused.keys() & stager.governed.keys():
        found, shared = stager.governed[document], set(stager.refused[document].acl or ())
        stager.governed[document] = replace(found, acl=tuple(name for name in found.acl if name in shared))
    unknown = sorted(stager.refused.keys() - stager.governed.keys())
    for document, stored in documents_of(connection, settings.name, unknown).items():
        if stored.tombstone is None:
            one = stager.refused[document]
            stager.before[document] = stored
            confirmed_at = one.acl_confirmed_at or deed.at
            stager.governed[document] = _governed(stored, one.acl or (), one.acl_source, confirmed_at)


def _change(before: StoredDocument, found: Governed) -> PermissionChange | None:
    acl = acl_change(before.acl, found.acl)
    governed = (before.classification, before.region) != (found.classification, found.region)
    if acl is None and not governed:
        return None
    return PermissionChange(
        acl=acl or _NOTHING,
        source=found.acl_source,
        classification=found.classification,
        region=found.region,
    )
