"""The outcome of one request, exactly one each (rollouts.md 5.1), and who caused the traffic (5.2).

Rule: outcomes describe what the asker got; the release's statistics read nothing else. Fail mode: an unexpected end is
an error of the server, never "ok".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action
from pilotage.serving.refusal import STATUS, Code


class RequestOutcome(StrEnum):
    """`rejected` is a caller's mistake before routing: recorded, but no observation of any release."""

    OK = "ok"
    REFUSED = "refused"
    ERROR_SERVER = "error.server"
    ERROR_UPSTREAM = "error.upstream"
    ERROR_GUARD = "error.guard"
    ERROR_RECORD = "error.record"
    TIMEOUT = "timeout"
    STREAM_ABORTED = "stream_aborted"
    LOST = "lost"
    POLICY_BLOCKED = "policy_blocked"
    CLIENT_GONE = "client_gone"
    SLOW_CLIENT = "slow_client"
    SHED = "shed"
    REJECTED = "rejected"


class TrafficKind(StrEnum):
    """Given by the authenticated key and the router, never by a header or body. Only `user` counts for a release."""

    USER = "user"
    SYNTHETIC = "synthetic"
    PROBE = "probe"
    REPLAY = "replay"
    SHADOW = "shadow"
    DRILL = "drill"
    LOAD_TEST = "load_test"
    FAILOVER = "failover"


class State(StrEnum):
    """`open` until the final record; the reconciler closes what a crash left open as `delivery_unknown`."""

    OPEN = "open"
    FINAL = "final"
    DELIVERY_UNKNOWN = "delivery_unknown"


_SPECIAL = {
    Code.UPSTREAM_FAILED: RequestOutcome.ERROR_UPSTREAM,
    Code.UPSTREAM_TIMEOUT: RequestOutcome.TIMEOUT,
    Code.DEADLINE_EXCEEDED: RequestOutcome.TIMEOUT,
    Code.RECORDER_SATURATED: RequestOutcome.ERROR_RECORD,
    Code.STORE_UNAVAILABLE: RequestOutcome.ERROR_RECORD,
    Code.INTERNAL: RequestOutcome.ERROR_SERVER,
    Code.MODEL_UNPRICED: RequestOutcome.ERROR_SERVER,
    Code.PERMISSION_CHANGED: RequestOutcome.REFUSED,
    Code.RESIDENCY_MISMATCH: RequestOutcome.REFUSED,
}


def outcome_of(code: Code, *, routed: bool, started: bool = False) -> RequestOutcome:
    """Return the outcome of a request that ended with `code`; `started` when answer text had already left."""
    if started:
        return RequestOutcome.STREAM_ABORTED
    special = _SPECIAL.get(code)
    if special is not None and (routed or special is not RequestOutcome.REFUSED):
        return special
    if not routed or STATUS[code] < 429:
        return RequestOutcome.REJECTED
    return RequestOutcome.SHED


CHECK_FAILED = "check_failed"
"""The type of a finding that says that a check itself broke."""

_BLOCKED = frozenset({"guard", "grounding", "citation"})


def outcome_of_content(refusal: str | None, findings: Iterable[Finding]) -> RequestOutcome:
    """Return the outcome of an answer; a guard that broke is our error, not the policy at work."""
    if refusal is None:
        return RequestOutcome.OK
    if refusal not in _BLOCKED:
        return RequestOutcome.REFUSED
    is_broken = any(one.type == CHECK_FAILED and one.action is Action.BLOCK for one in findings)
    return RequestOutcome.ERROR_GUARD if is_broken else RequestOutcome.POLICY_BLOCKED
