"""Applies what a refresh learned about readers, classification and region: current facts, valid for every version.

Fail mode: a change is applied together with its ledger entry and the notification, or not at all.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.control.corpus_entries import Deed, PermissionChange, record_permission_changes
from pilotage.control.refresh_staging import Stager
from pilotage.corpus.diff import AclChange, acl_change
from pilotage.corpus.settings import CorpusSettings
from pilotage.store.corpus_documents import Governed, StoredDocument, confirm_acls, govern_documents

_NOTHING = AclChange(added=(), removed=())


def apply_permissions(
    connection: Connection, settings: CorpusSettings, stager: Stager, deed: Deed
) -> dict[str, AclChange]:
    """Apply and record every difference; return the ACL changes by document."""
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
