"""Phases of shadow and replay with their pairs, as control writes and counts them.

Rule: pairs of the same release against the same stable, in one space and under one scorer, count together over every
attempt (rollouts.md 6.6); a pair that is expected and never came is lost. Fail mode: a database error; nothing is
counted twice, because a pair is one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pilotage.analysis.counters import PairCounters
from pilotage.analysis.verdict import Judgement
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.rollout.pairing import Label
from pilotage.store.tables.shadow import rollout_pair, rollout_shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPhase:
    """One phase of a rollout. `cap_nano` None: no limit of cost. `cursor`: the last ledger number looked at."""

    rollout: str
    label: Label
    workflow: WorkflowName
    space: SpaceName
    release: Digest
    stable: Digest
    scorer: str
    sample_ppm: int
    cap_nano: int | None
    started_at: datetime
    cursor: int
    listed_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Judgement | None = None
    verdict: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A sampled request whose pair counts."""

    interaction: str
    principal: str
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTally:
    """What the pairs of a phase say now. `waiting` may still come; `skipped` were over the day's cost."""

    counters: PairCounters
    waiting: int = 0
    skipped: int = 0


def add_phase(connection: Connection, phase: StoredPhase) -> None:
    """Begin a phase."""
    connection.execute(insert(rollout_shadow).values(_values(phase)))


def save_phase(connection: Connection, phase: StoredPhase) -> None:
    """Write a phase's row; its rollout's row is locked by the caller."""
    key = (rollout_shadow.c.rollout == phase.rollout) & (rollout_shadow.c.label == phase.label.value)
    connection.execute(update(rollout_shadow).where(key).values(_values(phase)))


def stored_phases(connection: Connection, rollout: str) -> tuple[StoredPhase, ...]:
    """Return the phases of a rollout that began, in order."""
    query = select(rollout_shadow).where(rollout_shadow.c.rollout == rollout)
    rows = connection.execute(query.order_by(rollout_shadow.c.started_at, rollout_shadow.c.label)).mappings()
    return tuple(_phase(row) for row in rows)


def expect_pairs(
    connection: Connection, phase: StoredPhase, wanted: Sequence[Expected], *, due: datetime | None
) -> None:
    """Count these pairs: those that came keep their result, the others are lost when `due` has passed."""
    if not wanted:
        return
    rows = [
        {
            "rollout": phase.rollout,
            "label": phase.label.value,
            "interaction": one.interaction,
            "principal": one.principal,
            "day": one.day,
            "is_counted": True,
            "due_at": due,
            "state": "expected",
            "scorer": phase.scorer,
        }
        for one in wanted
    ]
    statement = upsert(rollout_pair)
    keep = {"is_counted": True, "due_at": statement.excluded.due_at}
    key = ["rollout", "label", "interaction"]
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=keep), rows)


_KEY: Final = "s.release = :release AND s.space = :space AND s.stable = :stable AND s.label = :label"
_TODAY: Final = text(
    "SELECT p.principal, p.day, count(*) FROM rollout_pair p JOIN rollout_shadow s USING (rollout, label)"  # noqa: S608
    f" WHERE {_KEY} AND p.is_counted AND p.principal = ANY(:principals) GROUP BY p.principal, p.day"
)
_COUNT: Final = text(
    "SELECT count(*) FILTER (WHERE p.result = 'worse') AS worse,"  # noqa: S608
    " count(*) FILTER (WHERE p.result = 'better') AS better, count(*) FILTER (WHERE p.result = 'tie') AS ties,"
    " count(*) FILTER (WHERE p.state = 'lost' OR (p.state = 'expected' AND p.due_at <= :now)) AS lost,"
    " count(*) FILTER (WHERE p.state = 'expected' AND (p.due_at IS NULL OR p.due_at > :now)"
    "   AND p.rollout = :rollout) AS waiting,"
    " count(*) FILTER (WHERE p.state = 'skipped' AND p.rollout = :rollout) AS skipped,"
    " count(p.is_swapped) AS swapped_checked, count(*) FILTER (WHERE p.is_swapped) AS swapped_changed"
    f" FROM rollout_pair p JOIN rollout_shadow s USING (rollout, label)"
    f" WHERE {_KEY} AND p.is_counted AND p.scorer = :scorer"
)
_RESULTS: Final = text(
    "SELECT interaction, coalesce(result, state) AS result FROM rollout_pair"
    " WHERE rollout = :rollout AND label = :label AND is_counted AND scorer = :scorer ORDER BY interaction"
)
_COST: Final = text(
    "SELECT coalesce(sum(cost_nano), 0)::bigint FROM rollout_shadow_cost WHERE rollout = :rollout AND label = :label"
)
_ERASE: Final = text("DELETE FROM rollout_pair_text WHERE at < :before")


def counted_by_day(connection: Connection, phase: StoredPhase, principals: Iterable[str]) -> Counter[tuple[str, date]]:
    """Return how many pairs of each principal and day count already."""
    values = {**_key(phase), "principals": list(principals)}
    return Counter({(row[0], row[1]): int(row[2]) for row in connection.execute(_TODAY, values)})


def count_pairs(connection: Connection, phase: StoredPhase, now: datetime) -> PairTally:
    """Return what the pairs of the phase, and of earlier attempts with the same releases, say now."""
    values = {**_key(phase), "now": now, "rollout": phase.rollout, "scorer": phase.scorer}
    row = dict(connection.execute(_COUNT, values).mappings().one())
    waiting, skipped = row.pop("waiting"), row.pop("skipped")
    return PairTally(counters=PairCounters(**row), waiting=waiting, skipped=skipped)


def results_of(connection: Connection, phase: StoredPhase) -> dict[str, str]:
    """Return each counted pair's result, or its state without one, by interaction."""
    values = {"rollout": phase.rollout, "label": phase.label.value, "scorer": phase.scorer}
    return {row.interaction: row.result for row in connection.execute(_RESULTS, values)}


def cost_of(connection: Connection, phase: StoredPhase) -> int:
    """Return what the candidate's answers of a phase have cost, in nano-units."""
    found: int = connection.execute(_COST, {"rollout": phase.rollout, "label": phase.label.value}).scalar_one()
    return found


def erase_texts(connection: Connection, *, before: datetime) -> int:
    """Erase the texts of pairs of before a moment; return how many pairs lost theirs."""
    return connection.execute(_ERASE, {"before": before}).rowcount


def _key(phase: StoredPhase) -> dict[str, Any]:
    return {
        "release": phase.release,
        "space": phase.space,
        "stable": phase.stable,
        "label": phase.label.value,
    }


def _values(phase: StoredPhase) -> dict[str, Any]:
    values = {name: getattr(phase, name) for name in StoredPhase.__dataclass_fields__}
    outcome = None if phase.outcome is None else phase.outcome.value
    return {**values, "label": phase.label.value, "outcome": outcome}


def _phase(row: RowMapping) -> StoredPhase:
    outcome = None if row["outcome"] is None else Judgement(row["outcome"])
    return StoredPhase(**{**row, "label": Label(row["label"]), "outcome": outcome})
