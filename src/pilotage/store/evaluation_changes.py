"""What stood under the releases of a workflow when its runs were asked for last.

Rule: the newest stated fact counts; one is added when something moved. Fail mode: None where nobody looked yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.core.ids import new_ulid
from pilotage.evaluation.changes import InForce
from pilotage.store.tables.gates import stated_fact

KIND: Final = "evaluation_in_force"

_LAST = text(
    "SELECT detail FROM stated_fact WHERE kind = :kind AND workflow = :workflow ORDER BY at DESC, id DESC LIMIT 1"
)


def last_in_force(connection: Connection, workflow: str) -> InForce | None:
    """Return what was seen of a workflow last."""
    found = connection.scalar(_LAST, {"kind": KIND, "workflow": workflow})
    return None if found is None else _read(found)


def state_in_force(connection: Connection, workflow: str, seen: InForce, *, by_person: str, at: datetime) -> None:
    """Note what is seen now."""
    detail = asdict(seen)
    detail["incidents"] = sorted(seen.incidents)
    detail |= {name: {key: sorted(found) for key, found in getattr(seen, name).items()} for name in _SETS}
    values = {"id": new_ulid(at), "kind": KIND, "workflow": workflow, "by_person": by_person, "at": at}
    connection.execute(stated_fact.insert().values(**values, detail=detail))


_SETS: Final = ("drifts",)


def _read(detail: Mapping[str, Any]) -> InForce:
    sets = {name: {key: frozenset(found) for key, found in detail[name].items()} for name in _SETS}
    return InForce(corpora=detail["corpora"], prices=detail["prices"], incidents=frozenset(detail["incidents"]), **sets)
