"""What `pilotage.yaml: kubernetes` says of the cluster, for manifests of a space (operations.md 12).

Rule: secrets and signing keys are named, never held; an image is named by its digest. Everything else about a space's
pods stands in the space's own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Where pods may connect to: CIDR ranges and TCP ports."""

    networks: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressSettings:
    """`class_name` and `namespace` are those of the Ingress controller; `tls_secret` holds the certificate.

    `tls_secret` None: `<space>-tls`.
    """

    class_name: str
    namespace: str
    tls_secret: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeSettings:
    """Where Prometheus runs; `prometheus` is its address for KEDA; `labels` are those its ServiceMonitors carry."""

    namespace: str
    prometheus: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """None: as many as the space has at least, at most two; as large as an instance of the space."""

    replicas: int | None = None
    vcpu: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelServerSettings:
    """A self-hosted model: the one workload that gets the space's GPU.

    It speaks TLS, with what `tls_secret` holds mounted at `/tls`: a provider's address is https. `claim` is mounted,
    read-only, at `/models`.
    """

    image: str
    port: int
    tls_secret: str
    vcpu: int
    memory_bytes: int
    args: tuple[str, ...] = ()
    health_path: str = "/health"
    claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """What stands apart in a jurisdiction or region: database, keys, names, ways out, nodes; None: as elsewhere."""

    secret: str | None = None
    claim: str | None = None
    domain: str | None = None
    egress: tuple[Outside, ...] | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """One cluster, or several by `zones`, whose keys are regions (`us-east-1`) or jurisdictions (`us`).

    `secret` names the Secret whose keys are environment variables; `claim` the shared volume of signing keys and
    checkpoints. `user_id` None leaves it to the platform. `workspace_claim`: the workspace's folder is on this volume,
    not in the image.
    """

    image: str
    namespace: str
    domain: str | None
    secret: str
    claim: str
    ingress: IngressSettings
    monitoring: ScrapeSettings
    egress: tuple[Outside, ...]
    pull_secret: str | None = None
    workspace_claim: str | None = None
    user_id: int | None = 10001
    dns_namespace: str = "kube-system"
    dns_port: int = 53
    worker: WorkerSettings = WorkerSettings()
    model_server: ModelServerSettings | None = None
    zones: Mapping[str, Zone] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)

    def in_region(self, region: str | None) -> KubernetesSettings | None:
        """Return the settings of a region's zone; None when zones are declared and none is the region's."""
        if not self.zones:
            return self
        zone = self.zones.get(region or "") or self.zones.get((region or "").partition("-")[0])
        if zone is None:
            return None
        return replace(
            self,
            secret=zone.secret or self.secret,
            claim=zone.claim or self.claim,
            domain=zone.domain or self.domain,
            egress=self.egress if zone.egress is None else zone.egress,
            node_selector={**self.node_selector, **zone.node_selector},
        )
