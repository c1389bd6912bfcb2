"""What stands behind a comparison, case by case: what two releases answered, and how that was scored.

Rule: texts come with the documents they may quote, so that a caller can ask what a viewer may read before it shows any.
Fail mode: an answer that a takedown removed has no generation; an answer that was altered raises IntegrityError.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, text

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import CorpusName
from pilotage.evaluation.assessment import Assessment
from pilotage.evaluation.generation import Generation, ScoringContext
from pilotage.evaluation.run import Arm
from pilotage.evaluation.stored import read_assessment, read_context, read_generation
from pilotage.store.tables.evaluation import evaluation_generation, evaluation_task

_ASSESSED: Final = text(
    "SELECT a.body FROM unnest(CAST(:generations AS text[]), CAST(:subjects AS text[])) AS wanted (generation, subject)"
    " JOIN evaluation_assessment a USING (generation, subject) WHERE split_part(a.version, '@', 1) = ANY(:scorers)"
)
_DOCUMENTS: Final = text(
    "SELECT t.case_id, g.documents FROM evaluation_task t JOIN evaluation_generation g ON g.digest = t.generation"
    " WHERE t.run = :run AND t.repeat = 0 AND t.arm IN ('candidate', 'baseline')"
)
_READABLE: Final = text(
    "SELECT d.corpus, d.id FROM unnest(CAST(:corpora AS text[]), CAST(:ids AS text[]), CAST(:since AS timestamptz[]))"
    " AS wanted (corpus, id, since) JOIN document d ON d.corpus = wanted.corpus AND d.id = wanted.id"
    " WHERE d.tombstone IS NULL AND d.acl && CAST(:names AS text[])"
    " AND (wanted.since IS NULL OR d.acl_confirmed_at >= wanted.since)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseAnswer:
    """One side of one case: its first repeat. `corpus` is where its documents stand, None where it was shown none.

    `generation` None: it was not answered, or the answer was removed with a document.
    """

    arm: Arm
    case_id: str
    context: ScoringContext | None
    error: str | None
    generation: Generation | None
    corpus: CorpusName | None


def answers_of(connection: Connection, run: str, cases: Sequence[str]) -> dict[tuple[str, Arm], CaseAnswer]:
    """Return what both releases answered to these cases."""
    task, generation = evaluation_task.c, evaluation_generation.c
    query = (
        select(
            task.arm, task.case_id, task.context, task.error, generation.digest, generation.body, generation.documents
        )
        .select_from(evaluation_task.outerjoin(evaluation_generation, generation.digest == task.generation))
        .where(
            task.run == run,
            task.case_id.in_(list(cases)),
            task.repeat == 0,
            task.arm.in_([Arm.CANDIDATE.value, Arm.BASELINE.value]),
        )
    )
    found: dict[tuple[str, Arm], CaseAnswer] = {}
    for row in connection.execute(query):
        answer = None if row.digest is None else _generation(row.digest, row.body)
        found[row.case_id, Arm(row.arm)] = CaseAnswer(
            arm=Arm(row.arm),
            case_id=row.case_id,
            context=None if row.context is None else read_context(row.context),
            error=row.error,
            generation=answer,
            corpus=CorpusName(row.documents[0].partition("/")[0]) if row.documents else None,
        )
    return found


def documents_of(connection: Connection, run: str) -> dict[str, frozenset[tuple[CorpusName, str]]]:
    """Return the documents behind both answers of every case, by id; a case with none is left out."""
    found: dict[str, set[tuple[CorpusName, str]]] = {}
    for case, documents in connection.execute(_DOCUMENTS, {"run": run}):
        for one in documents:
            corpus, _, document = one.partition("/")
            found.setdefault(case, set()).add((CorpusName(corpus), document))
    return {case: frozenset(documents) for case, documents in found.items()}


def _generation(digest: str, body: Mapping[str, object]) -> Generation:
    found = read_generation(body)
    if found.digest != digest:
        message = f"The stored answer {digest} was altered."
        raise IntegrityError("GENERATION_ALTERED", message, hint="Restore a backup, or run it again.")
    return found


def scored_as(
    connection: Connection, pairs: Sequence[tuple[Digest, Digest]], scorers: Collection[str]
) -> dict[tuple[Digest, Digest, str], Assessment]:
    """Return what these scorers found, by (generation digest, case digest, scorer); `pairs`: (generation, subject)."""
    values = {
        "generations": [generation for generation, _ in pairs],
        "subjects": [subject for _, subject in pairs],
        "scorers": sorted(scorers),
    }
    found = (read_assessment(body) for body in connection.execute(_ASSESSED, values).scalars())
    return {(one.generation_digest, one.case_digest, one.scorer): one for one in found}


def readable_documents(
    connection: Connection,
    wanted: Collection[tuple[CorpusName, str]],
    names: Collection[str],
    since: Mapping[CorpusName, datetime | None],
) -> frozenset[tuple[CorpusName, str]]:
    """Return those of these documents that whoever has these ACL names may read now, as the last wall decides it.

    `since` names from when on ACLs of a corpus must have been confirmed; None: no limit.
    """
    if not wanted:
        return frozenset()
    asked = sorted(wanted)
    values = {
        "corpora": [corpus for corpus, _ in asked],
        "ids": [document for _, document in asked],
        "since": [since[corpus] for corpus, _ in asked],
        "names": sorted(names),
    }
    return frozenset((CorpusName(row.corpus), row.id) for row in connection.execute(_READABLE, values))
