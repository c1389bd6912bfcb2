"""What releases answered in evaluations, the two caches, and the assessments.

Rule: a generation is stored once by its digest; a takedown of a document deletes every generation that saw it, with its
cache rows and assessments. Fail mode: a generation that does not match its digest raises IntegrityError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.evaluation.assessment import Assessment, Unscored
from pilotage.evaluation.generation import Generation, generation_json
from pilotage.evaluation.stored import read_assessment, read_generation
from pilotage.store.tables.evaluation import evaluation_assessment, evaluation_cache, evaluation_generation

_BATCH = 500


def put_generation(connection: Connection, generation: Generation, *, corpus: str | None, at: datetime) -> None:
    """Store a generation once; `corpus` is where its documents stand."""
    documents = {one.document for one in generation.passages} | {one.document for one in generation.citations} - {""}
    row = {
        "digest": generation.digest,
        "body": generation_json(generation),
        "documents": sorted(f"{corpus}/{document}" for document in documents) if corpus else [],
        "at": at,
    }
    connection.execute(insert(evaluation_generation).values(row).on_conflict_do_nothing())


def generations_of(connection: Connection, digests: Iterable[Digest]) -> dict[Digest, Generation]:
    """Return stored generations by digest; those that are gone are missing."""
    wanted, found = sorted(set(digests)), dict[Digest, Generation]()
    for start in range(0, len(wanted), _BATCH):
        query = select(evaluation_generation.c.digest, evaluation_generation.c.body).where(
            evaluation_generation.c.digest.in_(wanted[start : start + _BATCH])
        )
        for row in connection.execute(query):
            generation = read_generation(row.body)
            if generation.digest != row.digest:
                message = f"The stored answer {row.digest} was altered."
                raise IntegrityError("GENERATION_ALTERED", message, hint="Restore a backup, or run it again.")
            found[generation.digest] = generation
    return found


def cached_generation(connection: Connection, key: Digest, *, not_before: datetime | None) -> Generation | None:
    """Return the answer to exactly this input, unless it is older than allowed; None allows every age."""
    query = select(evaluation_cache.c.generation).where(evaluation_cache.c.key == key)
    if not_before is not None:
        query = query.where(evaluation_cache.c.at >= not_before)
    digest = connection.scalar(query)
    return None if digest is None else generations_of(connection, [Digest(digest)]).get(Digest(digest))


def put_cache(connection: Connection, key: Digest, generation: Digest, *, at: datetime) -> None:
    """Remember an answer under its key; a newer answer replaces an older one."""
    statement = insert(evaluation_cache).values(key=key, generation=generation, at=at)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_={"generation": generation, "at": at})
    )


def put_assessments(connection: Connection, subject: Digest, assessments: Sequence[Assessment]) -> None:
    """Store assessments of one generation, once each; a scorer that broke is asked again and never remembered."""
    rows = [
        {
            "generation": one.generation_digest,
            "subject": subject,
            "version": one.version,
            "body": one.as_json(),
        }
        for one in assessments
        if one.reason != Unscored.SCORER_ERROR.value
    ]
    if rows:
        connection.execute(insert(evaluation_assessment).values(rows).on_conflict_do_nothing())


def assessments_of(connection: Connection, generation: Digest, subject: Digest) -> dict[str, Assessment]:
    """Return what is known about a generation scored as this subject, by scorer version."""
    query = select(evaluation_assessment.c.version, evaluation_assessment.c.body).where(
        evaluation_assessment.c.generation == generation, evaluation_assessment.c.subject == subject
    )
    return {row.version: read_assessment(row.body) for row in connection.execute(query)}
