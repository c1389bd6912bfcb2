"""What stands against more traffic in a space: its health, where its askers are, and drift (rollouts.md 1, 10).

Rule: `holding` reasons hold a rollout at its weight; `unseen` ones only keep it from going up, as nothing bad is known.
Fail mode: a space that nobody judged lately is unseen, and so is every space while nobody looks for hard events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.monitoring.held import Part
from pilotage.space.health import HealthState
from pilotage.store.drift import StoredDrift, is_unlooked, open_drift
from pilotage.store.hard_signs import Look, stale_looks
from pilotage.store.model_identity import Place, identities_of
from pilotage.store.routes import read_route
from pilotage.store.space_health import StoredHealth, list_health


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """Why traffic does not go up. `holding`: something is known to be wrong; `unseen`: nothing good is known.

    `doubtful`, a part of `unseen`: something wrong was seen once.
    """

    holding: tuple[Reason, ...] = ()
    unseen: tuple[Reason, ...] = ()
    doubtful: tuple[Reason, ...] = ()

    @property
    def known(self) -> tuple[Reason, ...]:
        """What was seen to be wrong, once or for certain: what a person's command for more traffic is refused for."""
        return (*self.holding, *self.doubtful)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Whose traffic would go up. `since`: when the rollout began that compares it with what is stable, None without."""

    workflow: str
    release: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Reasons while they are collected."""

    holding: list[Reason] = field(default_factory=list)
    unseen: list[Reason] = field(default_factory=list)
    doubtful: list[Reason] = field(default_factory=list)


def space_fitness(connection: Connection, names: Iterable[SpaceName], *, of: Candidate, now: datetime) -> Fitness:
    """Return what stands against more traffic of a release in these spaces."""
    judged = {one.space: one for one in list_health(connection)}
    found = _Found()
    # Where nothing was ever routed nobody reports; once the candidate is placed there, GO needs the space's health.
    routed = [name for name in dict.fromkeys(names) if read_route(connection, name, of.workflow).generation > 0]
    for name in dict.fromkeys(names):
        health = judged.get(name)
        if health is not None:
            found.holding.extend(_holding(health))
        found.holding.extend(_taken(one, name) for one in judged.values() if one.failover == name)
        _add_drift(found, connection, name, of=of, now=now)
        if name in routed:
            found.unseen.extend(_unseen(connection, name, health))
    if routed:
        found.unseen.extend(_stale(look) for look in stale_looks(connection))
    doubtful = tuple(found.doubtful)
    return Fitness(holding=tuple(found.holding), unseen=(*found.unseen, *doubtful), doubtful=doubtful)


def _add_drift(found: _Found, connection: Connection, space: str, *, of: Candidate, now: datetime) -> None:
    """Add the open drift of a workflow in a space; content seen in one report only may have been on its way."""
    for row in open_drift(connection, space=space):
        if row.workflow != of.workflow or not row.counts(now):
            continue
        if not row.stands_against(of.release):
            if _moves_the_stable(connection, row, of):
                found.holding.append(_incomparable(row))
            continue
        (found.holding if row.is_sure else found.doubtful).append(row.reason)


def _moves_the_stable(connection: Connection, row: StoredDrift, of: Candidate) -> bool:
    """Tell whether another model answers for what is stable than did when the comparison with it began.

    A change that somebody accepts is not among those the row observed.
    """
    if row.part is not Part.IDENTITY or of.since is None:
        return False
    space, workflow, release = SpaceName(row.space), WorkflowName(row.workflow), Digest(row.release)
    if read_route(connection, space, workflow).stable != release:
        return False
    known = identities_of(connection, Place(workflow=workflow, space=space, release=release))
    return any(change.at >= of.since and str(change.identity) in row.observed for change in known.changes)


def _incomparable(row: StoredDrift) -> Reason:
    text = (
        f"{row.observed} answers for the stable {row.release[:19]} in {row.space} since this rollout began; before it"
        f" was {row.approved}. The arms cannot be compared. Run `pilotage evaluate {row.release[:19]} --space"
        f" {row.space}` until that is GO, or abort the rollout and start it again."
    )
    return Reason(code=row.part.code, text=text, where=row.space, observed=row.observed, limit=row.approved)


def _unseen(connection: Connection, name: SpaceName, health: StoredHealth | None) -> list[Reason]:
    unseen: list[Reason] = []
    if health is None or not health.is_fresh or health.is_blind or health.state is HealthState.UNKNOWN:
        text = f"The health of {name} is not known: no process reported on it lately."
        unseen.append(Reason(code="SPACE_UNSEEN", text=text, where=name))
    if is_unlooked(connection, name):
        text = f"Nobody has compared for 180 s what processes hold in {name} with what was approved."
        unseen.append(Reason(code="DRIFT_UNKNOWN", text=text, where=name, limit="180 s"))
    return unseen


def _stale(look: Look) -> Reason:
    text = f"Nobody has looked through {look} for hard events for 180 s. See the runs of the workers."
    return Reason(code="HARD_EVENTS_UNSEEN", text=text, where=look, limit="180 s")


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
