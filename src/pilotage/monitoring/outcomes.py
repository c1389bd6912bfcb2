"""How requests count in rates: classes of outcomes and what is left out (operations.md 1.1).

Rule: every outcome has one class; `eligible` requests are those that people may hold the service to. Fail mode: an
outcome this version does not know raises, so that nobody counts it as good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SLOW_US: Final = 5_000_000
"""An asker who leaves later than this was kept waiting: the request has failed."""


class OutcomeClass(StrEnum):
    """What a request counts as; `cancelled` and `rejected` are left out of every rate."""

    ANSWERED = "answered"
    REFUSED = "refused"
    BLOCKED = "blocked"
    FAILED = "failed"
    SHED = "shed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


ELIGIBLE: Final = frozenset(OutcomeClass) - {OutcomeClass.CANCELLED, OutcomeClass.REJECTED}
PEOPLE: Final = frozenset({"user", "failover"})
"""Kinds of traffic that are real people."""

_CLASSES: Final = {
    "ok": OutcomeClass.ANSWERED,
    "refused": OutcomeClass.REFUSED,
    "policy_blocked": OutcomeClass.BLOCKED,
    "timeout": OutcomeClass.FAILED,
    "stream_aborted": OutcomeClass.FAILED,
    "slow_client": OutcomeClass.CANCELLED,
    "lost": OutcomeClass.FAILED,
    "shed": OutcomeClass.SHED,
    "rejected": OutcomeClass.REJECTED,
}


def class_of(outcome: str, *, was_slow: bool) -> OutcomeClass:
    """Return the class of a recorded outcome; `was_slow`: it took `SLOW_US` or longer."""
    if outcome.startswith("error."):
        return OutcomeClass.FAILED
    if outcome == "client_gone":
        return OutcomeClass.FAILED if was_slow else OutcomeClass.CANCELLED
    return _CLASSES[outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests of real people by what they count as."""

    eligible: int = 0
    answered: int = 0
    left_out: int = 0


def traffic_of(counts: Iterable[tuple[str, bool, int]]) -> Traffic:
    """Return the sums of (outcome, was it slow, requests)."""
    by_class = dict.fromkeys(OutcomeClass, 0)
    for outcome, was_slow, requests in counts:
        by_class[class_of(outcome, was_slow=was_slow)] += requests
    eligible = sum(by_class[one] for one in ELIGIBLE)
    return Traffic(
        eligible=eligible, answered=by_class[OutcomeClass.ANSWERED], left_out=sum(by_class.values()) - eligible
    )
