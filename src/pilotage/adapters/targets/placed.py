"""A space and the cluster it is placed on: names, labels and settings that its manifests share.

Fail mode: UsageError that says what to write where nothing that starts could be made; what else stands in the way of a
process is told as a finding (`findings.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Final

from pilotage.adapters.targets.clear import check_clear
from pilotage.adapters.targets.secret_files import secret_files
from pilotage.adapters.targets.tree import Setting, Tree
from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.space.settings import Space, Target
from pilotage.workspace.kubernetes import KubernetesSettings, ModelServerSettings
from pilotage.workspace.records import Workspace

SERVE_PORT: Final = 8080
MARK: Final = "Rendered by `pilotage space render`"
"""Begins what stands at the head of every file; `mark_of` says whose it is."""
_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*")
_SECRET_FIELDS = re.compile(r".*_(?:ref|secret)")
_UNITS: Final = (
    *((10**12, "T"), (10**9, "G"), (10**6, "M")),
    *((2**40, "Ti"), (2**30, "Gi"), (2**20, "Mi"), (1000, "k"), (1024, "Ki")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What is rendered. `cluster` are the settings of the space's zone; `gpu_selector` the label of nodes with its GPU.

    `references` are where the workspace says its secrets are: `env:NAME`, `file:PATH`.
    """

    workspace: Workspace
    space: Space
    cluster: KubernetesSettings
    gpu_selector: tuple[str, str] | None
    references: tuple[str, ...]

    @property
    def model_server(self) -> ModelServerSettings | None:
        """The self-hosted model; a space without a GPU has none."""
        return None if self.space.hardware.gpu is None else self.cluster.model_server

    @property
    def base(self) -> str:
        """The space's name as Kubernetes takes it: a Service begins with a letter."""
        name = self.space.name.rstrip("-")
        return name if name[0].isalpha() else f"space-{name}"

    def name(self, component: str) -> str:
        """Return the name of a component's resources; at most 57 characters with any component."""
        return f"{self.base}-{component}"

    def selector(self, component: str) -> dict[str, Tree]:
        """Return the labels that find a component's pods: they never change."""
        return {
            "app.kubernetes.io/name": "pilotage",
            "app.kubernetes.io/instance": self.base,
            "app.kubernetes.io/component": component,
        }

    def metadata(self, component: str, *, name: str | None = None, **more: Tree) -> dict[str, Tree]:
        """Return the metadata of a resource."""
        return {"name": name or self.name(component), "labels": self.labels(component), **more}

    def labels(self, component: str) -> dict[str, Tree]:
        """Return the labels of a component's resources."""
        return {**self.selector(component), "app.kubernetes.io/part-of": self.workspace.id.rstrip("-")}

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names it is reached by."""
        return self.space.hosts or (f"{self.base}.{self.cluster.domain}",)

    @property
    def secret(self) -> Setting:
        """The Secret whose keys are environment variables."""
        return Setting(path="secretName", value=self.cluster.secret)


def mark_of(space: str) -> str:
    """Return what stands at the head of every file of a space."""
    return f"{MARK} from spaces/{space}.yaml and pilotage.yaml: change those."


def place(workspace: Workspace, space: Space) -> Placed:
    """Place a space on the cluster that `pilotage.yaml` describes; UsageError for what is missing there."""
    declared = workspace.kubernetes
    if declared is None:
        message = "pilotage.yaml does not describe a cluster."
        hint = "Write kubernetes: {image: registry/pilotage@sha256:..., ingress: ..., monitoring: ..., egress: [...]}."
        raise UsageError("KUBERNETES_MISSING", message, hint=hint)
    if space.target is Target.WATSONX:
        message = f"The space {space.name} says target: {space.target}."
        raise UsageError("TARGET_OTHER", message, hint=f"Write target: kubernetes in spaces/{space.name}.yaml.")
    cluster = declared.in_region(space.region)
    if cluster is None:
        where = "has no region" if space.region is None else f"stands in {space.region}, which no zone covers"
        hint = f"Zones of pilotage.yaml: {', '.join(declared.zones)}. Add one to kubernetes.zones, or write its region."
        raise UsageError("ZONE_MISSING", f"The space {space.name} {where}.", hint=hint)
    if not space.hosts and cluster.domain is None:
        hint = "Write kubernetes.domain: pilotage.bank.example in pilotage.yaml, or `hosts` in the space's file."
        raise UsageError("HOST_MISSING", f"The space {space.name} has no name to be reached by.", hint=hint)
    references = tuple(sorted(set(_references(workspace))))
    check_clear(cluster)
    secret_files(references)
    return Placed(
        workspace=workspace,
        space=space,
        cluster=cluster,
        gpu_selector=_gpu_selector(workspace, space, cluster),
        references=references,
    )


def _gpu_selector(workspace: Workspace, space: Space, cluster: KubernetesSettings) -> tuple[str, str] | None:
    gpu = space.hardware.gpu
    if gpu is None or cluster.model_server is None:
        return None
    label = workspace.gpu_selectors.get(gpu)
    if label is None:
        hint = f"Write gpu_selectors: {{{gpu}: KEY=VALUE}} in pilotage.yaml, the label of nodes that have it."
        raise UsageError("GPU_SELECTOR_MISSING", f"Nothing says which nodes have the GPU {gpu}.", hint=hint)
    key, _, value = label.rpartition("=")
    return key or "nvidia.com/gpu.product", value


def _references(value: object) -> Iterator[str]:
    """Return every reference to a secret in the declared records."""
    if is_dataclass(value):
        for one in fields(value):
            inner = getattr(value, one.name)
            if isinstance(inner, str) and _SECRET_FIELDS.fullmatch(one.name) and _REFERENCE.fullmatch(inner):
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _references(inner)


def quantity(size: int) -> str:
    """Return bytes as Kubernetes writes them: `8G` of 8,000,000,000, `16Gi` of 17,179,869,184."""
    for factor, unit in _UNITS:
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def resources(vcpu: int, memory_bytes: int, *, gpus: int = 0) -> dict[str, Json]:
    """Return requests that equal their limits: the pod gets what the space's file says, no less and no more."""
    asked: dict[str, Json] = {"cpu": str(vcpu), "memory": quantity(memory_bytes)}
    if gpus:
        asked["nvidia.com/gpu"] = gpus
    return {"requests": asked, "limits": dict(asked)}
