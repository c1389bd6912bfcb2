"""What a plan can prove with the traffic there is, told before it starts (rollouts.md 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.reason import Reason
from pilotage.store.cohorts import requests_per_day
from pilotage.store.releases import StoredRelease
from pilotage.workspace.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The figures, and what stands against starting. `per_day` None: nobody knows the traffic."""

    per_day: float | None
    against: tuple[Reason, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the figures as the rollout keeps them."""
        return {"per_day": self.per_day, "against": [dict(reason.as_json()) for reason in self.against]}

    @property
    def digest(self) -> Digest:
        """Return the digest that the ledger holds."""
        return digest_of_json(self.as_json())


def foresee(
    connection: Connection,
    _instance: Instance,
    release: StoredRelease,
    plan: Plan,
    *,
    now: datetime,
    accepted: bool,
) -> Foresight:
    """Return what the plan's steps can prove in their spaces."""
    per_day = requests_per_day(connection, plan.waves[0].space, release.workflow, now=now)
    return Foresight(per_day=per_day)
