"""What runs: the Deployments of `serve` and `worker`, the migration Job, and how many may be missing at once.

Rule: a Deployment whose number an autoscaler sets names none itself. A new process refuses an older schema, so the Job
may run before or beside it: those that serve go on until it is done. Fail mode: a migration that fails leaves them so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotage.adapters.targets.placed import Placed
from pilotage.adapters.targets.pods import migrate_pod, serve_pod, worker_pod, worker_replicas
from pilotage.adapters.targets.tree import Manifest, Setting, Tree, plain
from pilotage.core.digest import digest_of_json
from pilotage.space.digest import space_digest

_ROLLING: Final[Mapping[str, Tree]] = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
}


def service_account(placed: Placed) -> Manifest:
    """Return whom the pods run as: somebody without any right in the cluster."""
    metadata = placed.metadata("account", name=placed.base)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata,
        "automountServiceAccountToken": False,
    }


def serve_deployment(placed: Placed) -> Manifest:
    """Return the Deployment of the gateway."""
    scaling = placed.space.scaling
    is_fixed = scaling.min_instances == scaling.max_instances
    replicas = Setting(path="serve.replicas", value=scaling.min_instances) if is_fixed else None
    return deployment(placed, "serve", serve_pod(placed), replicas=replicas)


def worker_deployment(placed: Placed) -> Manifest:
    """Return the Deployment of the workers."""
    replicas = Setting(path="worker.replicas", value=worker_replicas(placed))
    return deployment(placed, "worker", worker_pod(placed), replicas=replicas)


def deployment(
    placed: Placed,
    component: str,
    pod: Mapping[str, Tree],
    *,
    replicas: Setting | None,
    strategy: Tree = _ROLLING,
    deadline_s: int = 900,
) -> Manifest:
    """Return a Deployment of one kind of pod; `replicas` None: an autoscaler sets their number."""
    selector = placed.selector(component)
    notes: dict[str, Tree] = {"pilotage/space-settings": space_digest(placed.space)}
    if component == "serve" and placed.space.hardware.gpu is not None and placed.model_server is None:
        notes["pilotage/gpu"] = placed.space.hardware.gpu
    metadata = placed.metadata(component, annotations=notes)
    spec: dict[str, Tree] = {} if replicas is None else {"replicas": replicas}
    spec |= {
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": deadline_s,
        "minReadySeconds": 10,
        "strategy": strategy,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": placed.labels(component)}, "spec": pod},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def disruption_budget(placed: Placed, component: str) -> Manifest:
    """Return that one pod at a time may be taken away by whoever empties nodes."""
    spec: Tree = {"maxUnavailable": 1, "selector": {"matchLabels": placed.selector(component)}}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": placed.metadata(component),
        "spec": spec,
    }


def migration_job(placed: Placed) -> Manifest:
    """Return the Job of `pilotage migrate`; what a Job does never changes, so another one has another name."""
    spec: dict[str, Tree] = {
        "backoffLimit": 3,
        "activeDeadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 604_800,
        "template": {"metadata": {"labels": placed.labels("migrate")}, "spec": migrate_pod(placed)},
    }
    digest = digest_of_json(plain(spec)).removeprefix("sha256:")[:8]
    prefix = placed.name("migrate")
    computed = f'printf "{prefix}-%s" (.Values | toJson | sha256sum | trunc 8)'
    name = Setting(path="", value=f"{prefix}-{digest}", computed=computed)
    metadata = {**placed.metadata("migrate"), "name": name}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
