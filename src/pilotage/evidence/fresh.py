"""How long evidence counts (gates.md 2.1, 2.3): windows by kind, and the age of an item.

Rule: age runs from the earlier of the time in the file and the time of arrival, so a wrong clock only ages evidence.
Fail mode: a kind without a window is never fresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from pilotage.core.clock import to_text
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, SubjectKind

FUTURE_TOLERANCE = timedelta(minutes=5)

_DAYS: Mapping[str, int] = MappingProxyType(
    {
        "tests": 14,
        "coverage": 14,
        "scan": 14,
        "quality": 14,
        "sbom": 30,
        "licences": 30,
        "vex": 30,
        "review": 90,
        "evaluation": 10,
        "permissions": 10,
        "redteam": 10,
        "fairness": 30,
        "load": 30,
        "failover": 90,
        "recovery": 90,
        "drill": 90,
        "accessibility": 30,
        "pentest": 365,
        "document": 180,
        "document.pia": 365,
        "lineage": 14,
        "classification": 14,
        "data_quality": 14,
        "uat": 30,
        "training": 365,
    }
)

_PRODUCTION_DRILL_DAYS = 90
_STAGING_DRILL_DAYS = 30


def window_of(kind: str, *, in_production: bool = False) -> timedelta:
    """Return how long evidence of this kind counts; a rollback drill lasts longer in production (rollouts.md 10)."""
    if kind == "drill.rollback":
        return timedelta(days=_PRODUCTION_DRILL_DAYS if in_production else _STAGING_DRILL_DAYS)
    days = _DAYS.get(kind, _DAYS.get(kind.partition(".")[0], 0))
    return timedelta(days=days)


def age_of(item: Evidence, now: datetime) -> timedelta:
    """Return the age of an item, from the earlier of its two times."""
    return now - min(item.produced_at, item.received_at)


def time_problem(
    subject: SubjectKind, *, stated: datetime | None, received_at: datetime, sealed_at: datetime | None
) -> Reason | None:
    """Return why a time in a file cannot be: before the seal of what it is about, or in the future."""
    if stated is None:
        return None
    if stated > received_at + FUTURE_TOLERANCE:
        text = f"The file says it was made at {stated:%Y-%m-%dT%H:%MZ}, which is still to come. Check the clock there."
        return Reason(code="EV_FUTURE", text=text, observed=to_text(stated), limit=to_text(received_at))
    is_bound = subject in {SubjectKind.RELEASE, SubjectKind.SPACE}
    if is_bound and sealed_at is not None and stated < sealed_at:
        text = (
            f"The file was made at {stated:%Y-%m-%dT%H:%MZ}, before the release was sealed; "
            "run it again on the sealed release."
        )
        return Reason(code="EV_BEFORE_SEAL", text=text, observed=to_text(stated), limit=to_text(sealed_at))
    return None
