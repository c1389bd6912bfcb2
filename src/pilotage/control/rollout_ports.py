"""What rollouts need from other rooms: gates, observations, and what validation looks at. Each port has a fake.

Rule: an answer of a port is a value inside the caller's transaction, so what was checked is what is written. Fail mode:
a gate that cannot be evaluated does not hold; validation without probes is not verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from pilotage.analysis.counters import Counters
from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.rollout.validation import ProbeResult
from pilotage.store.rollouts import StoredRollout, StoredWave


class GateCheck(Protocol):
    """Evaluates the chain of gates of a space for a release, reading on `connection`."""

    def __call__(
        self, connection: Connection, instance: Instance, *, release: Digest, space: SpaceName, now: datetime
    ) -> tuple[Reason, ...]:
        """Return a reason for every gate that does not hold; nothing means all hold."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was counted for one space: the counters, the ledger range they cover, and what stands against using them.

    `is_readable` false: the sums are of a newer version, whose processes read them. `excused`: ids of windows left out.
    """

    counters: Counters
    ledger_from: int = 0
    ledger_to: int = 0
    blockers: tuple[Reason, ...] = ()
    cohort_share: float | None = None
    is_readable: bool = True
    excused: tuple[str, ...] = ()


class Observations(Protocol):
    """Counts what the records say about a wave of a rollout."""

    def __call__(
        self, connection: Connection, instance: Instance, rollout: StoredRollout, wave: StoredWave, now: datetime, /
    ) -> Observed:
        """Count what is new, write the sums on `connection`, and return the totals."""
        ...


class Prober(Protocol):
    """Tells how the critical questions to a release went in every live process since a row's generation."""

    def __call__(
        self, connection: Connection, *, space: str, workflow: str, generation: int, release: str | None
    ) -> tuple[ProbeResult, ...] | None:
        """Return one result per process that asked, or None when nobody could."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPorts:
    """The ports together. `owner` names this process start in leases."""

    gate: GateCheck
    observe: Observations
    probe: Prober
    owner: str = "control"
