"""Pods of `serve`, `worker` and `migrate`: nobody's root, a root folder that is read alone, secrets by reference.

Rule: a pod fits the `restricted` Pod Security Standard; its settings come from the image and the environment, and only
its home, `/tmp` and the shared keys are written. The master key comes as a variable: a file of a Secret is readable for
the pod's group, which the keyring refuses. Fail mode: a Secret or volume that is missing keeps the pod from starting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage.adapters.targets.placed import SERVE_PORT, Placed, resources
from pilotage.adapters.targets.secret_files import HOME, WORKSPACE, secret_files
from pilotage.adapters.targets.tree import Setting, Tree
from pilotage.core.canonical import Json

UNROUTED_S: Final = 10
"""How long a pod that ends still answers: until every proxy has heard that it is gone."""
DRAIN_S: Final = 30
"""As long as `serve` lets requests end, and a worker its loops (gateway/server.py, jobs/worker.py)."""
GRACE_S: Final = UNROUTED_S + DRAIN_S + 20
_NEEDED: Final = ("DATABASE_URL", "PILOTAGE_MASTER_KEY")
_OPTIONAL: Final = ("DATABASE_LISTEN_URL", "PILOTAGE_PROXY", "PILOTAGE_PROXY_EXCEPT")

CONTAINED: Final[Mapping[str, Tree]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a pod runs. `keyed`: with the signing keys, and the secrets that the workspace refers to."""

    component: str
    command: Sequence[str]
    size: Mapping[str, Json]
    keyed: bool = True
    more: Mapping[str, Tree]


def serve_pod(placed: Placed) -> dict[str, Tree]:
    """Return the pod of the gateway, API and console."""
    hardware = placed.space.hardware
    probes: dict[str, Tree] = {
        "ports": [{"name": "http", "containerPort": SERVE_PORT, "protocol": "TCP"}],
        "startupProbe": {**_asks("/healthz"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 60},
        "readinessProbe": _probe(placed, "/readyz"),
        "livenessProbe": _probe(placed, "/healthz"),
        "lifecycle": {"preStop": {"sleep": {"seconds": UNROUTED_S}}},
    }
    contents = Contents(
        component="serve",
        command=("serve", "--host", "0.0.0.0", "--port", str(SERVE_PORT)),  # noqa: S104 - inside a pod's own network
        size=resources(hardware.vcpu, hardware.memory_bytes),
        more=probes,
    )
    return {**_pod(placed, contents), **spread(placed, "serve", placed.space.scaling.max_instances)}


def worker_pod(placed: Placed) -> dict[str, Tree]:
    """Return the pod of a worker; it listens to nobody, and ends when one of its loops does."""
    settings, hardware = placed.cluster.worker, placed.space.hardware
    size = resources(settings.vcpu or hardware.vcpu, settings.memory_bytes or hardware.memory_bytes)
    contents = Contents(component="worker", command=("worker",), size=size, more={})
    return {**_pod(placed, contents), **spread(placed, "worker", worker_replicas(placed))}


def migrate_pod(placed: Placed) -> dict[str, Tree]:
    """Return the pod that brings the database to the image's schema."""
    contents = Contents(
        component="migrate", command=("migrate",), size=resources(1, 2_000_000_000), keyed=False, more={}
    )
    return {**_pod(placed, contents), "restartPolicy": "Never"}


def worker_replicas(placed: Placed) -> int:
    """Return how many workers run: two carry on where one is lost."""
    return placed.cluster.worker.replicas or min(2, placed.space.scaling.min_instances)


def shielded(placed: Placed, *, grace_s: int = GRACE_S) -> dict[str, Tree]:
    """Return what every pod of the space says about itself."""
    user = placed.cluster.user_id
    ids: dict[str, Json] = {} if user is None else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
    context: dict[str, Json] = {
        "runAsNonRoot": True,
        **ids,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pull = placed.cluster.pull_secret
    selector = placed.cluster.node_selector
    return {
        "serviceAccountName": placed.base,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": Setting(path="imagePullSecrets", value=[{"name": pull}] if pull else []),
        "nodeSelector": Setting(path="nodeSelector", value=dict(selector)),
        "securityContext": Setting(path="podSecurityContext", value=context),
        "terminationGracePeriodSeconds": grace_s,
    }


def spread(placed: Placed, component: str, instances: int) -> dict[str, Tree]:
    """Return how a component's pods are kept apart: over zones for multi_az, over nodes where that is possible."""
    if instances < 2:
        return {}
    over: dict[str, Tree] = {"labelSelector": {"matchLabels": placed.selector(component)}}
    each = {**over, "matchLabelKeys": ["pod-template-hash"]}
    zones: Tree = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        **each,
    }
    nodes: Tree = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        **each,
    }
    return {"topologySpreadConstraints": [zones, nodes] if placed.space.availability.multi_az else [nodes]}


def _pod(placed: Placed, contents: Contents) -> dict[str, Tree]:
    container: dict[str, Tree] = {
        "name": contents.component,
        "image": Setting(path="image", value=placed.cluster.image),
        "imagePullPolicy": "IfNotPresent",
        "command": ["pilotage"],
        "args": [*contents.command, "--workspace", WORKSPACE],
        "env": _environment(placed, keyed=contents.keyed),
        **contents.more,
        "resources": Setting(path=f"{contents.component}.resources", value=dict(contents.size)),
        "securityContext": CONTAINED,
        "volumeMounts": _mounts(placed, keyed=contents.keyed),
    }
    return {
        **shielded(placed),
        "containers": [container],
        "volumes": _volumes(placed, keyed=contents.keyed),
    }


def _environment(placed: Placed, *, keyed: bool) -> list[Tree]:
    named = [one.removeprefix("env:") for one in placed.references if one.startswith("env:")] if keyed else []
    own: list[Tree] = [{"name": "PILOTAGE_HOME", "value": HOME}, {"name": "TMPDIR", "value": "/tmp"}]  # noqa: S108
    needed = [_from_secret(placed, name) for name in dict.fromkeys((*_NEEDED, *named)) if name not in _OPTIONAL]
    return [*own, *needed, *(_from_secret(placed, name, optional=True) for name in _OPTIONAL)]


def _from_secret(placed: Placed, name: str, *, optional: bool = False) -> Tree:
    reference: dict[str, Tree] = {"name": placed.secret, "key": name}
    if optional:
        reference["optional"] = True
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _mounts(placed: Placed, *, keyed: bool) -> list[Tree]:
    mounts: list[Tree] = [{"name": "home", "mountPath": HOME}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if placed.cluster.workspace_claim is not None:
        mounts.append({"name": "workspace", "mountPath": WORKSPACE, "readOnly": True})
    if keyed:
        mounts += [
            {"name": "keys", "mountPath": f"{HOME}/{folder}", "subPath": folder} for folder in ("keys", "checkpoints")
        ]
        mounts += [
            {"name": "secret-files", "mountPath": path, "subPath": key, "readOnly": True}
            for key, path in secret_files(placed.references).items()
        ]
    return mounts


def _volumes(placed: Placed, *, keyed: bool) -> list[Tree]:
    volumes: list[Tree] = [{"name": "home", "emptyDir": {}}, {"name": "tmp", "emptyDir": {"sizeLimit": "2G"}}]
    if placed.cluster.workspace_claim is not None:
        claim = Setting(path="workspaceClaim", value=placed.cluster.workspace_claim)
        volumes.append({"name": "workspace", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    if not keyed:
        return volumes
    keys = Setting(path="keysClaim", value=placed.cluster.claim)
    volumes.append({"name": "keys", "persistentVolumeClaim": {"claimName": keys}})
    if files := secret_files(placed.references):
        items: list[Tree] = [{"key": key, "path": key} for key in files]
        secret: Tree = {"secretName": placed.secret, "defaultMode": 0o440, "items": items}
        volumes.append({"name": "secret-files", "secret": secret})
    return volumes


def _asks(path: str) -> dict[str, Tree]:
    return {"httpGet": {"path": path, "port": "http"}}


def _probe(placed: Placed, path: str) -> dict[str, Tree]:
    """Return a probe every health_check_interval, whole seconds up; three failures count (operations.md 12)."""
    period = max(1, math.ceil(placed.space.availability.health_check_interval_s))
    return {**_asks(path), "periodSeconds": period, "timeoutSeconds": min(5, period), "failureThreshold": 3}
