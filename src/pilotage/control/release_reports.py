"""`pilotage release list | show | diff`: what is sealed, by whom, and what changed. Reads only."""

from __future__ import annotations

from pilotage.control.instance import Instance
from pilotage.control.release_diffs import diff_on
from pilotage.core.canonical import Json, parse_json
from pilotage.core.clock import to_text
from pilotage.core.ids import WorkflowName
from pilotage.release.authorship import Author
from pilotage.release.diff import ReleaseDiff
from pilotage.release.manifest import read_manifest
from pilotage.store.drift import open_drift
from pilotage.store.releases import StoredRelease, authors_of_parts, named_release, releases_of


def list_releases(instance: Instance, *, workflow: str | None = None) -> list[dict[str, Json]]:
    """Return the releases of one workflow or all, newest first."""
    with instance.engine.connect() as connection:
        found = releases_of(connection, None if workflow is None else WorkflowName(workflow))
    return [_summary(stored) for stored in found]


def _summary(stored: StoredRelease) -> dict[str, Json]:
    return {
        "digest": stored.digest,
        "workflow": stored.workflow,
        "state": str(stored.state),
        "parent": stored.parent,
        "parts_digest": stored.parts_digest,
        "sealed_by": stored.sealed_by,
        "sealed_at": to_text(stored.sealed_at),
        "note": stored.note,
    }


def show_release(instance: Instance, name: str) -> dict[str, Json]:
    """Return one release with its parts, their authors and its seal."""
    with instance.engine.connect() as connection:
        stored = named_release(connection, name)
        manifest = read_manifest(stored.manifest, digest=stored.digest)
        authors = authors_of_parts(connection, manifest.parts.values())
        drift: list[Json] = [row.as_json() for row in open_drift(connection) if row.release == stored.digest]
    parts: dict[str, Json] = {
        str(kind): {"digest": digest, "authors": [_author(author) for author in authors[digest]]}
        for kind, digest in manifest.parts.items()
    }
    seal = {"record": parse_json(stored.seal), "signature": stored.signature, "key": stored.key_name}
    return {**_summary(stored), "parts": parts, "seal": seal, "drift": drift}


def _author(author: Author) -> dict[str, Json]:
    return {"person": author.person, "how": str(author.how), "ref": author.ref, "at": to_text(author.at)}


def diff_named(instance: Instance, before: str, after: str) -> ReleaseDiff:
    """Compare two releases named by digest or prefix."""
    with instance.engine.connect() as connection:
        return diff_on(connection, before, after)
