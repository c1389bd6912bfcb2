"""What a draft of a release says of vectors: the cells it is sealed with, and what is still to be computed.

Rule: cells that the file names are sealed as they stand; otherwise the newest ones trained for the corpus are. Fail
mode: cells that nobody trained, or of another dimension, are a reason against sealing.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.reason import Reason
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.settings import VectorMode
from pilotage.store.corpora import StoredVersion
from pilotage.store.embeddings import count_missing, load_cells, newest_cells
from pilotage.store.index_rows import live_revisions
from pilotage.workspace.workflow import Workflow

_HINT = "Remove the key cells: sealing trains cells and seals their digest."


def cells_of(
    connection: Connection, workflow: Workflow, versions: Mapping[DataStage, StoredVersion]
) -> dict[DataStage, Digest]:
    """Return the cells of each stage; a stage whose cells are still to be trained is left out."""
    settings = workflow.retrieval
    if settings.vectors is VectorMode.EXACT or settings.embedding is None:
        return {}
    found = dict(settings.cells)
    for stage, version in versions.items():
        newest = newest_cells(connection, version.corpus, settings.embedding.key)
        if stage not in found and newest is not None:
            found[stage] = newest[0]
    return found


def unknown_cells(connection: Connection, workflow: Workflow) -> list[Reason]:
    """Return what is wrong with the cells that the file names."""
    embedding, named = workflow.retrieval.embedding, workflow.retrieval.cells
    reasons: list[Reason] = []
    for digest in sorted(set(named.values())) if embedding is not None else ():
        try:
            dimension = load_cells(connection, digest).centroids.shape[1]
        except IntegrityError:
            what = f"No cells {digest} are stored. {_HINT}"
        else:
            if embedding is None or dimension == embedding.dimension:
                continue
            what = f"The cells {digest} cut {dimension} numbers, and vectors have {embedding.dimension}. {_HINT}"
        reasons.append(Reason(code="SEAL_CELLS_UNKNOWN", text=what, where="retrieval.yaml: cells", observed=digest))
    return reasons


def lacking(
    connection: Connection,
    workflow: Workflow,
    versions: Mapping[DataStage, StoredVersion],
    cells: Mapping[DataStage, Digest],
) -> tuple[Reason, ...]:
    """Return what was not computed for these versions: a corpus moved while sealing did."""
    settings, reasons = workflow.retrieval, list[Reason]()
    if settings.embedding is None:
        return ()
    for stage, version in versions.items():
        name = f"{version.corpus}@{version.number}"
        revs = version.revisions & live_revisions(connection, version.corpus)
        bare = count_missing(connection, version.corpus, settings.embedding.key, revs)
        if bare:
            what = f"{bare} passages of {name} have no vector yet: the corpus moved meanwhile. Seal again."
            reasons.append(Reason(code="SEAL_VECTORS_MISSING", text=what, where=version.corpus, observed=str(bare)))
        if settings.vectors is VectorMode.APPROXIMATE and stage not in cells:
            what = f"No cells are trained for {name} yet: the corpus moved meanwhile. Seal again."
            reasons.append(Reason(code="SEAL_CELLS_MISSING", text=what, where=version.corpus))
    return tuple(reasons)
