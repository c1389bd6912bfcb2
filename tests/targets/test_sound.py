"""What is rendered holds together, starts this software, and gives it no more than it needs."""

from __future__ import annotations

import re

import pytest
from tests.targets.applied import Applied, leaves
from tests.targets.worlds import CLUSTER, MISSION, ORGANISATION, SERVER, workspace

from pilotage.adapters.targets.network import PAGES
from pilotage.adapters.targets.pods import DRAIN_S, GRACE_S, UNROUTED_S
from pilotage.adapters.targets.rendering import Form
from pilotage.api.app import PREFIX
from pilotage.console.assets import PREFIX as ASSETS
from pilotage.console.site import ENTRIES
from pilotage.control.render_space import render_space
from pilotage.gateway import server
from pilotage.jobs import worker
from pilotage.workspace.records import Workspace


@pytest.fixture(params=MISSION)
def found(request: pytest.FixtureRequest) -> Applied:
    rendered = render_space(workspace(cluster=CLUSTER + SERVER), space=request.param, target=Form.KUBERNETES)
    return Applied.of(rendered.files)


def test_every_name_is_one_that_exists(found: Applied) -> None:
    accounts = {one["metadata"]["name"] for one in found.all("ServiceAccount")}
    assert {one["spec"]["serviceAccountName"] for one in found.templates} == accounts
    deployments = {one["metadata"]["name"] for one in found.all("Deployment")}
    scaled = [
        one["spec"]["scaleTargetRef"]["name"] for one in found.documents if "scaleTargetRef" in one.get("spec", {})
    ]
    assert set(scaled) <= deployments
    services = {one["metadata"]["name"]: one["spec"] for one in found.all("Service")}
    for one in found.all("Ingress"):
        for path in (path for rule in one["spec"]["rules"] for path in rule["http"]["paths"]):
            asked = path["backend"]["service"]
            assert asked["port"]["name"] in {port["name"] for port in services[asked["name"]]["ports"]}
    names = [(one["kind"], one["metadata"]["name"]) for one in found.documents]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, name in names)
    assert {one["metadata"]["namespace"] for one in found.documents} == {"genai"}


def test_every_selector_finds_the_pods_it_is_for(found: Applied) -> None:
    for one in found.all("Deployment"):
        assert found.selected(one["spec"]["selector"]) == [one["spec"]["template"]]
    for one in (*found.all("PodDisruptionBudget"), *found.all("ServiceMonitor")):
        assert len(found.selected(one["spec"]["selector"])) == 1
    for one in found.all("Service"):
        (pod,) = found.selected({"matchLabels": one["spec"]["selector"]})
        ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
    (monitor,) = found.all("ServiceMonitor")
    assert (
        monitor["spec"]["selector"]["matchLabels"].items()
        <= found.one("Service", "serve")["metadata"]["labels"].items()
    )
    covered = [id(pod) for one in found.all("NetworkPolicy") for pod in found.selected(one["spec"]["podSelector"])]
    assert {id(pod) for pod in found.templates} <= set(covered)


def test_ports_of_policies_probes_and_commands_agree(found: Applied) -> None:
    container = found.container("serve")
    (port,) = container["ports"]
    (rule,) = found.one("NetworkPolicy", "serve")["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [port["containerPort"]]
    assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


def test_every_volume_is_mounted_and_every_mount_has_its_volume(found: Applied) -> None:
    for template in found.templates:
        (container,) = template["spec"]["containers"]
        mounted = {one["name"] for one in container["volumeMounts"]}
        assert mounted == {one["name"] for one in template["spec"]["volumes"]}
        places = [one["mountPath"] for one in container["volumeMounts"]]
        assert len(places) == len(set(places))


def test_a_pod_is_nobodys_root_and_holds_no_right(found: Applied) -> None:
    for template in found.templates:
        pod = template["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        inside = container["securityContext"]
        assert inside["readOnlyRootFilesystem"] is True
        assert inside["allowPrivilegeEscalation"] is False
        assert inside["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_platform_may_choose_the_user() -> None:
    cluster = CLUSTER + "  user_id: platform\n"
    found = Applied.of(render_space(workspace(cluster=cluster), space=MISSION[0], target=Form.KUBERNETES).files)
    context = found.pod("serve")["securityContext"]
    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True


def test_secrets_are_named_and_never_held(found: Applied) -> None:
    needed = {"DATABASE_URL", "PILOTAGE_MASTER_KEY", "HOUSE_KEY", "OIDC_SECRET", "PAGERDUTY_URL", "SLACK_URL"}
    for component in ("serve", "worker"):
        variables = found.container(component)["env"]
        values = {one["name"]: one["value"] for one in variables if "value" in one}
        assert values == {"PILOTAGE_HOME": "/var/lib/pilotage", "TMPDIR": "/tmp"}
        referred = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in variables if "valueFrom" in one}
        assert {name for name, one in referred.items() if not one.get("optional")} == needed
        assert all(one["key"] == name for name, one in referred.items())
        (mount,) = [one for one in found.container(component)["volumeMounts"] if one["name"] == "secret-files"]
        assert (mount["mountPath"], mount["subPath"]) == ("/run/secrets/email", "run.secrets.email")
    migrating = {one["name"] for one in found.container("migrate")["env"]}
    assert not migrating & (needed - {"DATABASE_URL", "PILOTAGE_MASTER_KEY"}), "a migration calls nobody"
    assert not found.all("Secret")


def test_signing_keys_are_shared_and_everything_else_is_the_pods_own(found: Applied) -> None:
    for component in ("serve", "worker"):
        mounts = {one["mountPath"]: one for one in found.container(component)["volumeMounts"]}
        volumes = {one["name"]: one for one in found.pod(component)["volumes"]}
        for folder in ("keys", "checkpoints"):
            mount = mounts[f"/var/lib/pilotage/{folder}"]
            assert volumes[mount["name"]]["persistentVolumeClaim"]["claimName"] == "pilotage-keys"
            assert mount["subPath"] == folder
        assert volumes[mounts["/var/lib/pilotage"]["name"]] == {"name": "home", "emptyDir": {}}
        assert "medium" not in volumes[mounts["/tmp"]["name"]]["emptyDir"], "uploads wait on a disk"


def test_a_pod_that_ends_is_unrouted_and_drained_before_it_is_killed(found: Applied) -> None:
    assert DRAIN_S == server.DRAIN_S == worker._JOIN_S
    assert UNROUTED_S + server.DRAIN_S < GRACE_S
    assert found.pod("serve")["terminationGracePeriodSeconds"] == GRACE_S
    assert found.container("serve")["lifecycle"]["preStop"]["sleep"]["seconds"] == UNROUTED_S
    assert found.pod("worker")["terminationGracePeriodSeconds"] == GRACE_S


def test_an_ingress_leads_to_pages_and_clients_and_not_to_metrics(found: Applied) -> None:
    (one,) = found.all("Ingress")
    paths = {(path["path"], path["pathType"]) for rule in one["spec"]["rules"] for path in rule["http"]["paths"]}
    space = one["metadata"]["labels"]["app.kubernetes.io/instance"]
    own = {entry.path.split("/")[1] for entry in ENTRIES} - {""}
    assert own | {PREFIX.split("/")[1], ASSETS.strip("/")} == set(PAGES)
    prefixes = {f"/{page}" for page in PAGES} | {f"/spaces/{space}/v1"}
    assert paths == {("/", "Exact"), *((path, "Prefix") for path in prefixes)}
    assert one["spec"]["tls"][0]["hosts"] == [rule["host"] for rule in one["spec"]["rules"]]


def test_the_default_space_answers_without_its_name_and_no_other_does() -> None:
    default = f"gateway: {{default_space: {MISSION[0]}, health_peers: 10.0.0.0/8, trusted_proxies: 10.0.0.0/8}}\n"
    for space, expected in ((MISSION[0], True), (MISSION[1], False)):
        found = Applied.of(render_space(_with_gateway(default), space=space, target=Form.KUBERNETES).files)
        (one,) = found.all("Ingress")
        assert ("/v1" in {path["path"] for path in one["spec"]["rules"][0]["http"]["paths"]}) is expected


def _with_gateway(gateway: str) -> Workspace:
    start, end = ORGANISATION.index("gateway:"), ORGANISATION.index("providers:")
    return workspace(ORGANISATION[:start] + gateway + ORGANISATION[end:])


def test_pods_reach_names_the_declared_and_the_model_and_nothing_reaches_a_worker(found: Applied) -> None:
    assert found.one("NetworkPolicy", "worker")["spec"]["ingress"] == []
    everywhere = {"0.0.0.0/0", "::/0"}
    for one in found.all("NetworkPolicy"):
        assert not everywhere & set(map(str, leaves(one)))
        for rule in (*one["spec"].get("ingress", []), *one["spec"].get("egress", [])):
            assert rule["ports"], "a rule without ports allows all of them"
            assert rule.get("to") or rule.get("from"), "a rule without peers allows all of them"
    blocks = [
        one["ipBlock"]["cidr"] for rule in found.one("NetworkPolicy", "outside")["spec"]["egress"] for one in rule["to"]
    ]
    assert blocks == ["10.20.4.0/24", "10.30.0.8/32", "10.30.0.9/32"]
    if model := [one for one in found.all("NetworkPolicy") if one["metadata"]["name"].endswith("-model")]:
        assert model[0]["spec"]["egress"] == []
