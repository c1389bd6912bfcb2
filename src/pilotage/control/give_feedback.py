"""Rate an answer, say what was wrong and what would have been right (serving.md 7.7).

Only the asker or a reviewer may; for everybody else the interaction does not exist. Comment and correction are cleaned
and redacted before they are stored; the ledger entry commits to them. A rating is a candidate case, never a golden one
at once. Fail mode: NotFound; nothing is stored without its ledger entry.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from pilotage.control.golden_candidates import propose_from_feedback
from pilotage.control.instance import Instance
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import InteractionId, new_ulid, ulid_of_answer
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.feedback import StoredFeedback, add_feedback
from pilotage.store.interactions import StoredInteraction, interaction_by_id
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of

MAX_CODE_POINTS = 4_000


class Rating(StrEnum):
    """Thumbs."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackGiven:
    """What was stored, after redaction."""

    id: str
    interaction: InteractionId
    workflow: str
    space: str
    rating: Rating
    comment: str | None
    correction: str | None
    at: datetime


def give_feedback(  # noqa: PLR0913 - the command's options, one argument each
    instance: Instance,
    *,
    actor: Principal,
    interaction: str,
    rating: Rating,
    redact: Callable[[str], str],
    comment: str | None = None,
    correction: str | None = None,
) -> FeedbackGiven:
    """Store a rating. `redact` cleans and redacts one text for storage."""
    texts = {
        name: _cleaned(name, value, redact)
        for name, value in (("comment", comment), ("correction", correction))
        if value is not None and value.strip()
    }
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        pseudonym = pseudonym_of(connection, actor.id)
        asked = ulid_of_answer(interaction)
        found = None if asked is None else interaction_by_id(connection, asked)
        if found is None or not may_be_rated(found, pseudonym, actor):
            message = f"There is no interaction {interaction[:40]!r} that you may rate."
            raise NotFound("interaction_not_found", message, hint="Use the id of an answer you were given.")
        stored = StoredFeedback(
            id=new_ulid(now),
            interaction=found.id,
            principal=pseudonym,
            rating=rating.value,
            comment=texts.get("comment"),
            correction=texts.get("correction"),
            at=now,
        )
        add_feedback(connection, stored)
        candidate = None
        if rating is Rating.DOWN:
            candidate = propose_from_feedback(instance, connection, stored, found)
        _enter(connection, stored, found, texts, candidate)
    return FeedbackGiven(
        id=stored.id,
        interaction=found.id,
        workflow=found.workflow,
        space=found.space,
        rating=rating,
        comment=stored.comment,
        correction=stored.correction,
        at=now,
    )


def _enter(
    connection: Connection,
    stored: StoredFeedback,
    found: StoredInteraction,
    texts: Mapping[str, str],
    candidate: str | None,
) -> None:
    opened = disclosures_of(texts, entropy=secrets.token_bytes)
    entry = encode_entry(
        id=new_ulid(stored.at),
        kind=EntryKind.FEEDBACK_RECORDED,
        at=stored.at,
        actor=stored.principal,
        subject=stored.id,
        space=found.space,
        data={
            "interaction": found.id,
            "rating": stored.rating,
            "workflow": found.workflow,
            **({} if candidate is None else {"candidate": candidate}),
        },
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)


def may_be_rated(found: StoredInteraction, pseudonym: str, actor: Principal) -> bool:
    """Tell whether the actor, who has this pseudonym, may rate the interaction."""
    return found.principal == pseudonym or Role.REVIEWER in actor.roles


def _cleaned(name: str, text: str, redact: Callable[[str], str]) -> str:
    cleaned = redact(text)
    if len(text) > MAX_CODE_POINTS or len(cleaned) > MAX_CODE_POINTS:
        message = f"The {name} has {len(cleaned)} characters."
        raise UsageError("FEEDBACK_TOO_LONG", message, hint=f"Write at most {MAX_CODE_POINTS}.")
    return cleaned
