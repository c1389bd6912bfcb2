"""What stands against more traffic in a space: its health, where its askers are, and drift (rollouts.md 1, 10).

Rule: `holding` reasons hold a rollout at its weight; `unseen` ones only keep it from going up, as nothing bad is known.
Fail mode: a space that nobody judged lately is unseen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.monitoring.held import Part
from pilotage.space.health import HealthState
from pilotage.store.drift import is_unlooked, open_drift
from pilotage.store.routes import read_route
from pilotage.store.space_health import StoredHealth, list_health


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """Why traffic does not go up. `holding`: something is known to be wrong."""

    holding: tuple[Reason, ...] = ()
    unseen: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Whose traffic would go up."""

    workflow: str
    release: str


def drift_reasons(connection: Connection, space: str, *, of: Candidate, now: datetime) -> tuple[Reason, ...]:
    """Return the open drift of a workflow in a space.

    A newer engine stands only against releases that were approved under the older one, or nothing could ever follow.
    """
    return tuple(
        row.reason
        for row in open_drift(connection, space=space)
        if row.workflow == of.workflow
        and row.counts(now)
        and (row.part is not Part.ENGINE or row.release == of.release)
    )


def space_fitness(connection: Connection, names: Iterable[SpaceName], *, of: Candidate, now: datetime) -> Fitness:
    """Return what stands against more traffic of a release in these spaces."""
    found = {one.space: one for one in list_health(connection)}
    holding: list[Reason] = []
    unseen: list[Reason] = []
    for name in dict.fromkeys(names):
        health = found.get(name)
        # Where nothing was ever routed nobody reports; once the candidate is placed there, GO needs the space's health.
        is_routed = read_route(connection, name, of.workflow).generation > 0
        if is_routed and (health is None or not health.is_fresh or health.state is HealthState.UNKNOWN):
            text = f"The health of {name} is not known: no process reported on it lately."
            unseen.append(Reason(code="SPACE_UNSEEN", text=text, where=name))
        if health is not None:
            holding += _holding(health)
        holding += [_taken(one, name) for one in found.values() if one.failover == name]
        holding += drift_reasons(connection, name, of=of, now=now)
        if is_routed and is_unlooked(connection, name):
            text = f"Nobody has compared for 180 s what processes hold in {name} with what was approved."
            unseen.append(Reason(code="DRIFT_UNKNOWN", text=text, where=name, limit="180 s"))
    return Fitness(holding=tuple(holding), unseen=tuple(unseen))


def _holding(health: StoredHealth) -> list[Reason]:
    if health.state is HealthState.UNHEALTHY:
        why = " ".join(reason.text for reason in health.reasons[:2])
        return [Reason(code="SPACE_UNHEALTHY", text=f"{health.space} is unhealthy. {why}".strip(), where=health.space)]
    if health.failover is not None:
        text = f"The askers of {health.space} are with {health.failover} until they are brought back."
        return [Reason(code="FAILED_OVER", text=text, where=health.space)]
    return []


def _taken(other: StoredHealth, name: SpaceName) -> Reason:
    text = f"{name} answers for the askers of {other.space}."
    return Reason(code="FAILED_OVER", text=text, where=name)
