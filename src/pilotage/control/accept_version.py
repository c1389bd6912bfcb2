"""What accepting a version does, inside a transaction: shared by `corpus accept` and `refresh --accept`.

Rule: only a proposed version whose bytes match its digest, and that exposes nothing, is accepted; earlier proposals are
superseded. Fail mode: a Refusal with every reason, and nothing changed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from pilotage.control.corpus_entries import Deed, record_corpus
from pilotage.control.instance import Instance
from pilotage.core.digest import digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.version import VersionState
from pilotage.ledger.entry import EntryKind
from pilotage.store.corpora import StoredVersion, bump_generation, decide_version, supersede_earlier
from pilotage.store.corpus_documents import open_documents, take_titles
from pilotage.store.incidents import incident_freezes


def accept_in(
    connection: Connection, version: StoredVersion, deed: Deed, *, person: str, day: date, note: str
) -> StoredVersion | Refusal:
    """Accept a version the caller has locked; `person` becomes an author of the corpus part of releases."""
    subject = f"{version.corpus}@{version.number}"
    if digest_of(version.commitments) != version.digest:
        message = f"The stored commitments of {subject} do not match its digest."
        raise IntegrityError("VERSION_DAMAGED", message, hint="Run `pilotage ledger fsck` and restore from a backup.")
    refusal = _exposed(connection, version)
    if refusal is not None:
        return refusal
    accepted = replace(version, state=VersionState.ACCEPTED, decided_by=person, decided_at=deed.at, decision_note=note)
    decide_version(connection, accepted)
    superseded = supersede_earlier(connection, version.corpus, version.number)
    take_titles(connection, version.corpus, version.revisions, day=day)
    record_corpus(
        connection,
        EntryKind.CORPUS_VERSION_ACCEPTED,
        deed,
        subject=subject,
        data={
            "digest": version.digest,
            "parent": version.parent,
            "superseded": list(superseded),
            "single_review": version.created_by == person,
        },
        note=note,
    )
    bump_generation(connection, version.corpus)
    return accepted


def frozen_by(connection: Connection, instance: Instance, corpus: CorpusName) -> Refusal | None:
    """Refuse while an incident freezes a workflow that reads this corpus (rollouts.md 8.2)."""
    reasons = tuple(
        reason
        for workflow in instance.workspace.workflows.values()
        if any(reference.name == corpus for reference in workflow.retrieval.corpora.values())
        for reason in incident_freezes(connection, workflow.name)
    )
    return Refusal(reasons=reasons) if reasons else None


def _exposed(connection: Connection, version: StoredVersion) -> Refusal | None:
    """Refuse while the version holds a confidential document everyone may read now; permissions may have changed."""
    exposed = open_documents(connection, version.corpus, version.revisions)
    if not exposed:
        return None
    return Refusal(
        reasons=(
            Reason(
                code="READABLE_BY_EVERYONE",
                text=f"{len(exposed)} documents are confidential or higher and readable by everyone; "
                "narrow their ACL in the source, then refresh.",
                where=", ".join(exposed[:5]),
                observed=str(len(exposed)),
                limit="0",
            ),
        )
    )
