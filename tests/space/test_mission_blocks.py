# ruff: noqa: W291 - the blocks stand as they are printed
"""The three configuration blocks of the deployment workflow are valid spaces exactly as printed there."""

from __future__ import annotations

from functools import partial

import pytest

from pilotage.core.fields import read_record
from pilotage.core.located import Problems
from pilotage.core.units import Rate
from pilotage.core.yaml_source import load_yaml
from pilotage.corpus.settings import DataStage
from pilotage.space.settings import (
    Authentication,
    DeploymentType,
    Hardware,
    LogLevel,
    RecordMode,
    Scaling,
    Space,
    Target,
    Tier,
    default_soak_s,
)
from pilotage.space.settings_file import parse_space

DEV = """\
deployment_space: dev-deployment-space
deployment_type: online
hardware:
  vcpu: 2
  memory: 8GB
  gpu: none
scaling:
  min_instances: 1
  max_instances: 1
"""

STAGING = """\
deployment_space: staging-deployment-space
deployment_type: online
hardware:
  vcpu: 4
  memory: 16GB
  gpu: T4
scaling:
  min_instances: 2
  max_instances: 5
monitoring:
  - splunk
  - datadog
  - pagerduty
"""

PRODUCTION = """\
# Primary Production Space (US-East)
deployment_space: production-us-east-space
deployment_type: online
region: us-east-1

hardware:
  vcpu: 8
  memory: 32GB
  gpu: A100

scaling:
  min_instances: 3
  max_instances: 10
  target_cpu: 70%
  target_latency_ms: 1500

high_availability:
  multi_az: true
  auto_failover: true
  health_check_interval: 30s

monitoring:
  log_level: INFO
  metrics_export:
    - splunk
    - datadog
    - prometheus
  alerting:
    - pagerduty
    - email
    - slack

security:
  encryption_at_rest: true
  encryption_in_transit: true
  allowed_ips: 
    - "10.0.0.0/8"  # Internal network only
  api_rate_limit: 10000/hour
  authentication: oauth2

compliance:
  - SOC2
  - PCI-DSS
  - FINRA
"""


def read(text: str, tier: Tier) -> tuple[Space, Problems]:
    problems = Problems()
    at = load_yaml(text.encode(), file="spaces/x.yaml", problems=problems)
    assert at is not None
    return read_record(at, problems, partial(parse_space, tier=tier)), problems


@pytest.mark.feature("D9.21", "D9.22", "D9.23", "D9.27")
def test_the_development_block() -> None:
    space, problems = read(DEV, Tier.DEV)
    assert problems.found == problems.warnings == []
    assert space.name == "dev-deployment-space"
    assert space.deployment_type is DeploymentType.ONLINE
    assert space.hardware == Hardware(vcpu=2, memory_bytes=8_000_000_000, gpu=None)
    assert space.scaling == Scaling(min_instances=1, max_instances=1)
    assert (space.data_stage, space.record_mode, space.soak_s) == (DataStage.UAT, RecordMode.ASYNC, 3600)
    assert space.target is Target.LOCAL


@pytest.mark.feature("D11.28", "D11.29", "D11.30", "D11.34", "D11.37")
def test_the_staging_block_lists_its_monitoring() -> None:
    space, problems = read(STAGING, Tier.STAGING)
    assert problems.found == problems.warnings == []
    assert space.hardware == Hardware(vcpu=4, memory_bytes=16_000_000_000, gpu="T4")
    assert space.monitoring.destinations == ("splunk", "datadog", "pagerduty")
    assert [(found.kind, found.name, found.at.line) for found in problems.references] == [
        ("exporter_or_channel", "splunk", 11),
        ("exporter_or_channel", "datadog", 12),
        ("exporter_or_channel", "pagerduty", 13),
    ]


@pytest.mark.feature("D13.56", "D13.57", "D13.59", "D13.63", "D13.68", "D13.72", "D13.74", "D13.82")
def test_the_production_block_with_every_key() -> None:
    space, problems = read(PRODUCTION, Tier.PRODUCTION)
    assert problems.found == problems.warnings == []
    assert space.region == "us-east-1"
    assert space.hardware == Hardware(vcpu=8, memory_bytes=32_000_000_000, gpu="A100")
    assert space.scaling == Scaling(min_instances=3, max_instances=10, target_cpu=0.7, target_latency_ms=1500)
    assert (space.availability.multi_az, space.availability.auto_failover) == (True, True)
    assert space.availability.health_check_interval_s == 30.0
    assert space.monitoring.log_level is LogLevel.INFO
    assert space.monitoring.metrics_export == ("splunk", "datadog", "prometheus")
    assert space.monitoring.alerting == ("pagerduty", "email", "slack")
    assert (space.security.encryption_at_rest, space.security.encryption_in_transit) == (True, True)
    assert space.allowed_ips == ("10.0.0.0/8",)
    assert space.api_rate_limit.space == Rate(count=10_000, window_s=3600)
    assert space.api_rate_limit.principal is None
    assert space.security.authentication is Authentication.OAUTH2
    assert space.compliance == ("SOC2", "PCI-DSS", "FINRA")
    assert (space.data_stage, space.record_mode) == (DataStage.PRODUCTION, RecordMode.FAIL_CLOSED)


@pytest.mark.feature("D9.22", "D11.29", "D13.57")
def test_an_unsupported_deployment_type_is_refused() -> None:
    _, problems = read(DEV.replace("online", "edge"), Tier.DEV)
    assert [str(found) for found in problems.found] == [
        "spaces/x.yaml:2: 'deployment_type' cannot be 'edge'. Write one of: batch, online."
    ]


def test_wrong_types_of_monitoring_and_limits() -> None:
    _, problems = read(DEV + "monitoring: 7\nsecurity: {api_rate_limit: 10000}\n", Tier.DEV)
    assert sorted(found.what for found in problems.found) == [
        "'monitoring' is a whole number, not a mapping",
        "'security.api_rate_limit' is a whole number, not a mapping",
    ]


def test_soak_times_by_tier() -> None:
    assert [default_soak_s(tier) for tier in Tier] == [0, 3600, 14_400, 86_400, 0]
