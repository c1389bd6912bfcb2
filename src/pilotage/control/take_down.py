"""`pilotage corpus takedown`: hide a document from everybody at once, then erase it (corpus-and-ledger.md 4).

Rule: the tombstone, the block list, the ledger entry and the request for the purge are one transaction; when it has
committed the document is in no version, index, answer or export any more. Derived corpora follow their source, and a
release whose prompt quotes the document leaves traffic with it: a sealed prompt cannot be cleaned.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.corpus_duties import corpus_roles, settings_of
from pilotage.control.instance import Instance
from pilotage.control.purge_document import purge_document
from pilotage.control.typed_text import checked_text
from pilotage.control.withdraw_quoting import withdraw_quoting
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.core.reason import Refusal
from pilotage.corpus.takedown import TakedownState
from pilotage.corpus.version import BLOCK_LIST_KEY, revision_hmac
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.commitment import commitment, commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.corpora import bump_generation, lock_corpus
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.runs import request_run, settle_run
from pilotage.store.takedowns import (
    StoredTakedown,
    add_takedown,
    affected_versions,
    block,
    bury,
    find_takedown,
    lock_document,
    revision_hashes,
    same_content,
)

RUN_KIND: Final = "takedown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakedownRequest:
    """What to take down and why. `wait` waits for the purge and its proof, `hold` keeps the bytes: legal hold."""

    corpus: CorpusName
    document: str
    reason: str
    wait: bool = False
    include_duplicates: bool = False
    hold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakedownResult:
    """Where it stands. `also_in` are other documents of the same content; `derived` were taken down with it.

    `quarantined` are releases whose prompt quoted it.
    """

    takedown: str
    document: str
    state: TakedownState
    versions_affected: tuple[int, ...]
    also_in: tuple[str, ...]
    derived: tuple[str, ...]
    golden_to_review: tuple[str, ...]
    quarantined: tuple[Digest, ...]
    proof: Mapping[str, Json] | None

    @property
    def is_purged(self) -> bool:
        """Tell whether the bytes are gone as far as can be said here."""
        return self.state in {TakedownState.PURGED, TakedownState.PURGED_WITH_DUPLICATES}

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "takedown": self.takedown,
            "document": self.document,
            "state": str(self.state),
            "versions_affected": list(self.versions_affected),
            "purged": self.is_purged,
            "also_in": list(self.also_in),
            "derived": list(self.derived),
            "golden_to_review": list(self.golden_to_review),
            "quarantined": list(self.quarantined),
            "proof": None if self.proof is None else dict(self.proof),
        }


def take_down(instance: Instance, *, actor: Principal, request: TakedownRequest) -> TakedownResult | Refusal:
    """Hide the document now; erase it now with `wait`, else by the next worker."""
    settings = settings_of(instance, request.corpus)
    refusal = may(corpus_roles(settings, actor), Action.TAKE_DOWN)
    if refusal is not None:
        return refusal
    if not checked_text(request.reason, "reason"):
        raise UsageError("REASON_NEEDED", "A takedown has a reason.", hint="Write --reason TEXT.")
    with instance.engine.begin() as connection:
        hiding = _Hiding(instance=instance, actor=actor, request=request, at=instance.clock.now())
        made = hiding.hide(connection)
        withdrawn = withdraw_quoting(connection, instance, actor=actor, takedowns=made, at=hiding.at)
    stored = _purge(instance, made) if request.wait else _read(instance, made)
    first = stored[0]
    return TakedownResult(
        takedown=first.id,
        document=first.document,
        state=first.state,
        versions_affected=first.versions_affected,
        also_in=first.also_in,
        derived=tuple(f"{one.corpus}/{one.document}" for one in stored if one.corpus != first.corpus),
        golden_to_review=_golden(instance, request.document),
        quarantined=withdrawn,
        proof=first.proof,
    )


def _purge(instance: Instance, identifiers: list[str]) -> list[StoredTakedown]:
    """Erase here and now; what the worker was asked to do is done then."""
    purged = [purge_document(instance, one) for one in identifiers]
    with instance.engine.begin() as connection:
        for one in identifiers:
            settle_run(connection, kind=RUN_KIND, key=one)
    return purged


def _read(instance: Instance, identifiers: list[str]) -> list[StoredTakedown]:
    with instance.engine.connect() as connection:
        found = [find_takedown(connection, one) for one in identifiers]
    return [one for one in found if one is not None]


def _golden(instance: Instance, document: str) -> tuple[str, ...]:
    """Return golden cases that expect the document: they are sealed, so a person reviews them."""
    return tuple(
        f"{workflow.name}/{case.id}"
        for workflow in instance.workspace.workflows.values()
        for golden in workflow.golden
        for case in golden.cases
        if any(member.partition("#")[0] == document for entry in case.expect.citations for member in entry)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hiding:
    """One takedown as it is requested."""

    instance: Instance
    actor: Principal
    request: TakedownRequest
    at: datetime

    def hide(self, connection: Connection) -> list[str]:
        """Hide the document, its duplicates when asked, and its copies in derived corpora; return takedown ids."""
        corpus, document = self.request.corpus, self.request.document
        lock_corpus(connection, corpus)
        exists, tombstone = lock_document(connection, corpus, document)
        if not exists:
            message = f"Corpus {corpus} has no document {document!r}."
            raise NotFound("DOCUMENT_UNKNOWN", message, hint=f"See `pilotage corpus diff {corpus} 0`.")
        hashes = revision_hashes(connection, corpus, document)
        twins = same_content(connection, corpus, document, hashes)
        if tombstone is None:
            made = [self._one(connection, corpus, document, also_in=twins)]
        else:  # asked for again: what was purged is known by the names it was found under
            before = find_takedown(connection, tombstone)
            twins = twins if before is None else tuple(sorted({*twins, *before.also_in}))
            made = [tombstone]
        documents = (document, *twins) if self.request.include_duplicates else (document,)
        made += self._hide_all(connection, corpus, documents)
        if made != [tombstone]:
            bump_generation(connection, corpus)
        return made + self._follow(connection, corpus, documents, frozenset({corpus}))

    def _follow(
        self, connection: Connection, corpus: CorpusName, documents: Sequence[str], done: frozenset[CorpusName]
    ) -> list[str]:
        """Hide the copies in corpora derived from this one, and in those derived from them."""
        made: list[str] = []
        for derived in self.instance.workspace.corpora.values():
            if derived.derived_from == corpus and derived.name not in done:
                hidden = self._hide_all(connection, derived.name, documents)
                if hidden:
                    bump_generation(connection, derived.name)
                made += hidden + self._follow(connection, derived.name, documents, done | {derived.name})
        return made

    def _hide_all(self, connection: Connection, corpus: CorpusName, documents: Sequence[str]) -> list[str]:
        """Hide those of these documents that a corpus still shows."""
        return [self._one(connection, corpus, one) for one in documents if self._holds(connection, corpus, one)]

    def _holds(self, connection: Connection, corpus: CorpusName, document: str) -> bool:
        exists, tombstone = lock_document(connection, corpus, document)
        return exists and tombstone is None

    def _one(self, connection: Connection, corpus: CorpusName, document: str, *, also_in: tuple[str, ...] = ()) -> str:
        identifier = new_ulid(self.at)
        key = self.instance.keyring.derive(BLOCK_LIST_KEY)
        hmacs = [revision_hmac(key, one) for one in revision_hashes(connection, corpus, document)]
        stored = StoredTakedown(
            id=identifier,
            corpus=corpus,
            document=document,
            document_commit=commitment(secrets.token_bytes(32), document),
            reason=self.request.reason,
            state=TakedownState.HELD if self.request.hold else TakedownState.HIDDEN,
            include_duplicates=self.request.include_duplicates,
            step="hidden",
            also_in=also_in,
            versions_affected=affected_versions(connection, corpus, document),
            proof=None,
            requested_by=str(self.actor.person or self.actor.id),
            requested_at=self.at,
        )
        add_takedown(connection, stored)
        bury(connection, corpus, document, tombstone=identifier)
        block(connection, corpus, document, hmacs, takedown_id=identifier)
        if not self.request.hold:
            request_run(connection, kind=RUN_KIND, key=identifier, due_at=self.at)
        self._record(connection, stored)
        return identifier

    def _record(self, connection: Connection, stored: StoredTakedown) -> None:
        opened = disclosures_of({"reason": self.request.reason}, entropy=secrets.token_bytes)
        entry = encode_entry(
            id=new_ulid(self.at),
            kind=EntryKind.TAKEDOWN_REQUESTED,
            at=self.at,
            actor=pseudonym_of(connection, self.actor.id),
            subject=stored.id,
            data={
                "corpus": stored.corpus,
                "document_id_commit": stored.document_commit,
                "versions_affected": list(stored.versions_affected),
                "also_in": len(stored.also_in),
                **({"held": True} if self.request.hold else {}),
            },
            commit=commitments_of(opened),
        )
        append(connection, entry, opened)
