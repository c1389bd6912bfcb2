"""The guard policy of a release: which checks run where, what they do, and how they fail (serving.md 5.1).

Part `guard` of a release, with its keys `tools` and `egress` sealed as parts of their own. Rule: a check that protects
people (`pii_*`, `secrets`, `canary`, `citation`, tools, egress) fails closed. Fail mode: `closed` turns an exception or
timeout into a block, `open` into a finding `check_failed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.outward import LOCAL_NAMES


class Stage(StrEnum):
    """Where a check runs."""

    INPUT = "input"
    RETRIEVAL = "retrieval"
    OUTPUT = "output"
    TOOL = "tool"
    EGRESS = "egress"


class Action(StrEnum):
    """What a finding does, weakest first. QUARANTINE drops the chunk from this prompt (retrieval only)."""

    ALLOW = "allow"
    FLAG = "flag"
    REDACT = "redact"
    QUARANTINE = "quarantine"
    BLOCK = "block"


class FailMode(StrEnum):
    """What an exception or timeout of a check does."""

    OPEN = "open"
    CLOSED = "closed"


class StreamMode(StrEnum):
    """When streamed text leaves: per token, per checked sentence, or after every check."""

    TOKEN = "token"  # noqa: S105 - a mode of streaming, not a secret
    SENTENCE = "sentence"
    BUFFER = "buffer"


class Restore(StrEnum):
    """Whether the answer's tokens of the caller's own values are replaced for the caller (serving.md 5.4)."""

    OFF = "off"
    CALLER = "caller"


class CacheMode(StrEnum):
    """Whose equal question an answer may be given to again: nobody's, its asker's, anybody's who sees the same."""

    OFF = "off"
    PRIVATE = "private"
    SHARED = "shared"


class Effect(StrEnum):
    """Whether a tool changes something."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `threshold` has the check's own unit; `types` overrides the action per finding type."""

    id: str
    stage: Stage
    action: Action
    fail: FailMode
    threshold: float | None = None
    types: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRule:
    """One allowed tool call (serving.md 5.7). A changed description (by hash) disables it."""

    server: str
    tool: str
    arguments: Mapping[str, Json]
    roles: tuple[str, ...]
    effect: Effect
    timeout_s: float
    result_bytes: int
    description_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRule:
    """One host that may be reached for one purpose. `allow_private` are CIDR ranges that are not refused."""

    host: str
    port: int
    purpose: str
    allow_private: tuple[str, ...] = ()


def unlisted_model(
    egress: Iterable[EgressRule], host: str, port: int, *, what: str = "model"
) -> tuple[str, str] | None:
    """Return in words why a model may not be called at this place, and what to write; None where it may."""
    if host in LOCAL_NAMES or _model_rule(egress, host, port) is not None:
        return None
    why = f"The {what} stands at {host}:{port}, which egress does not list, so it is not called"
    return why, f"Write - {{host: {host}, port: {port}, purpose: models}} under egress in guard.yaml."


def model_networks(egress: Iterable[EgressRule], host: str, port: int) -> tuple[str, ...]:
    """Return the networks in which the model at this place may stand although they are not public."""
    rule = _model_rule(egress, host, port)
    return () if rule is None else rule.allow_private


def _model_rule(egress: Iterable[EgressRule], host: str, port: int) -> EgressRule | None:
    return next((one for one in egress if one.purpose == "models" and (one.host, one.port) == (host, port)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """All rules of one release, in the order they run."""

    version: int
    stream: StreamMode
    checks: tuple[Check, ...]
    tools: tuple[ToolRule, ...] = ()
    egress: tuple[EgressRule, ...] = ()
    restore: Restore = Restore.OFF
    cache: CacheMode = CacheMode.OFF
    allowed_urls: tuple[str, ...] = ()
