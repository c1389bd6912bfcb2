"""Requests as the gateway would have recorded them: interaction rows with their ledger entries, in order.

For tests and the demo's third act: what is written goes through the tables, the ledger and the counting that real
traffic goes through. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.canonical import Json
from pilotage.core.clock import from_text, to_text
from pilotage.core.ids import new_ulid
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.rollout.assignment import Arm, Cohort, Split, assign
from pilotage.rollout.pairing import sample_bucket
from pilotage.store.ledger_entries import append_many
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.routes import Route, read_route
from pilotage.testing.rollouts import WORKFLOW, RolloutWorld, uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong in an arm, as shares of its requests."""

    error: float = 0.0
    ungrounded: float = 0.0
    policy: float = 0.0
    slow: float = 0.0
    lost_record: float = 0.0


@dataclass(slots=True, kw_only=True)
class RecordedTraffic:
    """Askers of one space who come back. `faults` by arm; the same seed asks the same questions of the same people."""

    world: RolloutWorld
    space: str
    principals: int = 400
    faults: Mapping[Arm, Faults] = field(default_factory=dict)
    seed: int = 7
    asked: int = 0
    admitted: int = 0

    def ask(self, requests: int, *, is_numbered: bool = True) -> None:
        """Let so many requests be routed, answered and recorded now; `is_numbered` false: the ledger numbers later."""
        with self.world.engine.begin() as connection:
            route = read_route(connection, self.space, WORKFLOW)
            rows, texts, entries = [], [], []
            for _ in range(requests):
                self.asked += 1
                row = self._row(route, self.asked)
                if row is None:
                    continue
                rows.append(row)
                texts.append(_text(row))
                entries.append(_entry(row))
            if rows:
                _put(connection, "interaction", rows)
                _put(connection, "interaction_text", texts)
                append_many(connection, entries)
            self._admit(connection, route)
        if is_numbered:
            number_all(self.world.engine)

    def _row(self, route: Route, index: int) -> dict[str, Any] | None:
        person = int(uniform(self.seed, "principal", index) * self.principals)
        principal = f"local|p{person:06d}"
        split = Split(
            salt=route.salt,
            fraction_ppm=route.fraction_ppm,
            cohort=Cohort(everybody=route.cohort.get("all") is True, groups=frozenset(route.cohort.get("groups", ()))),
        )
        arm = assign(split, principal=principal, groups=frozenset({"pilot-users"}))
        self.admitted += arm is Arm.CANDIDATE
        faults = self.faults.get(arm, Faults())
        if self._happens("fault.lost_record", index, faults.lost_record):
            return None
        outcome, detail = self._outcome(index, faults)
        now = self.world.clock.now()
        name = new_ulid(now + timedelta(microseconds=index))
        if arm is Arm.STABLE and route.shadow_ppm and sample_bucket(route.salt, name) < route.shadow_ppm:
            detail["shadowed_for"] = route.rollout
        return {
            "id": name,
            "at": to_text(now),
            "space": self.space,
            "workflow": WORKFLOW,
            "arm": arm.value,
            "release": route.candidate if arm is Arm.CANDIDATE else route.stable,
            "principal": f"p_{person:026d}",
            "kind": "user",
            "state": "final",
            "outcome": outcome,
            "refused": False,
            "detail": {**detail, "generation": route.generation},
        }

    def _happens(self, purpose: str, index: int, share: float) -> bool:
        return share > 0 and uniform(self.seed, purpose, index) < share

    def _outcome(self, index: int, faults: Faults) -> tuple[str, dict[str, Json]]:
        if self._happens("fault.error", index, faults.error):
            return "error.upstream", {"t_total": 100_000}
        if self._happens("fault.policy", index, faults.policy):
            return "policy_blocked", {"t_total": 300_000, "refusal": "guard"}
        usual = int(300_000 * (1 + 2 * uniform(self.seed, "latency", index) ** 4))
        micros = 9_000_000 if self._happens("fault.slow", index, faults.slow) else usual
        detail: dict[str, Json] = {"t_total": micros, "checks": {"grounding": "0.9000"}, "findings": []}
        if self._happens("fault.ungrounded", index, faults.ungrounded):
            detail["checks"] = {"grounding": "0.1000"}
            detail["findings"] = [{"check": "grounding", "type": "UNGROUNDED", "count": 1, "action": "flag"}]
        return "ok", detail

    def _admit(self, connection: Connection, route: Route) -> None:
        if route.candidate is not None:
            values = {"space": self.space, "workflow": WORKFLOW, "release": route.candidate, "count": self.admitted}
            connection.execute(_ADMIT, values)


_ADMIT = text(
    "INSERT INTO route_admission (process, space, workflow, release, admitted, last_at)"
    " VALUES ('gateway-1', :space, :workflow, :release, :count, clock_timestamp())"
    " ON CONFLICT (process, space, workflow, release) DO UPDATE SET admitted = :count,"
    " last_at = CASE WHEN :count > route_admission.admitted THEN clock_timestamp() ELSE route_admission.last_at END"
)


def _text(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "question": "",
        "answer": "",
        "groups": ["pilot-users"],
        "salt": f"\\x{bytes(64).hex()}",
        "at": row["at"],
    }


def _put(connection: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows by one statement: a statement each is most of what a simulated day costs."""
    names = ", ".join(rows[0])
    query = f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, :rows)"  # noqa: S608 - our own names
    connection.execute(text(query).bindparams(bindparam("rows", type_=JSONB)), {"rows": rows})


def _entry(row: Mapping[str, Any]) -> EncodedEntry:
    at = from_text(row["at"])
    return encode_entry(
        id=new_ulid(at),
        kind=EntryKind.INTERACTION_RECORDED,
        at=at,
        actor="system:gateway",
        subject=row["id"],
        space=row["space"],
        data={"outcome": row["outcome"], "arm": row["arm"], "release": row["release"]},
    )
