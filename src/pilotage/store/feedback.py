"""Ratings of answers: all are kept, the asker's last one counts.

Fail mode: a database error; a rating without its ledger entry does not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_ADD = text("""
INSERT INTO feedback (id, interaction, principal, rating, comment, correction, at)
VALUES (:id, :interaction, :principal, :rating, :comment, :correction, :at)
""")
_OF = text("""
SELECT id, interaction, principal, rating, comment, correction, at FROM feedback
WHERE interaction = :interaction ORDER BY at, id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFeedback:
    """One rating. `principal` is a pseudonym; texts are cleaned and redacted."""

    id: str
    interaction: str
    principal: str
    rating: str
    comment: str | None
    correction: str | None
    at: datetime


def add_feedback(connection: Connection, feedback: StoredFeedback) -> None:
    """Store one rating inside the caller's transaction."""
    values = {name: getattr(feedback, name) for name in StoredFeedback.__slots__}
    connection.execute(_ADD, values)


def feedback_of(connection: Connection, interaction: str) -> Sequence[StoredFeedback]:
    """Return every rating of an interaction, oldest first."""
    rows = connection.execute(_OF, {"interaction": interaction}).mappings()
    return [StoredFeedback(**row) for row in rows]
