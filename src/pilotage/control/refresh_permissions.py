"""Applies what a refresh learned about readers, classification and region: current facts, valid for every version.

An item that was rejected still says who may read it: its document may stand in versions that serve. Fail mode: a
change is applied together with its ledger entry and the notification, or not at all.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from pilotage.control.corpus_entries import Deed, PermissionChange, record_permission_changes
from pilotage.control.refresh_staging import Stager
from pilotage.corpus.diff import AclChange, acl_change
from pilotage.corpus.settings import CorpusSettings
from pilotage.store.corpus_documents import Governed, StoredDocument, confirm_acls, documents_of, govern_documents

_NOTHING = AclChange(added=(), removed=())


def apply_permissions(
    connection: Connection, settings: CorpusSettings, stager: Stager, deed: Deed
) -> dict[str, AclChange]:
    """Apply and record every difference; return the ACL changes by document."""
    _govern_refused(connection, settings, stager)
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
    confirm_acls(connection, settings.name, sorted(stager.governed), at=deed.at)
    record_permission_changes(connection, settings.name, changes, deed)
    return {document: change.acl for document, change in changes.items() if change.acl is not _NOTHING}


def _govern_refused(connection: Connection, settings: CorpusSettings, stager: Stager) -> None:
    """Let rejected items narrow the readers of a document that came in beside them, or set those of a stored one."""
    for document in stager.refused.keys() & stager.governed.keys():
        found, shared = stager.governed[document], set(stager.refused[document].acl or ())
        stager.governed[document] = replace(found, acl=tuple(name for name in found.acl if name in shared))
    unknown = sorted(stager.refused.keys() - stager.governed.keys())
    for document, stored in documents_of(connection, settings.name, unknown).items():
        if stored.tombstone is None:
            one = stager.refused[document]
            stager.before[document] = stored
            stager.governed[document] = Governed(
                id=document,
                title="",
                uri=None,
                acl=one.acl or (),
                acl_source=one.acl_source,
                classification=stored.classification,
                region=stored.region,
            )


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
