"""Who answered the drill traffic of a space, from the records. Fail mode: a database error; no record is no answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillAnswers:
    """Answers by the partner, and by anybody else."""

    right: int
    wrong: int


_ANSWERS = text(
    "SELECT count(*) FILTER (WHERE i.space = :partner AND i.detail->>'failover_from' = :home) AS right,"
    " count(*) FILTER (WHERE i.space = :home OR (i.detail->>'failover_from' = :home AND i.space <> :partner)) AS wrong"
    " FROM interaction i WHERE i.workflow = :workflow AND i.kind = 'drill' AND i.outcome IN ('ok', 'refused')"
    " AND i.at >= :since"
)


def drill_answers(connection: Connection, workflow: str, *, home: str, partner: str, since: datetime) -> DrillAnswers:
    """Return the answers to drill traffic that asked `home` since a moment."""
    values = {"workflow": workflow, "home": home, "partner": partner, "since": since}
    row = connection.execute(_ANSWERS, values).one()
    return DrillAnswers(right=int(row.right), wrong=int(row.wrong))
