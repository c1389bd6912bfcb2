"""What changed between sealed releases, for several pairs at once: parts, files and corpus versions each in one read.

Rule: every stored byte is checked against its digest on the way. Fail mode: bytes that are gone or altered raise
IntegrityError.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.release.content import CorpusPin, files_of, part_value, sealed_pins
from pilotage.release.diff import CorpusChange, ReleaseDiff, Side, diff_releases
from pilotage.release.manifest import Manifest, PartFile, PartKind, read_manifest
from pilotage.store.acl_changes import Span
from pilotage.store.acl_changes import moved as corpus_moves
from pilotage.store.corpora import StoredVersion, versions_named
from pilotage.store.releases import bodies_of, get_blobs, named_release

Pins = tuple[CorpusPin, CorpusPin]
_KEPT_BYTES: Final = 2**20
Versions = Mapping[tuple[CorpusName, int], StoredVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pinned:
    """A side of a comparison with its corpus pins by data stage."""

    side: Side
    pins: Mapping[str, CorpusPin]


def diff_on(connection: Connection, before: str, after: str) -> ReleaseDiff:
    """Compare two releases, named by digest or prefix, as they stand on this connection."""
    stored = (named_release(connection, before), named_release(connection, after))
    one, two = (read_manifest(found.manifest, digest=found.digest) for found in stored)
    return diffs_of(connection, [(one, two)])[0]


def diffs_of(connection: Connection, pairs: Sequence[tuple[Manifest, Manifest]]) -> tuple[ReleaseDiff, ...]:
    """Compare each pair of releases, the earlier one first."""
    sides = _sides(connection, {one.digest: one for pair in pairs for one in pair})
    compared = [(sides[before.digest], sides[after.digest]) for before, after in pairs]
    found = [moves for before, after in compared for moves in _moves(before, after).values()]
    versions = versions_named(connection, {(pin.name, pin.version) for pins in found for pin in pins})
    spans = {span for pair in compared for span in _spans(*pair)}
    documents, grown = corpus_moves(connection, _differing(found, versions), spans)
    return tuple(
        diff_releases(before.side, after.side, corpus=_changes(before, after, versions, documents, grown))
        for before, after in compared
    )


def _spans(before: _Pinned, after: _Pinned) -> tuple[Span, ...]:
    """Return from when to when the permissions of each moved corpus are looked at: from seal to seal."""
    return tuple((pin.name, before.side.digest, after.side.digest) for _, pin in _moves(before, after).values())


def _changes(
    before: _Pinned,
    after: _Pinned,
    versions: Versions,
    documents: Mapping[tuple[CorpusName, int], str],
    grown: Mapping[Span, tuple[str, ...]],
) -> dict[str, CorpusChange]:
    """Return the change of each data stage; one that only one side has is a change that nobody can count."""
    alone = before.pins.keys() ^ after.pins.keys()
    found = {stage: CorpusChange() for stage in sorted(alone)}
    for stage, pins in _moves(before, after).items():
        change = _corpus_change(*pins, versions, documents)
        found[stage] = replace(change, widened=grown[pins[1].name, before.side.digest, after.side.digest])
    return found


def _sides(connection: Connection, manifests: Mapping[Digest, Manifest]) -> dict[Digest, _Pinned]:
    bodies = bodies_of(connection, manifests.values())
    values = {
        digest: {kind: part_value(bodies[digest][kind], digest=manifest.parts[kind], kind=kind) for kind in PartKind}
        for digest, manifest in manifests.items()
    }
    named = [file for parts in values.values() for file in (*files_of(parts[PartKind.PROMPT]), *_case_files(parts))]
    blobs = get_blobs(connection, {file.sha256 for file in named})
    return {digest: _pinned(manifest, bodies[digest], values[digest], blobs) for digest, manifest in manifests.items()}


def _pinned(
    manifest: Manifest,
    bodies: Mapping[PartKind, bytes],
    values: Mapping[PartKind, Json],
    blobs: Mapping[str, bytes],
) -> _Pinned:
    (prompt,) = files_of(values[PartKind.PROMPT])
    pins = sealed_pins(bodies[PartKind.CORPUS], manifest.parts[PartKind.CORPUS])
    side = Side(
        digest=manifest.digest,
        parts=manifest.parts,
        values=values,
        prompt=blobs[prompt.sha256].decode(),
        golden={key: case for file in _case_files(values) for key, case in _cases(blobs[file.sha256]).items()},
    )
    return _Pinned(side=side, pins={str(stage): pin for stage, pin in pins.items()})


def _case_files(values: Mapping[PartKind, Json]) -> tuple[PartFile, ...]:
    return tuple(file for file in files_of(values[PartKind.GOLDEN]) if file.path.endswith(".jsonl"))


def _cases(body: bytes) -> Mapping[str, Mapping[str, Json]]:
    """Return the cases of a golden file by id. The releases of a line share their files: small ones are kept."""
    return _kept_cases(body) if len(body) <= _KEPT_BYTES else _read_cases(body)


def _read_cases(body: bytes) -> Mapping[str, Mapping[str, Json]]:
    rows = (row for row in body.decode().splitlines() if row.strip())
    return {str(case["id"]): case for case in map(json.loads, rows)}


_kept_cases = lru_cache(maxsize=64)(_read_cases)


def _moves(before: _Pinned, after: _Pinned) -> dict[str, Pins]:
    """Return the data stages whose corpus version changed, with both pins."""
    return {
        stage: (pin, after.pins[stage])
        for stage, pin in before.pins.items()
        if stage in after.pins and after.pins[stage] != pin
    }


def _differing(moved: Iterable[Pins], versions: Versions) -> set[tuple[CorpusName, int]]:
    """Return every revision that only one version of a pair holds."""
    found: set[tuple[CorpusName, int]] = set()
    for before, after in moved:
        left, right = versions.get((before.name, before.version)), versions.get((after.name, after.version))
        if before.name == after.name and left is not None and right is not None:
            found |= {(before.name, rev) for rev in left.revisions ^ right.revisions}
    return found


def _corpus_change(
    before: CorpusPin, after: CorpusPin, versions: Versions, documents: Mapping[tuple[CorpusName, int], str]
) -> CorpusChange:
    left, right = versions.get((before.name, before.version)), versions.get((after.name, after.version))
    if before.name != after.name or left is None or right is None:
        return CorpusChange()
    held, holds = left.revisions, right.revisions
    gone = {documents[before.name, rev] for rev in held - holds}
    came = {documents[before.name, rev] for rev in holds - held}
    return CorpusChange(
        added=tuple(sorted(came - gone)),
        changed=tuple(sorted(came & gone)),
        removed=tuple(sorted(gone - came)),
        documents_before=before.documents,
    )
