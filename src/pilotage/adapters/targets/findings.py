"""What would keep the processes of a rendered space from starting, being ready, or being what its file says.

Rule: told with the files, never in place of them: they are read and compared before they are applied. Fail mode: what
only the cluster knows (its labels, its volumes, its operators) is not judged here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from pilotage.adapters.targets.placed import Placed
from pilotage.adapters.targets.scaling import DEFAULT_CPU
from pilotage.core.reason import Reason
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace

_TEXTS: Final = MappingProxyType(
    {
        "LOCAL_ONLY": "Local identity mode serves loopback only: these pods will not start. "
        "Write identity: {{mode: oidc, oidc: {{...}}}}.",
        "HEALTH_PEERS": "/readyz and /metrics answer nobody in a cluster, so no pod becomes ready. "
        "Write gateway.health_peers: the networks of nodes and of Prometheus.",
        "TRUSTED_PROXIES": "Every caller would count as the Ingress controller, for allowed_ips too. "
        "Write gateway.trusted_proxies: the network of its pods.",
        "INDEX_MEMORY": "An index may take half of the node's memory, more than the pod has. "
        "Write index: {{memory_limit: {half}MB}} in pilotage.yaml, or less.",
        "TARGET_CPU_ASSUMED": "No scaling.target_cpu: {cpu} % is aimed at, as Kubernetes does by itself.",
        "CLEAR_INSIDE": "encryption_in_transit: TLS ends at the Ingress. Encrypt from there to the pods by a mesh or "
        "the cluster's network, and to the database by sslmode=verify-full in DATABASE_URL.",
        "GPU_RECORDED": "gpu: {gpu} is recorded only: pilotage.yaml declares no kubernetes.model_server to use it.",
        "MODEL_UNUSED": "No provider leads to the model server. Write base_url: {address}/v1 for one.",
    }
)


def findings(placed: Placed) -> tuple[Reason, ...]:
    """Return every finding, with what to write instead."""
    hardware = placed.space.hardware
    values = {
        "half": hardware.memory_bytes // 2_000_000,
        "cpu": DEFAULT_CPU,
        "gpu": hardware.gpu,
        "address": _address(placed),
    }
    codes = (*_starting(placed.workspace), *_settings(placed), *_model(placed))
    return tuple(Reason(code=code, text=_TEXTS[code].format(**values), where=placed.space.name) for code in codes)


def _starting(workspace: Workspace) -> Iterator[str]:
    if workspace.identity.mode is IdentityMode.LOCAL:
        yield "LOCAL_ONLY"
    if all(ipaddress.ip_network(one).is_loopback for one in workspace.gateway.health_peers):
        yield "HEALTH_PEERS"
    if not workspace.gateway.trusted_proxies:
        yield "TRUSTED_PROXIES"


def _settings(placed: Placed) -> Iterator[str]:
    space, limit = placed.space, placed.workspace.index.memory_limit
    scaling = space.scaling
    if limit is None or limit > space.hardware.memory_bytes:
        yield "INDEX_MEMORY"
    if scaling.max_instances > scaling.min_instances and scaling.target_cpu is None:
        yield "TARGET_CPU_ASSUMED"
    if space.security.encryption_in_transit:
        yield "CLEAR_INSIDE"


def _model(placed: Placed) -> Iterator[str]:
    if placed.space.hardware.gpu is not None and placed.model_server is None:
        yield "GPU_RECORDED"
    providers = placed.workspace.providers.values()
    if placed.model_server is not None and not any(one.base_url.startswith(_address(placed)) for one in providers):
        yield "MODEL_UNUSED"


def _address(placed: Placed) -> str:
    return f"https://{placed.name('model')}.{placed.cluster.namespace}.svc"
