"""One deployment space, as `spaces/<name>.yaml` and its tier in `pilotage.yaml` declare it.

Units: memory in bytes, shares in [0, 1], times in seconds. Rule: production records every answer before it leaves
(`fail_closed`) and reads production documents; every other tier reads UAT documents unless its file says otherwise.
Fail mode: the workspace parser refuses what does not fit; nothing here is guessed at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.ids import SpaceName
from pilotage.core.units import Rate
from pilotage.corpus.settings import DataStage


class Tier(StrEnum):
    """Where a space stands on the way to production, in order. `sandbox` needs no gate beyond a valid seal."""

    SANDBOX = "sandbox"
    DEV = "dev"
    QA = "qa"
    STAGING = "staging"
    PRODUCTION = "production"


class DeploymentType(StrEnum):
    """`online` answers requests; `batch` is served by evaluation jobs."""

    ONLINE = "online"
    BATCH = "batch"


class RecordMode(StrEnum):
    """`async`: at most one flush window at risk. `fail_closed`: no answer without its record (serving.md 7)."""

    ASYNC = "async"
    FAIL_CLOSED = "fail_closed"


class AutoPromote(StrEnum):
    """`sealed`: a sandbox serves the newest sealed release of each workflow."""

    OFF = "off"
    SEALED = "sealed"


class Target(StrEnum):
    """What runs the space."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"
    WATSONX = "watsonx"


class LogLevel(StrEnum):
    """Least severe log line that is written; text of questions and answers is never logged at any level."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Authentication(StrEnum):
    """`oauth2`: an identity provider's bearer token only, local keys are refused. `any`: service keys too."""

    OAUTH2 = "oauth2"
    ANY = "any"


class Delegation(StrEnum):
    """Whether a service must bring the token of the person it acts for."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Request and limit of one instance. `gpu` is None for `none`."""

    vcpu: int
    memory_bytes: int
    gpu: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Replica floor and ceiling, and what the autoscaler aims at."""

    min_instances: int
    max_instances: int
    target_cpu: float | None = None
    target_latency_ms: int | None = None
    concurrency_per_instance: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Zones, failover and the probe period; three missed probes make an instance unhealthy."""

    multi_az: bool = False
    auto_failover: bool = False
    health_check_interval_s: float = 30.0
    partner: SpaceName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """Names of exporters and of alert channels; the list form of the file fills `destinations`.

    A name of `destinations` is an exporter first, then a channel (FEATURES.md 3.7).
    """

    log_level: LogLevel = LogLevel.INFO
    metrics_export: tuple[str, ...] = ()
    alerting: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The strictest refuses. `space` counts all callers together, `principal` one asker, `key` one service key."""

    space: Rate | None = None
    principal: Rate | None = None
    key: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """`allowed_ips` holds CIDR ranges in canonical form; None allows every address."""

    encryption_at_rest: bool = False
    encryption_in_transit: bool = False
    allowed_ips: tuple[str, ...] | None = None
    api_rate_limit: RateLimits = RateLimits()
    authentication: Authentication = Authentication.ANY
    delegation: Delegation = Delegation.OPTIONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days that redacted texts and interaction rows are kept (serving.md 7.5)."""

    text_days: int = 365
    row_days: int = 2557


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """One deployment space.

    `regions` are those its data, model and logs may stand in (default: its own). `soak_s` is how long a release must be
    healthy here before the next space. `differs_from` lists keys in which staging may differ from production. `hosts`
    are the names it is reached by, in lower case: load evidence about it must have gone there.
    """

    name: SpaceName
    tier: Tier
    deployment_type: DeploymentType = DeploymentType.ONLINE
    region: str | None = None
    regions: tuple[str, ...] = ()
    data_stage: DataStage
    hardware: Hardware
    scaling: Scaling
    availability: Availability = Availability()
    monitoring: Monitoring = Monitoring()
    security: Security = Security()
    compliance: tuple[str, ...] = ()
    record_mode: RecordMode
    auto_promote: AutoPromote = AutoPromote.OFF
    target: Target = Target.LOCAL
    soak_s: int
    rto_s: int | None = None
    rpo_s: int | None = None
    retention: Retention = Retention()
    differs_from: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def allowed_ips(self) -> tuple[str, ...] | None:
        """Return the CIDR ranges that may connect; None means every address."""
        return self.security.allowed_ips

    @property
    def api_rate_limit(self) -> RateLimits:
        """Return the limits of requests."""
        return self.security.api_rate_limit


def default_data_stage(tier: Tier) -> DataStage:
    """Return the documents a space of this tier reads unless its file says otherwise (corpus-and-ledger.md 2.5)."""
    return DataStage.PRODUCTION if tier is Tier.PRODUCTION else DataStage.UAT


def default_record_mode(tier: Tier) -> RecordMode:
    """Return `fail_closed` for production, else `async`."""
    return RecordMode.FAIL_CLOSED if tier is Tier.PRODUCTION else RecordMode.ASYNC


def default_soak_s(tier: Tier) -> int:
    """Return how long a release must be healthy here before the next space (gates.md 5.1), in seconds."""
    return {Tier.DEV: 3600, Tier.QA: 4 * 3600, Tier.STAGING: 24 * 3600}.get(tier, 0)
