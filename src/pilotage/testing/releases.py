"""Releases in the store without a workspace, for tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.release.assemble import Sources, assemble
from pilotage.release.authorship import Author, How
from pilotage.release.manifest import Manifest, part_bytes, part_digest
from pilotage.release.seal import ReleaseState
from pilotage.store.releases import StoredRelease, add_authors, add_release, put_blobs, put_parts


def stored_release(digest: Digest, *, at: datetime, **changes: Any) -> StoredRelease:  # noqa: ANN401 - fields of the record
    """Return the row of a release that holds nothing, under a seal that nobody signed; `changes` replace fields."""
    fields: dict[str, Any] = {
        "workflow": WorkflowName("w"),
        "parent": None,
        "parts_digest": digest,
        "manifest": b"",
        "state": ReleaseState.SEALED,
        "seal": b"{}",
        "signature": "",
        "key_name": "k",
        "note": "",
        "sealed_by": "p",
    }
    return StoredRelease(digest=digest, sealed_at=at, **(fields | changes))


def store_release(  # noqa: PLR0913 - what it is made of, in which line, by whom and when
    connection: Connection,
    sources: Sources,
    *,
    workflow: WorkflowName,
    at: datetime,
    author: str = "p",
    parent: Digest | None = None,
    state: ReleaseState = ReleaseState.SEALED,
) -> Digest:
    """Write a release as sealing does, but for its seal and its ledger entry; return its digest."""
    made = assemble(sources)
    manifest = Manifest(workflow=workflow, parent=parent, parts={part.kind: part_digest(part) for part in made.parts})
    put_blobs(connection, made.files, media="text/markdown")
    put_parts(connection, {part.kind: part_bytes(part) for part in made.parts})
    for digest in manifest.parts.values():
        add_authors(connection, digest, [Author(person=PersonId(author), how=How.SEALED, ref="", at=at)])
    row = stored_release(
        manifest.digest,
        at=at,
        workflow=workflow,
        parent=parent,
        parts_digest=manifest.parts_digest,
        manifest=manifest.to_bytes(),
        state=state,
        sealed_by=author,
    )
    add_release(connection, row)
    return manifest.digest
