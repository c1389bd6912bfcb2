"""What this process holds in memory of each workflow it serves, for the drift detector (gates.md 5.4).

Rule: taken from what answers are made with, at every report. Fail mode: what cannot be told is left out, which counts
as a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pilotage import __version__
from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName
from pilotage.release.content import ReleaseContent
from pilotage.release.fingerprint import fingerprints
from pilotage.retrieval.root import root_of
from pilotage.retrieval.settings import Vectors
from pilotage.retrieval.snapshot import Snapshot
from pilotage.retrieval.visible import visible_chunks
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space

CorpusHeld = Callable[[ReleaseContent, Space], Json]
"""What is held of the documents that a release reads in a space; None: nothing."""


def holdings(table: RoutingTable, space: Space, corpus_held: CorpusHeld) -> dict[str, Json]:
    """Return, by workflow, what this process would answer with in a space."""
    rows = [row for (name, _), row in table.rows.items() if name == space.name]
    return {str(row.workflow): _row(table, row, space, corpus_held) for row in rows}


def _row(table: RoutingTable, row: RoutingRow, space: Space, corpus_held: CorpusHeld) -> dict[str, Json]:
    named = {digest for digest in (row.stable, row.candidate) if digest is not None}
    loaded = [table.releases[digest] for digest in sorted(named) if digest in table.releases]
    stable = None if row.stable is None else table.releases.get(row.stable)
    return {
        "generation": row.generation,
        "stable": None if stable is None else str(stable.digest),
        "space": space_digest(space),
        "engine": __version__,
        "releases": {str(one.digest): dict(fingerprints(one.content)) for one in loaded},
        "corpora": {
            str(one.digest): corpus_held(one.content, space)
            for one in loaded
            if space.data_stage in one.content.corpora
        },
    }


def corpus_state(snapshot: Snapshot | None, version: int) -> Json:
    """Return what a snapshot holds of a corpus version, taken-down documents left out."""
    if snapshot is None or version not in snapshot.visibility.versions:
        return None
    visibility = snapshot.visibility
    kept = visibility.versions[version] & visibility.live
    return {
        "generation": visibility.generation,
        "root": root_of(kept),
        "chunks": sum(visible_chunks(segment, kept).count for segment in snapshot.segments),
    }


def held_by(
    snapshot_of: Callable[[CorpusName, Vectors | None], Snapshot | None],
    refusal_of: Callable[[CorpusName, Vectors | None], str | None],
) -> CorpusHeld:
    """Return the reader over the indexes of this process; `refused` says why newer segments could not be opened."""

    def held(content: ReleaseContent, space: Space) -> Json:
        pin = content.corpora[space.data_stage]
        vectors = content.retrieval.vectors_of(space.data_stage)
        state, refused = corpus_state(snapshot_of(pin.name, vectors), pin.version), refusal_of(pin.name, vectors)
        return {**state, "refused": refused} if isinstance(state, Mapping) and refused is not None else state

    return held


def nothing_held(_content: ReleaseContent, _space: Space) -> Json:
    """Say nothing of documents, where no index stands behind the retriever."""
    return None
