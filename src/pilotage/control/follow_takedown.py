"""What a person does about a takedown later: hold its purge for the law, end the hold, confirm it, lift the block.

Rule: a hold keeps the bytes and shows them to nobody; what a purge cannot reach (backups, replicas) is gone when a
person says so; only the corpus's steward lets a document come back, and only by a refresh. Fail mode: a Refusal,
nothing changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.corpus_duties import corpus_roles, settings_of
from pilotage.control.instance import Instance
from pilotage.control.take_down import RUN_KIND
from pilotage.control.typed_text import checked_text
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import CorpusSettings
from pilotage.corpus.takedown import ENDED, TakedownState
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.corpora import bump_generation, lock_corpus
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.runs import request_run
from pilotage.store.takedowns import StoredTakedown, lift, lock_document, lock_takedown, requested_with, set_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """Which document's takedown it is about, and why."""

    corpus: CorpusName
    document: str
    reason: str


def takedown_as_json(stored: StoredTakedown) -> dict[str, Json]:
    """Return a takedown as the commands show it."""
    return {
        "takedown": stored.id,
        "document": stored.document,
        "state": str(stored.state),
        "versions_affected": list(stored.versions_affected),
        "proof": None if stored.proof is None else dict(stored.proof),
    }


def hold_takedown(instance: Instance, *, actor: Principal, follow: Follow) -> StoredTakedown | Refusal:
    """Keep the bytes of a hidden document, its twins and copies: legal hold. Refused once they are erased."""
    settings, refusal = _permitted(instance, actor, follow)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        act = _Act(connection, actor, follow, at=instance.clock.now())
        stored = act.takedown(settings)
        if stored.state is not TakedownState.HIDDEN or stored.step != "hidden":
            return _refused(stored, "is hidden and not erased can be held")
        for one in requested_with(connection, stored.id):
            if one.step == "hidden":
                set_state(connection, one.id, TakedownState.HELD)
                act.record(EntryKind.TAKEDOWN_HELD, one.id, {"corpus": one.corpus, "held": True})
    return replace(stored, state=TakedownState.HELD)


def end_hold(instance: Instance, *, actor: Principal, follow: Follow) -> StoredTakedown | Refusal:
    """Let the purge of a held document, its twins and copies go on: the next worker erases them."""
    settings, refusal = _permitted(instance, actor, follow)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        act = _Act(connection, actor, follow, at=instance.clock.now())
        stored = act.takedown(settings)
        if stored.state is not TakedownState.HELD:
            return _refused(stored, "is held can be let go")
        for one in requested_with(connection, stored.id, TakedownState.HELD):
            set_state(connection, one.id, TakedownState.HIDDEN)
            request_run(connection, kind=RUN_KIND, key=one.id, due_at=act.at)
            act.record(EntryKind.TAKEDOWN_HELD, one.id, {"corpus": one.corpus, "held": False})
    return replace(stored, state=TakedownState.HIDDEN)


def confirm_purge(instance: Instance, *, actor: Principal, follow: Follow) -> StoredTakedown | Refusal:
    """Record a person's word that no backup, archive or replica of the database holds the bytes any more."""
    settings, refusal = _permitted(instance, actor, follow)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        act = _Act(connection, actor, follow, at=instance.clock.now())
        stored = act.takedown(settings)
        if stored.state is not TakedownState.PURGED_PRIMARY:
            return _refused(stored, "is purged from the primary database can be confirmed")
        said: dict[str, Json] = {"confirmed_at": to_text(act.at), "confirmed_by": act.pseudonym}
        for one in requested_with(connection, stored.id, TakedownState.PURGED_PRIMARY):
            set_state(connection, one.id, TakedownState.PURGED, proof={**(one.proof or {}), **said})
            act.record(EntryKind.TAKEDOWN_CONFIRMED, one.id, {"corpus": one.corpus})
    return replace(stored, state=TakedownState.PURGED, proof={**(stored.proof or {}), **said})


def lift_block(instance: Instance, *, actor: Principal, follow: Follow) -> StoredTakedown | Refusal:
    """Let the next refresh bring the document back; what was erased stays erased. Its steward only."""
    settings, refusal = _permitted(instance, actor, follow)
    if refusal is not None:
        return refusal
    if actor.person != settings.steward:
        text = f"Only the steward {settings.steward} may let a document of {settings.name} come back."
        return Refusal(reasons=(Reason(code="NOT_STEWARD", text=text),))
    with instance.engine.begin() as connection:
        act = _Act(connection, actor, follow, at=instance.clock.now())
        stored = act.takedown(settings)
        if stored.state not in ENDED:
            return _refused(stored, "has been purged can be lifted")
        lift(connection, stored, at=act.at)
        bump_generation(connection, stored.corpus)
        act.record(EntryKind.DOCUMENT_BLOCK_LIFTED, stored.corpus, {"takedown": stored.id})
    return stored


def _permitted(instance: Instance, actor: Principal, follow: Follow) -> tuple[CorpusSettings, Refusal | None]:
    settings = settings_of(instance, follow.corpus)
    if not checked_text(follow.reason, "reason"):
        raise UsageError("REASON_NEEDED", "It needs a reason, which is kept.", hint="Write --reason TEXT.")
    return settings, may(corpus_roles(settings, actor), Action.TAKE_DOWN)


def _refused(stored: StoredTakedown, which: str) -> Refusal:
    text = f"The takedown of {stored.document} is {stored.state}; only one that {which}."
    return Refusal(reasons=(Reason(code="TAKEDOWN_STATE", text=text, where=stored.id, observed=str(stored.state)),))


class _Act:
    """One act inside its transaction."""

    def __init__(self, connection: Connection, actor: Principal, follow: Follow, *, at: datetime) -> None:
        self._connection = connection
        self._follow = follow
        self.at = at
        self.pseudonym = pseudonym_of(connection, actor.id)

    def takedown(self, settings: CorpusSettings) -> StoredTakedown:
        """Return the takedown that hides the document, locked until the transaction ends."""
        lock_corpus(self._connection, settings.name)
        _, tombstone = lock_document(self._connection, settings.name, self._follow.document)
        stored = None if tombstone is None else lock_takedown(self._connection, tombstone)
        if stored is None:
            message = f"No document {self._follow.document!r} of {settings.name} was taken down."
            raise NotFound("TAKEDOWN_UNKNOWN", message, hint=f"`pilotage corpus takedown {settings.name}` hides one.")
        return stored

    def record(self, kind: EntryKind, subject: str, data: Mapping[str, Json]) -> None:
        """Append the entry; the reason goes in as a commitment."""
        opened = disclosures_of({"reason": self._follow.reason}, entropy=secrets.token_bytes)
        entry = encode_entry(
            id=new_ulid(self.at),
            kind=kind,
            at=self.at,
            actor=self.pseudonym,
            subject=subject,
            data=data,
            commit=commitments_of(opened),
        )
        append(self._connection, entry, opened)
