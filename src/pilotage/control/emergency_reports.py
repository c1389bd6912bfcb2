"""`pilotage gate emergencies`: the emergency changes, and how often releases reach production by one (gates.md 4.8).

Rule: the rate is releases brought into production by an emergency over all brought there in 90 days; above 10 % it
alerts. Fail mode: without any release in that time there is no rate, and no alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.gate.emergency import RATE_LIMIT, RATE_WINDOW, Emergency
from pilotage.rollout.transitions import Notify
from pilotage.store.emergencies import brought_since, emergencies_in


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyRate:
    """How many releases came into production in 90 days, and how many of them by an emergency."""

    emergencies: int
    changes: int

    @property
    def share(self) -> float | None:
        """Return the share in [0, 1]; None when nothing came."""
        return self.emergencies / self.changes if self.changes else None

    @property
    def is_alert(self) -> bool:
        """Tell whether emergencies are too many to be exceptions."""
        return self.share is not None and self.share > RATE_LIMIT

    @property
    def text(self) -> str:
        """Return the figure with its numbers and its limit."""
        if self.share is None:
            return "No release came into production in 90 days."
        counted = f"{self.emergencies} of {self.changes} releases in 90 days"
        return f"{self.share:.1%} of changes were emergencies ({counted}; limit {RATE_LIMIT:.0%})."

    def as_json(self) -> dict[str, Json]:
        """Return the figure for reports."""
        return {
            "emergencies": self.emergencies,
            "changes": self.changes,
            "share": self.share,
            "limit": RATE_LIMIT,
            "alert": self.is_alert,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyReport:
    """All emergencies, newest first, as they stand at `at`, and their rate."""

    at: datetime
    emergencies: tuple[Emergency, ...]
    rate: EmergencyRate

    def as_json(self) -> dict[str, Json]:
        """Return the documented result of `pilotage gate emergencies`."""
        listed: list[Json] = [one.as_json(self.at) for one in self.emergencies]
        return {"emergencies": listed, "rate": self.rate.as_json()}


def emergency_report(instance: Instance, *, workflow: str | None = None) -> EmergencyReport:
    """Return the emergencies of a workflow, or of all, and the rate over all."""
    now = instance.clock.now()
    with instance.engine.connect() as connection:
        found = emergencies_in(connection, workflow)
        rate = emergency_rate(connection, instance, now)
    return EmergencyReport(at=now, emergencies=tuple(reversed(found)), rate=rate)


def emergency_rate(connection: Connection, instance: Instance, now: datetime) -> EmergencyRate:
    """Return the rate over the 90 days before `now`."""
    emergencies, changes = brought_since(connection, instance.workspace.production_spaces, now - RATE_WINDOW)
    return EmergencyRate(emergencies=emergencies, changes=changes)


def alert_above_limit(connection: Connection, instance: Instance, now: datetime) -> bool:
    """Tell owner and stakeholders when emergencies are more than 10 % of all changes, in the caller's transaction."""
    rate = emergency_rate(connection, instance, now)
    if not rate.is_alert:
        return False
    notice = Notice(title="Emergency changes above their limit", text=rate.text, facts=rate.as_json())
    send(connection, instance, (Notify.OWNER, Notify.STAKEHOLDERS), notice, at=now)
    return True
