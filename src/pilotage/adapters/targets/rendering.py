"""The files of a space for a target: names to text, equal for equal settings.

Rule: what runs a space is a function from where it is placed to files. A batch space has workers alone: nobody asks it.
Fail mode: UsageError that says what to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol, cast

from pilotage.adapters.targets.helm import CHART, render_helm
from pilotage.adapters.targets.model_server import model_manifests
from pilotage.adapters.targets.network import ingress, network_policies, service, service_monitor
from pilotage.adapters.targets.placed import Placed, mark_of
from pilotage.adapters.targets.scaling import autoscaler
from pilotage.adapters.targets.tree import Manifest, Tree, as_yaml
from pilotage.adapters.targets.workloads import (
    disruption_budget,
    migration_job,
    serve_deployment,
    service_account,
    worker_deployment,
)
from pilotage.space.settings import DeploymentType


class Form(StrEnum):
    """What files are made for: `kubectl`, or Helm."""

    KUBERNETES = "kubernetes"
    HELM = "helm"


class Renders(Protocol):
    """What makes the files of a target."""

    def __call__(self, placed: Placed, made: Mapping[str, tuple[Manifest, ...]]) -> dict[str, str]:
        """Return file names and texts."""
        ...


def is_place(name: str, form: Form) -> bool:
    """Tell whether a form writes files at this path of its folder."""
    folder, _, file = name.rpartition("/")
    if form is Form.HELM:
        return name in CHART if not folder else folder == "templates" and file.endswith(".yaml")
    return not folder and file.endswith(".yaml") and file not in CHART


def manifests(placed: Placed) -> dict[str, tuple[Manifest, ...]]:
    """Return the manifests by file, in the order in which they are applied."""
    server = placed.model_server
    made: dict[str, tuple[Manifest, ...]] = {
        "service-account.yaml": (service_account(placed),),
        "network-policies.yaml": network_policies(placed),
        "migrate-job.yaml": (migration_job(placed),),
        "worker-deployment.yaml": (worker_deployment(placed), disruption_budget(placed, "worker")),
    }
    if server is not None:
        made["model-server.yaml"] = model_manifests(placed, server)
    if placed.space.deployment_type is DeploymentType.BATCH:
        return made
    scaler = autoscaler(placed)
    made["serve-deployment.yaml"] = (serve_deployment(placed), disruption_budget(placed, "serve"))
    made["serve-service.yaml"] = (service(placed),)
    made["serve-ingress.yaml"] = (ingress(placed),)
    if scaler is not None:
        made["serve-autoscaler.yaml"] = (scaler,)
    made["serve-monitor.yaml"] = (service_monitor(placed),)
    return made


def render_kubernetes(placed: Placed, made: Mapping[str, tuple[Manifest, ...]]) -> dict[str, str]:
    """Return the manifests for `kubectl apply -k`."""
    head = f"# {mark_of(placed.space.name)}\n"
    files = {
        name: head + "---\n".join(as_yaml(_inside(one, placed.cluster.namespace)) for one in found)
        for name, found in made.items()
    }
    index: Manifest = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(made),
    }
    return {"kustomization.yaml": head + as_yaml(index), **files}


def _inside(manifest: Manifest, namespace: str) -> Manifest:
    metadata = cast(Mapping[str, Tree], manifest["metadata"])
    return {**manifest, "metadata": {"name": metadata["name"], "namespace": namespace, **metadata}}


_FORMS: Final[Mapping[Form, Renders]] = {Form.KUBERNETES: render_kubernetes, Form.HELM: render_helm}


def render(placed: Placed, form: Form) -> dict[str, str]:
    """Return the files of a placed space."""
    return _FORMS[form](placed, manifests(placed))
