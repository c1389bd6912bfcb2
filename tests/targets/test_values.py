"""Each value of a space's file stands in its manifests as operations.md 12 says."""

from __future__ import annotations

from typing import Any

import pytest
from tests.space.test_mission_blocks import DEV, PRODUCTION, STAGING
from tests.targets.applied import Applied
from tests.targets.worlds import CLUSTER, GPUS, MISSION, ORGANISATION, SERVER, workspace

from pilotage.adapters.targets.placed import quantity
from pilotage.adapters.targets.rendering import Form
from pilotage.adapters.targets.scaling import latency_query
from pilotage.control.render_space import render_space
from pilotage.core.errors import UsageError

DEV_SPACE, STAGING_SPACE, PRODUCTION_SPACE = MISSION


def applied(space: str, *, cluster: str = CLUSTER, **changed: str) -> Applied:
    return Applied.of(render_space(workspace(cluster=cluster, **changed), space=space, target=Form.KUBERNETES).files)


def size(found: Applied, component: str = "serve") -> tuple[str, str]:
    resources = found.container(component)["resources"]
    assert resources["requests"] == resources["limits"]
    return resources["limits"]["cpu"], resources["limits"]["memory"]


def graphics(found: Applied) -> dict[str, tuple[object, dict[str, str]]]:
    """Return by component how many GPUs its pod asks for and which nodes it goes to."""
    of = {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in found.templates}
    return {
        name: (spec["containers"][0]["resources"]["limits"].get("nvidia.com/gpu"), spec.get("nodeSelector", {}))
        for name, spec in of.items()
    }


@pytest.mark.feature("D9.24", "D9.25")
def test_development_asks_for_what_it_is_limited_to() -> None:
    assert size(applied(DEV_SPACE)) == ("2", "8G")
    assert size(applied(DEV_SPACE, dev=DEV.replace("vcpu: 2", "vcpu: 3").replace("8GB", "8GiB"))) == ("3", "8Gi")


@pytest.mark.feature("D11.31", "D11.32")
def test_staging_asks_for_what_it_is_limited_to() -> None:
    assert size(applied(STAGING_SPACE)) == ("4", "16G")
    assert size(applied(STAGING_SPACE), "worker") == ("4", "16G")


@pytest.mark.feature("D13.60", "D13.61")
def test_production_asks_for_what_it_is_limited_to() -> None:
    assert size(applied(PRODUCTION_SPACE)) == ("8", "32G")
    smaller = CLUSTER + "  worker: {replicas: 3, vcpu: 2, memory: 4GB}\n"
    found = applied(PRODUCTION_SPACE, cluster=smaller)
    assert (size(found), size(found, "worker")) == (("8", "32G"), ("2", "4G"))
    assert found.one("Deployment", "worker")["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("size", "text"),
    [(8 * 10**9, "8G"), (16 * 2**30, "16Gi"), (512 * 10**6, "512M"), (3 * 2**20, "3Mi"), (1536, "1536"), (2048, "2Ki")],
)
def test_bytes_are_written_exactly(size: int, text: str) -> None:
    assert quantity(size) == text


@pytest.mark.feature("D9.26")
def test_no_gpu_asks_for_no_accelerator_and_runs_no_model() -> None:
    found = graphics(applied(DEV_SPACE, cluster=CLUSTER + SERVER))
    assert set(found) == {"serve", "worker", "migrate"}
    assert all(asked == (None, {}) for asked in found.values())


@pytest.mark.feature("D11.33")
def test_staging_gives_one_t4_to_the_model_server_alone() -> None:
    found = graphics(applied(STAGING_SPACE, cluster=CLUSTER + SERVER))
    assert found.pop("model") == (1, {"nvidia.com/gpu.product": "Tesla-T4"})
    assert all(asked == (None, {}) for asked in found.values())


@pytest.mark.feature("D13.62")
def test_production_gives_one_a100_to_the_model_server_or_only_records_it() -> None:
    found = graphics(applied(PRODUCTION_SPACE, cluster=CLUSTER + SERVER))
    assert found.pop("model") == (1, {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"})
    assert all(asked == (None, {}) for asked in found.values())
    recorded = render_space(workspace(), space=PRODUCTION_SPACE, target=Form.KUBERNETES)
    without = Applied.of(recorded.files)
    assert "model" not in graphics(without)
    assert without.one("Deployment", "serve")["metadata"]["annotations"]["pilotage/gpu"] == "A100"
    assert "GPU_RECORDED" in {one.code for one in recorded.warnings}


def test_a_gpu_whose_nodes_nobody_named_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Nothing says which nodes have the GPU T4.*gpu_selectors: {T4: KEY=VALUE}"):
        applied(STAGING_SPACE, cluster=CLUSTER + SERVER, gpus="gpu_selectors: {A100: x=y}\n")
    other = GPUS.replace("nvidia.com/gpu.product=Tesla-T4", "Tesla-T4")
    found = graphics(applied(STAGING_SPACE, cluster=CLUSTER + SERVER, gpus=other))
    assert found["model"][1] == {"nvidia.com/gpu.product": "Tesla-T4"}


@pytest.mark.feature("D9.28", "D9.29")
def test_development_runs_the_one_instance_it_says() -> None:
    found = applied(DEV_SPACE)
    assert found.one("Deployment", "serve")["spec"]["replicas"] == 1
    assert not found.all("HorizontalPodAutoscaler")
    assert not found.all("ScaledObject")
    more = applied(DEV_SPACE, dev=DEV.replace("max_instances: 1", "max_instances: 2"))
    assert more.one("HorizontalPodAutoscaler", "serve")["spec"]["maxReplicas"] == 2


@pytest.mark.feature("D11.35", "D11.36")
def test_staging_scales_between_its_floor_and_its_ceiling() -> None:
    found = applied(STAGING_SPACE)
    spec = found.one("HorizontalPodAutoscaler", "serve")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
    assert "replicas" not in found.one("Deployment", "serve")["spec"]
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


@pytest.mark.feature("D13.64", "D13.65")
def test_production_scales_between_its_floor_and_its_ceiling() -> None:
    found = applied(PRODUCTION_SPACE)
    spec = found.one("ScaledObject", "serve")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 10)
    assert "replicas" not in found.one("Deployment", "serve")["spec"]
    assert not found.all("HorizontalPodAutoscaler"), "KEDA makes its own: two would fight"


@pytest.mark.feature("D13.66")
def test_target_cpu_is_the_autoscalers_aim() -> None:
    (cpu,) = [one for one in triggers(applied(PRODUCTION_SPACE)) if one["type"] == "cpu"]
    assert (cpu["metricType"], cpu["metadata"]) == ("Utilization", {"value": "70"})
    by_cpu = PRODUCTION.replace("  target_latency_ms: 1500\n", "")
    metric = applied(PRODUCTION_SPACE, production=by_cpu).one("HorizontalPodAutoscaler", "serve")["spec"]["metrics"][0]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}


@pytest.mark.feature("D13.67")
def test_target_latency_scales_up_after_two_minutes_and_down_after_ten_below_sixty_percent() -> None:
    found = applied(PRODUCTION_SPACE)
    (latency,) = [one for one in triggers(found) if one["type"] == "prometheus"]
    assert (latency["metricType"], latency["metadata"]["threshold"]) == ("Value", "1.5")
    query = latency["metadata"]["query"]
    assert query == latency_query(PRODUCTION_SPACE, 1500)
    assert "[2m]" in query
    assert "> 1.5, 1.8) or clamp_max(" in query
    assert "< 0.9, 0.75) or (" in query
    assert query.endswith("or vector(1.5)")
    horizontal = found.one("ScaledObject", "serve")["spec"]["advanced"]["horizontalPodAutoscalerConfig"]
    behaviour = horizontal["behavior"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 120
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 600
    without = CLUSTER.replace("    prometheus: http://prometheus-operated.monitoring.svc:9090\n", "")
    with pytest.raises(UsageError, match=r"nothing says where Prometheus answers.*kubernetes.monitoring.prometheus"):
        applied(PRODUCTION_SPACE, cluster=without)


def triggers(found: Applied) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = found.one("ScaledObject", "serve")["spec"]["triggers"]
    return listed


@pytest.mark.feature("D13.69")
def test_multi_az_spreads_pods_over_zones() -> None:
    found = applied(PRODUCTION_SPACE)
    for component in ("serve", "worker"):
        (zones, nodes) = found.pod(component)["topologySpreadConstraints"]
        assert (zones["maxSkew"], zones["topologyKey"]) == (1, "topology.kubernetes.io/zone")
        assert zones["whenUnsatisfiable"] == "DoNotSchedule"
        assert found.selected(zones["labelSelector"]) == [found.one("Deployment", component)["spec"]["template"]]
        assert nodes["whenUnsatisfiable"] == "ScheduleAnyway"
    (only,) = applied(STAGING_SPACE).pod("serve")["topologySpreadConstraints"]
    assert only["topologyKey"] == "kubernetes.io/hostname"
    assert "topologySpreadConstraints" not in applied(DEV_SPACE).pod("serve")


@pytest.mark.parametrize(("written", "period", "timeout"), [("30s", 30, 5), ("2s", 2, 2), ("1500ms", 2, 2)])
def test_health_check_interval_is_the_probes_period_and_three_failures_count(
    written: str, period: int, timeout: int
) -> None:
    container = applied(PRODUCTION_SPACE, production=PRODUCTION.replace("30s", written)).container("serve")
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        found = container[probe]
        assert found["httpGet"] == {"path": path, "port": "http"}
        assert (found["periodSeconds"], found["timeoutSeconds"], found["failureThreshold"]) == (period, timeout, 3)


@pytest.mark.feature("D13.58")
def test_a_region_has_a_database_keys_nodes_and_ways_out_of_its_own() -> None:
    zones = """\
  zones:
    us: {secret: us-env, claim: us-keys, node_selector: {topology.kubernetes.io/region: us-east-1}}
    eu: {secret: eu-env, claim: eu-keys, domain: eu.bank.example, egress: [{networks: 10.90.0.0/24, ports: 5432}]}
"""
    american = applied(PRODUCTION_SPACE, cluster=CLUSTER + zones)
    europe = PRODUCTION.replace("region: us-east-1", "region: eu-central-1")
    european = applied(PRODUCTION_SPACE, cluster=CLUSTER + zones, production=europe)
    assert (secrets(american), claims(american)) == ({"us-env"}, {"us-keys"})
    assert (secrets(european), claims(european)) == ({"eu-env"}, {"eu-keys"})
    assert american.pod("serve")["nodeSelector"] == {"topology.kubernetes.io/region": "us-east-1"}
    assert european.one("NetworkPolicy", "outside")["spec"]["egress"][0]["to"] == [
        {"ipBlock": {"cidr": "10.90.0.0/24"}}
    ]
    assert european.one("Ingress", "serve")["spec"]["rules"][0]["host"] == f"{PRODUCTION_SPACE}.eu.bank.example"
    with pytest.raises(UsageError, match=r"stands in ap-south-1, which no zone covers.*Zones of pilotage.yaml: us, eu"):
        applied(PRODUCTION_SPACE, cluster=CLUSTER + zones, production=PRODUCTION.replace("us-east-1", "ap-south-1"))
    with pytest.raises(UsageError, match=r"has no region"):
        applied(DEV_SPACE, cluster=CLUSTER + zones)


def secrets(found: Applied) -> set[str]:
    variables = [one for name in ("serve", "worker", "migrate") for one in found.container(name)["env"]]
    return {one["valueFrom"]["secretKeyRef"]["name"] for one in variables if "valueFrom" in one}


def claims(found: Applied) -> set[str]:
    volumes = [one for name in ("serve", "worker") for one in found.pod(name)["volumes"]]
    return {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}


def test_the_names_of_a_space_are_the_hosts_of_its_ingress() -> None:
    named = PRODUCTION + "hosts: [assistant.bank.example, genai.bank.example]\n"
    spec = applied(PRODUCTION_SPACE, production=named).one("Ingress", "serve")["spec"]
    assert [one["host"] for one in spec["rules"]] == ["assistant.bank.example", "genai.bank.example"]
    assert spec["tls"][0]["hosts"] == ["assistant.bank.example", "genai.bank.example"]
    nowhere = CLUSTER.replace("  domain: pilotage.bank.example\n", "")
    with pytest.raises(UsageError, match=r"no name to be reached by.*kubernetes.domain"):
        applied(PRODUCTION_SPACE, cluster=nowhere)


def test_a_batch_space_has_workers_alone() -> None:
    batch = STAGING.replace("deployment_type: online", "deployment_type: batch")
    found = applied(STAGING_SPACE, staging=batch)
    assert {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found.all("Deployment")} == {"worker"}
    for kind in ("Service", "Ingress", "HorizontalPodAutoscaler", "ServiceMonitor"):
        assert not found.all(kind)


def test_a_space_of_another_target_and_a_workspace_without_a_cluster_are_refused() -> None:
    with pytest.raises(UsageError, match=r"says target: watsonx.*Write target: kubernetes in spaces/dev-deployment"):
        applied(DEV_SPACE, dev=DEV + "target: watsonx\n")
    with pytest.raises(UsageError, match=r"does not describe a cluster.*image: registry/pilotage@sha256"):
        applied(DEV_SPACE, cluster="")
    with pytest.raises(UsageError, match=r"There is no space 'prod'.*Declared: dev-deployment-space"):
        applied("prod")


@pytest.mark.parametrize(
    ("organisation", "codes"),
    [
        (ORGANISATION, set()),
        (ORGANISATION.replace("  health_peers: [10.40.0.0/16]\n", ""), {"HEALTH_PEERS"}),
        (ORGANISATION.replace("10.40.0.0/16", "127.0.0.0/8"), {"HEALTH_PEERS"}),
        (ORGANISATION.replace("  trusted_proxies: [10.41.0.0/16]\n", ""), {"TRUSTED_PROXIES"}),
        (ORGANISATION.replace("index: {memory_limit: 3GB}\n", ""), {"INDEX_MEMORY"}),
        (ORGANISATION.replace("memory_limit: 3GB", "memory_limit: 9GB"), {"INDEX_MEMORY"}),
        (
            ORGANISATION[: ORGANISATION.index("identity")]
            + "identity: local\n"
            + ORGANISATION[ORGANISATION.index("people") :],
            {"LOCAL_ONLY"},
        ),
    ],
)
def test_what_keeps_a_pod_from_starting_or_being_ready_is_said(organisation: str, codes: set[str]) -> None:
    found = render_space(workspace(organisation), space=DEV_SPACE, target=Form.KUBERNETES)
    assert {one.code for one in found.warnings} == codes | {"TIER_SHARED"}
    assert all("Write" in one.text for one in found.warnings)
