"""A person's own questions of one workflow, newest first.

Rule: found by the person's pseudonym only. Fail mode: a database error; a text that was deleted is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_OWN = text("""
SELECT i.id, i.at, i.refused, i.outcome, t.question
FROM interaction i JOIN principal_pseudonym p ON p.pseudonym = i.principal
LEFT JOIN interaction_text t ON t.id = i.id
WHERE p.principal = :principal AND i.workflow = :workflow AND i.at > :since AND i.kind = 'user'
ORDER BY i.at DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQuestion:
    """One question asked before; `question` is redacted."""

    id: str
    at: datetime
    refused: bool
    outcome: str
    question: str | None


def own_questions(
    connection: Connection, principal: str, workflow: str, *, since: datetime, most: int = 10
) -> tuple[OwnQuestion, ...]:
    """Return what the person asked since then."""
    values = {"principal": principal, "workflow": workflow, "since": since, "most": most}
    return tuple(OwnQuestion(**row) for row in connection.execute(_OWN, values).mappings())
