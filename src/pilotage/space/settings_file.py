"""Reads `spaces/<name>.yaml`. The mission's own blocks (dev, staging, production) are valid exactly as printed.

Rule: units as written there (`8GB`, `70%`, `30s`, `10000/hour`, `gpu: none`), `monitoring` as a list or an object.
Fail mode: every mistake at once; production without `allowed_ips` is a warning.
"""

from __future__ import annotations

import re

from pilotage.core.fields import BOOLEAN, TEXT, Fields, Reader, choice, integer, list_of, matching, record, reference
from pilotage.core.ids import SpaceName
from pilotage.core.located import Located, Problems
from pilotage.core.readers import (
    BYTES,
    DAYS,
    FRACTIONAL_SECONDS,
    NETWORK,
    PERCENT,
    RATE,
    SECONDS,
    SLUG_TEXT,
)
from pilotage.corpus.settings import DataStage
from pilotage.space.settings import (
    Authentication,
    AutoPromote,
    Availability,
    Delegation,
    DeploymentType,
    Hardware,
    LogLevel,
    Monitoring,
    RateLimits,
    RecordMode,
    Retention,
    Scaling,
    Security,
    Space,
    Target,
    Tier,
    default_data_stage,
    default_record_mode,
    default_soak_s,
)

_DEFAULT_MEMORY = 2_000_000_000
_NAMES = list_of(SLUG_TEXT, or_one=True)
_HOST = matching(
    re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"), "a host name in lower case, without port or path"
)


def parse_space(fields: Fields, *, tier: Tier) -> Space:
    """Read one space; its tier stands in `pilotage.yaml`."""
    region = fields.get("region", TEXT, None)
    security = fields.get("security", record(_security), Security())
    space = Space(
        name=SpaceName(fields.need("deployment_space", SLUG_TEXT)),
        tier=tier,
        deployment_type=fields.get("deployment_type", choice(DeploymentType), DeploymentType.ONLINE),
        region=region,
        regions=fields.get("regions", list_of(TEXT, or_one=True), (region,) if region else ()),
        data_stage=fields.get("data_stage", choice(DataStage), default_data_stage(tier)),
        hardware=fields.get("hardware", record(_hardware), Hardware(vcpu=1, memory_bytes=_DEFAULT_MEMORY)),
        scaling=fields.get("scaling", record(_scaling), Scaling(min_instances=1, max_instances=1)),
        availability=fields.get("high_availability", record(_availability), Availability()),
        monitoring=fields.get("monitoring", _MONITORING, Monitoring()),
        security=security,
        compliance=fields.get("compliance", list_of(TEXT, or_one=True), ()),
        record_mode=fields.get("record", choice(RecordMode), default_record_mode(tier)),
        auto_promote=fields.get("auto_promote", choice(AutoPromote), AutoPromote.OFF),
        target=fields.get("target", choice(Target), Target.LOCAL),
        soak_s=fields.get("soak", SECONDS, default_soak_s(tier)),
        rto_s=fields.get("rto", SECONDS, None),
        rpo_s=fields.get("rpo", SECONDS, None),
        retention=fields.get("retention", record(_retention), Retention()),
        differs_from=fields.get("differs_from", list_of(TEXT, or_one=True), ()),
        hosts=fields.get("hosts", list_of(_HOST, or_one=True), ()),
    )
    _check(space, fields)
    return space


def _check(space: Space, fields: Fields) -> None:
    if space.auto_promote is AutoPromote.SEALED and space.tier is not Tier.SANDBOX:
        what = f"auto_promote: sealed in a space of tier {space.tier}"
        fields.problem("auto_promote", what, "Only a sandbox may serve releases without gates; remove the key.")
    if space.tier is Tier.SANDBOX and space.data_stage is DataStage.PRODUCTION:
        hint = "Use UAT documents, or make sure that only people who may read them use this space."
        fields.problems.warn(fields.place("data_stage"), "A sandbox reads production documents without gates", hint)
    if space.availability.multi_az and space.scaling.min_instances < 2:
        what = f"multi_az needs two instances, and scaling.min_instances is {space.scaling.min_instances}"
        fields.problem("high_availability", what, "Write scaling.min_instances: 2 or more, or multi_az: false.")
    if space.region is not None and space.region not in space.regions:
        fields.problem("regions", f"The space's own region {space.region!r} is not in its regions", "Add it.")
    if space.tier is Tier.PRODUCTION:
        _warn_production(space, fields)


def _warn_production(space: Space, fields: Fields) -> None:
    if space.allowed_ips is None:
        what = f"The production space {space.name!r} has no security.allowed_ips: every address may connect"
        fields.problems.warn(fields.place("security"), what, "Write the ranges that may connect.")
    if space.record_mode is not RecordMode.FAIL_CLOSED:
        what = f"The production space {space.name!r} records answers after sending them"
        fields.problems.warn(fields.place("record"), what, "Remove the key: production defaults to fail_closed.")
    if space.region is None:
        what = f"The production space {space.name!r} has no region, so residency cannot be checked"
        fields.problems.warn(fields.at, what, "Write region: us-east-1 or the like.")


def _gpu(at: Located, problems: Problems) -> str | None:
    text = TEXT.read(at, problems)
    return None if text == "none" else text


_GPU: Reader[str | None] = Reader(read=_gpu, stand_in=lambda: None)


def _hardware(fields: Fields) -> Hardware:
    return Hardware(
        vcpu=fields.need("vcpu", integer(1, 1024)),
        memory_bytes=fields.need("memory", BYTES),
        gpu=fields.get("gpu", _GPU, None),
    )


def _scaling(fields: Fields) -> Scaling:
    scaling = Scaling(
        min_instances=fields.need("min_instances", integer(1, 10_000)),
        max_instances=fields.need("max_instances", integer(1, 10_000)),
        target_cpu=fields.get("target_cpu", PERCENT, None),
        target_latency_ms=fields.get("target_latency_ms", integer(1), None),
        concurrency_per_instance=fields.get("concurrency_per_instance", integer(1, 10_000), 16),
    )
    if scaling.max_instances < scaling.min_instances:
        what = f"max_instances {scaling.max_instances} is below min_instances {scaling.min_instances}"
        fields.problem("max_instances", what, f"Write {scaling.min_instances} or more.")
    return scaling


_PARTNER: Reader[SpaceName] = reference("partner", SpaceName)


def _availability(fields: Fields) -> Availability:
    return Availability(
        multi_az=fields.get("multi_az", BOOLEAN, default=False),
        auto_failover=fields.get("auto_failover", BOOLEAN, default=False),
        health_check_interval_s=fields.get("health_check_interval", FRACTIONAL_SECONDS, 30.0),
        partner=fields.get("partner", _PARTNER, None),
    )


def _monitoring(at: Located, problems: Problems) -> Monitoring:
    if isinstance(at.node, tuple | str):
        return Monitoring(destinations=_destinations("exporter_or_channel", at, problems))
    return record(_monitoring_object).read(at, problems)


def _monitoring_object(fields: Fields) -> Monitoring:
    exporters = fields.place("metrics_export") if fields.has("metrics_export") else None
    channels = fields.place("alerting") if fields.has("alerting") else None
    return Monitoring(
        log_level=fields.get("log_level", choice(LogLevel), LogLevel.INFO),
        metrics_export=_destinations("exporter", exporters, fields.problems) if exporters else (),
        alerting=_destinations("channel", channels, fields.problems) if channels else (),
    )


def _destinations(kind: str, at: Located, problems: Problems) -> tuple[str, ...]:
    names = _NAMES.read(at, problems)
    places = at.node if isinstance(at.node, tuple) else (at,)
    for name, place in zip(names, places, strict=True):
        if name:
            problems.refer(kind, name, place)
    return names


_MONITORING: Reader[Monitoring] = Reader(read=_monitoring, stand_in=Monitoring)


def _security(fields: Fields) -> Security:
    return Security(
        encryption_at_rest=fields.get("encryption_at_rest", BOOLEAN, default=False),
        encryption_in_transit=fields.get("encryption_in_transit", BOOLEAN, default=False),
        allowed_ips=fields.get("allowed_ips", list_of(NETWORK, or_one=True, at_least=1), None),
        api_rate_limit=fields.get("api_rate_limit", _RATE_LIMITS, RateLimits()),
        authentication=fields.get("authentication", choice(Authentication), Authentication.ANY),
        delegation=fields.get("delegation", choice(Delegation), Delegation.OPTIONAL),
    )


def _rate_limits(at: Located, problems: Problems) -> RateLimits:
    if isinstance(at.node, str):
        return RateLimits(space=RATE.read(at, problems))
    return record(_rate_limits_object).read(at, problems)


def _rate_limits_object(fields: Fields) -> RateLimits:
    return RateLimits(
        space=fields.get("space", RATE, None),
        principal=fields.get("principal", RATE, None),
        key=fields.get("key", RATE, None),
    )


_RATE_LIMITS: Reader[RateLimits] = Reader(read=_rate_limits, stand_in=RateLimits)


def _retention(fields: Fields) -> Retention:
    return Retention(text_days=fields.get("text", DAYS, 365), row_days=fields.get("rows", DAYS, 2557))
