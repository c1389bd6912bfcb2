"""`pilotage release list | show | diff`: what is sealed, by whom, and what changed. Reads only."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json, parse_json
from pilotage.core.clock import to_text
from pilotage.core.ids import WorkflowName
from pilotage.release.authorship import Author
from pilotage.release.content import CorpusPin, files_of, part_value, read_content
from pilotage.release.diff import CorpusChange, ReleaseDiff, Side, diff_releases
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.corpora import version_of
from pilotage.store.corpus_documents import revisions_of
from pilotage.store.releases import (
    StoredRelease,
    authors_of_parts,
    get_blob,
    named_release,
    part_bodies,
    releases_of,
)


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
    parts: dict[str, Json] = {
        str(kind): {"digest": digest, "authors": [_author(author) for author in authors[digest]]}
        for kind, digest in manifest.parts.items()
    }
    seal = {"record": parse_json(stored.seal), "signature": stored.signature, "key": stored.key_name}
    return {**_summary(stored), "parts": parts, "seal": seal}


def _author(author: Author) -> dict[str, Json]:
    return {"person": author.person, "how": str(author.how), "ref": author.ref, "at": to_text(author.at)}


def diff_named(instance: Instance, before: str, after: str) -> ReleaseDiff:
    """Compare two releases named by digest or prefix."""
    with instance.engine.connect() as connection:
        return diff_on(connection, before, after)


def diff_on(connection: Connection, before: str, after: str) -> ReleaseDiff:
    """Compare two releases as they stand on this connection."""
    one, two = _side(connection, before), _side(connection, after)
    corpus = {
        stage: _corpus_change(connection, pin, two.pins[stage])
        for stage, pin in one.pins.items()
        if stage in two.pins and two.pins[stage] != pin
    }
    return diff_releases(one.side, two.side, corpus=corpus)


class _Pinned:
    """A side of the comparison with its corpus pins by data stage."""

    def __init__(self, side: Side, pins: Mapping[str, CorpusPin]) -> None:
        self.side = side
        self.pins = pins


def _side(connection: Connection, name: str) -> _Pinned:
    stored = named_release(connection, name)
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    bodies = part_bodies(connection, manifest)
    values = {kind: part_value(bodies[kind], digest=manifest.parts[kind], kind=kind) for kind in PartKind}
    (prompt,) = files_of(values[PartKind.PROMPT])
    text = get_blob(connection, prompt.sha256)
    content = read_content(manifest, bodies=bodies, prompt=text)
    side = Side(
        digest=stored.digest,
        parts=manifest.parts,
        values=values,
        prompt=text.decode(),
        golden=_cases(connection, values[PartKind.GOLDEN]),
    )
    return _Pinned(side, {str(stage): pin for stage, pin in content.corpora.items()})


def _cases(connection: Connection, golden: Json) -> dict[str, Mapping[str, Json]]:
    found: dict[str, Mapping[str, Json]] = {}
    for file in files_of(golden):
        if file.path.endswith(".jsonl"):
            rows = get_blob(connection, file.sha256).decode().splitlines()
            found |= {str(case["id"]): case for row in rows if row.strip() and (case := json.loads(row))}
    return found


def _corpus_change(connection: Connection, before: CorpusPin, after: CorpusPin) -> CorpusChange:
    left = version_of(connection, before.name, before.version)
    right = version_of(connection, after.name, after.version)
    if before.name != after.name or left is None or right is None:
        return CorpusChange()
    held, holds = left.revisions, right.revisions
    names = {one.rev: one for one in revisions_of(connection, before.name, held ^ holds)}
    gone = {names[rev].document for rev in held - holds}
    came = {names[rev].document for rev in holds - held}
    return CorpusChange(
        added=tuple(sorted(came - gone)),
        changed=tuple(sorted(came & gone)),
        removed=tuple(sorted(gone - came)),
        documents_before=before.documents,
    )
