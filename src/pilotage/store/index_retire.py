"""Index folders of embedding models that no release which may serve names any more: removed, for they can be rebuilt.

A release may serve while it is routed, while a rollback of what is deployed goes back to it, and for 30 days after it
was sealed, deployed or replaced; a rollback to an older one builds its index anew from the vectors in the store. Rule:
a folder written within the last day stays. Fail mode: a release that cannot be read raises, and nothing is removed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.release.content import sealed_pins, sealed_retrieval
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.retrieval.settings import Vectors
from pilotage.store.index_build import IndexFolder, remove_index
from pilotage.store.releases import part_bodies

RETURNS_WITHIN: Final = timedelta(days=30)
_REST_S: Final = 86_400.0
_MAY_SERVE: Final = text(
    "SELECT digest, manifest FROM release WHERE sealed_at > clock_timestamp() - CAST(:span AS interval) OR digest IN ("
    " SELECT stable FROM routing UNION SELECT candidate FROM routing"
    " UNION SELECT unnest(ARRAY[release, previous]) FROM deployment"
    " WHERE state = 'active' OR at > clock_timestamp() - CAST(:span AS interval))"
)


def serving_vectors(connection: Connection) -> frozenset[tuple[CorpusName, Vectors]]:
    """Return which vectors the releases that may serve are answered with, by corpus."""
    found: set[tuple[CorpusName, Vectors]] = set()
    for row in connection.execute(_MAY_SERVE, {"span": RETURNS_WITHIN}):
        manifest = read_manifest(bytes(row.manifest), digest=Digest(row.digest))
        bodies = part_bodies(connection, manifest)
        retrieval = sealed_retrieval(bodies[PartKind.RETRIEVAL], manifest.parts[PartKind.RETRIEVAL])
        pins = sealed_pins(bodies[PartKind.CORPUS], manifest.parts[PartKind.CORPUS])
        named = ((pin.name, retrieval.vectors_of(stage)) for stage, pin in pins.items())
        found |= {(corpus, vectors) for corpus, vectors in named if vectors is not None}
    return frozenset(found)


def remove_retired(connection: Connection, folder: IndexFolder, corpora: Iterable[CorpusName]) -> tuple[Path, ...]:
    """Remove the folders of vectors that nothing names and nobody wrote for a day; return them."""
    kept = {folder.of(corpus, vectors) for corpus, vectors in serving_vectors(connection)}
    old = time.time() - _REST_S
    retired = [
        path
        for corpus in corpora
        for path in folder.with_vectors(corpus)
        if path not in kept and path.stat().st_mtime < old
    ]
    for path in retired:
        remove_index(path)
    return tuple(retired)
