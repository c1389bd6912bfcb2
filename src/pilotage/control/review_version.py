"""`pilotage corpus accept|reject`: a person decides about a proposed version.

Rule: its steward or owner, and with `review: two_person` not who triggered the refresh. Whoever accepts is an author
of the corpus part of every release that seals it (`corpus_version.decided_by`). Fail mode: a Refusal, nothing changed.
"""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pilotage.control.accept_version import accept_in, frozen_by
from pilotage.control.corpus_duties import may_accept, may_decide, settings_of
from pilotage.control.corpus_entries import deed_of, person_of, record_corpus
from pilotage.control.instance import Instance
from pilotage.control.typed_text import checked_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.version import VersionState
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.corpora import StoredVersion, bump_generation, decide_version, lock_corpus, version_of


def accept_version(
    instance: Instance, *, actor: Principal, corpus: CorpusName, version: int, note: str = ""
) -> StoredVersion | Refusal:
    """Accept a proposed version. A removal guard's warning is overridden by this: a person has looked."""
    checked_text(note, "note")
    settings = settings_of(instance, corpus)
    refusal = may_decide(settings, actor)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        found = _proposed(connection, corpus, version)
        if isinstance(found, Refusal):
            return found
        refusal = may_accept(settings, actor, triggered_by=found.created_by) or frozen_by(connection, instance, corpus)
        if refusal is not None:
            return refusal
        now = instance.clock.now()
        day = now.astimezone(ZoneInfo(instance.workspace.timezone)).date()
        deed = deed_of(connection, actor, at=now)
        return accept_in(connection, found, deed, person=person_of(actor), day=day, note=note)


def reject_version(
    instance: Instance, *, actor: Principal, corpus: CorpusName, version: int, note: str
) -> StoredVersion | Refusal:
    """Reject a proposed version, with the reason. Its rows stay: a later refresh may find the same text again."""
    checked_text(note, "note")
    settings = settings_of(instance, corpus)
    refusal = may_decide(settings, actor)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        found = _proposed(connection, corpus, version)
        if isinstance(found, Refusal):
            return found
        now = instance.clock.now()
        rejected = replace(
            found,
            state=VersionState.REJECTED,
            decided_by=person_of(actor),
            decided_at=now,
            decision_note=note,
        )
        decide_version(connection, rejected)
        deed = deed_of(connection, actor, at=now)
        subject = f"{corpus}@{version}"
        data = {"digest": found.digest}
        record_corpus(connection, EntryKind.CORPUS_VERSION_REJECTED, deed, subject=subject, data=data, note=note)
        bump_generation(connection, corpus)
        return rejected


def _proposed(connection: Connection, corpus: CorpusName, number: int) -> StoredVersion | Refusal:
    """Lock the corpus and the version; refuse one that is decided already."""
    found = version_of(connection, corpus, number)
    if found is None:
        message = f"There is no version {number} of corpus {corpus}."
        raise NotFound("VERSION_UNKNOWN", message, hint=f"See `pilotage corpus versions {corpus}`.")
    lock_corpus(connection, corpus)
    found = version_of(connection, corpus, number, for_update=True)
    if found is not None and found.state is VersionState.PROPOSED:
        return found
    state = "gone" if found is None else found.state.value
    text = f"Version {number} of {corpus} is {state}; only a proposed version can be decided."
    return Refusal(reasons=(Reason(code="VERSION_DECIDED", text=text, observed=state, limit="proposed"),))
