"""Recorded user questions for a replay: chosen by a hash of their ids, never one that was erased (rollouts.md 9).

Rule: only questions of one space, that a release was routed to, whose asker is still known and asked alone: a service
that acted for somebody brought permissions that are not kept. Fail mode: a database error; a question that is gone when
its turn comes is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.ids import PrincipalId
from pilotage.rollout.pairing import Label
from pilotage.store.shadow_pairs import StoredPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One recorded question. `principal` is the pseudonym in its record, `asker` who stands behind it."""

    interaction: str
    principal: str
    asker: PrincipalId


_HASH: Final = "sha256(convert_to('pilotage-shadow-v1' || chr(10) || :salt || chr(10) || i.id, 'UTF8'))"
_CHOSEN: Final = text(
    "SELECT i.id AS interaction, i.principal, n.principal AS asker"  # noqa: S608 - fixed texts only
    " FROM interaction i JOIN interaction_text t ON t.id = i.id JOIN principal_pseudonym n ON n.pseudonym = i.principal"
    " WHERE i.space = :space AND i.workflow = :workflow AND i.kind = 'user' AND i.release IS NOT NULL"
    " AND i.at >= :since AND t.question <> '' AND length(t.salt) > 0 AND i.detail->>'acting_service' IS NULL"
    f" AND ((('x' || left(encode({_HASH}, 'hex'), 8))::bit(32)::bigint * 1000000) >> 32) < :ppm"
    " AND NOT EXISTS (SELECT FROM rollout_pair p JOIN rollout_shadow s USING (rollout, label)"
    "   WHERE p.interaction = i.id AND p.label = 'replay' AND p.state = 'scored' AND p.scorer = :scorer"
    "   AND s.release = :release AND s.stable = :stable)"
    f" ORDER BY {_HASH} LIMIT :most"
)
_QUESTION: Final = text("SELECT question FROM interaction_text WHERE id = :id AND length(salt) > 0 AND question <> ''")
_ASKER: Final = text(
    "SELECT n.principal FROM rollout_pair p JOIN principal_pseudonym n ON n.pseudonym = p.principal"
    " WHERE p.rollout = :rollout AND p.label = :label AND p.interaction = :interaction"
)
_OPEN: Final = text(
    "SELECT interaction FROM rollout_pair WHERE rollout = :rollout AND label = :label AND state = 'expected'"
    " ORDER BY interaction LIMIT :most"
)
_TRY: Final = text(
    "UPDATE rollout_pair SET tries = tries + 1 WHERE rollout = :rollout AND label = :label"
    " AND interaction = :interaction AND state = 'expected' RETURNING tries"
)


def recorded_questions(
    connection: Connection, phase: StoredPhase, *, salt: str, since: datetime, most: int
) -> tuple[Recorded, ...]:
    """Return the questions whose ids hash below the phase's sample, in the order of their hashes."""
    values = {
        "salt": salt,
        "space": phase.space,
        "workflow": phase.workflow,
        "since": since,
        "ppm": phase.sample_ppm,
        "scorer": phase.scorer,
        "release": phase.release,
        "stable": phase.stable,
        "most": most,
    }
    rows = connection.execute(_CHOSEN, values).mappings()
    return tuple(Recorded(**{**row, "asker": PrincipalId(row["asker"])}) for row in rows)


def question_of(connection: Connection, interaction: str) -> str | None:
    """Return the redacted question, None once it was erased."""
    found: str | None = connection.execute(_QUESTION, {"id": interaction}).scalar_one_or_none()
    return found


def asker_behind(connection: Connection, rollout: str, label: Label, interaction: str) -> PrincipalId | None:
    """Return who asked the question of a pair, None once that link was erased."""
    values = {"rollout": rollout, "label": label.value, "interaction": interaction}
    found: str | None = connection.execute(_ASKER, values).scalar_one_or_none()
    return None if found is None else PrincipalId(found)


def open_pairs(connection: Connection, rollout: str, label: Label, *, most: int) -> tuple[str, ...]:
    """Return interactions whose pair is still expected."""
    return tuple(connection.scalars(_OPEN, {"rollout": rollout, "label": label.value, "most": most}))


def try_pair(connection: Connection, rollout: str, label: Label, interaction: str) -> int | None:
    """Note that a pair is begun once more; return how often by now, None when it is settled."""
    values = {"rollout": rollout, "label": label.value, "interaction": interaction}
    found: int | None = connection.execute(_TRY, values).scalar_one_or_none()
    return found
