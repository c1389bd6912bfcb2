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
from pilotage.core.urls import place_of
from pilotage.guard.policy import model_networks
from pilotage.space.settings import DeploymentType, LogLevel, Space, Target, Tier
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

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
        "LOG_LEVEL_RECORDED": "log_level: {log_level} is recorded only: processes write warnings and what is worse. "
        "Write log_level: WARNING, or leave it out.",
        "GPU_RECORDED": "gpu: {gpu} is recorded only: pilotage.yaml declares no kubernetes.model_server to use it.",
        "MODEL_UNUSED": "No workflow asks the model server. "
        "Write base_url: https://{model}/v1 in model.yaml, or endpoint in retrieval.yaml.",
        "MODEL_PRIVATE": "A name below .svc is a private address, which {private} may not call. Write allow_private: "
        "[the network of Services] at its egress in guard.yaml; PILOTAGE_PROXY_EXCEPT must name it where there is a "
        "proxy.",
        "SIGN_IN_HOST": "Nobody can sign in here: identity.oidc.sign_in.public_url leads to {sign_in}, which is not on "
        "the Ingress. Write hosts: [{sign_in}] in spaces/{space}.yaml, or https://{host} as public_url.",
        "EGRESS_EVERYWHERE": "kubernetes.egress lets these pods connect to every address. "
        "Write the networks of the database, the proxy and the providers.",
        "JURISDICTION_SHARED": "The Secret or the claim is also that of {abroad}, in another jurisdiction. "
        "Write kubernetes.zones with a secret and a claim for each: a database, a master key and a ledger of its own.",
        "TIER_SHARED": "The Secret or the claim is also that of {below}: production beside development. "
        "Write kubernetes.zones with a secret and a claim for each, by their regions.",
    }
)


def findings(placed: Placed) -> tuple[Reason, ...]:
    """Return every finding, with what to write instead."""
    hardware = placed.space.hardware
    values = {
        "half": hardware.memory_bytes // 2_000_000,
        "cpu": DEFAULT_CPU,
        "gpu": hardware.gpu,
        "log_level": placed.space.monitoring.log_level,
        "model": _model_host(placed),
        "private": ", ".join(_without_private(placed.workspace)),
        "sign_in": _sign_in_host(placed.workspace),
        "space": placed.space.name,
        "host": placed.hosts[0],
        "abroad": ", ".join(one.name for one in _sharing(placed) if _is_abroad(one, placed.space)),
        "below": ", ".join(one.name for one in _sharing(placed) if _is_beside(one, placed.space)),
    }
    codes = (*_starting(placed), *_settings(placed), *_apart(placed), *_model(placed))
    return tuple(Reason(code=code, text=_TEXTS[code].format(**values), where=placed.space.name) for code in codes)


def _starting(placed: Placed) -> Iterator[str]:
    workspace = placed.workspace
    if workspace.identity.mode is IdentityMode.LOCAL:
        yield "LOCAL_ONLY"
    if all(ipaddress.ip_network(one).is_loopback for one in workspace.gateway.health_peers):
        yield "HEALTH_PEERS"
    if not workspace.gateway.trusted_proxies:
        yield "TRUSTED_PROXIES"
    host = _sign_in_host(workspace)
    if host is not None and host not in placed.hosts and placed.space.deployment_type is not DeploymentType.BATCH:
        yield "SIGN_IN_HOST"


def _settings(placed: Placed) -> Iterator[str]:
    space, limit = placed.space, placed.workspace.index.memory_limit
    scaling = space.scaling
    if limit is None or limit > space.hardware.memory_bytes:
        yield "INDEX_MEMORY"
    if scaling.max_instances > scaling.min_instances and scaling.target_cpu is None:
        yield "TARGET_CPU_ASSUMED"
    if space.monitoring.log_level not in {LogLevel.INFO, LogLevel.WARNING}:  # at INFO no line of ours is written
        yield "LOG_LEVEL_RECORDED"
    if space.security.encryption_in_transit:
        yield "CLEAR_INSIDE"


def _model(placed: Placed) -> Iterator[str]:
    if placed.space.hardware.gpu is not None and placed.model_server is None:
        yield "GPU_RECORDED"
    asked = {place[0] for one in placed.workspace.workflows.values() for place in _model_places(one)}
    host = _model_host(placed)
    if placed.model_server is not None and not asked & {host, f"{host}.cluster.local"}:
        yield "MODEL_UNUSED"
    if any(_without_private(placed.workspace)):
        yield "MODEL_PRIVATE"


def _apart(placed: Placed) -> Iterator[str]:
    networks = [ipaddress.ip_network(network) for outside in placed.cluster.egress for network in outside.networks]
    if any(one.prefixlen == 0 for one in networks):
        yield "EGRESS_EVERYWHERE"
    if any(_is_abroad(one, placed.space) for one in _sharing(placed)):
        yield "JURISDICTION_SHARED"
    if any(_is_beside(one, placed.space) for one in _sharing(placed)):
        yield "TIER_SHARED"


def _sharing(placed: Placed) -> Iterator[Space]:
    """Return the other spaces that are given the same Secret or claim."""
    declared = placed.workspace.kubernetes
    for one in placed.workspace.spaces.values():
        cluster = None if declared is None or one.target is Target.WATSONX else declared.in_region(one.region)
        if one.name == placed.space.name or cluster is None:
            continue
        if cluster.secret == placed.cluster.secret or cluster.claim == placed.cluster.claim:
            yield one


def _is_abroad(one: Space, other: Space) -> bool:
    jurisdictions = {space.region.partition("-")[0] for space in (one, other) if space.region is not None}
    return len(jurisdictions) > 1


def _is_beside(one: Space, other: Space) -> bool:
    tiers = {one.tier, other.tier}
    return Tier.PRODUCTION in tiers and bool(tiers & {Tier.SANDBOX, Tier.DEV})


def _sign_in_host(workspace: Workspace) -> str | None:
    oidc = workspace.identity.oidc
    return None if oidc is None or oidc.sign_in is None else place_of(oidc.sign_in.public_url)[0]


def _model_host(placed: Placed) -> str:
    return f"{placed.name('model')}.{placed.cluster.namespace}.svc"


def _model_places(workflow: Workflow) -> Iterator[tuple[str, int]]:
    """Return host and port of the model and of the embedding model."""
    embedding = workflow.retrieval.embedding
    endpoint = None if embedding is None or embedding.path is not None else embedding.endpoint
    yield from (place_of(address) for address in (workflow.model.base_url, endpoint) if address is not None)


def _without_private(workspace: Workspace) -> Iterator[str]:
    """Return the workflows with a model in the cluster that their egress does not let them call."""
    for name, workflow in workspace.workflows.items():
        inside = [one for one in _model_places(workflow) if one[0].endswith((".svc", ".svc.cluster.local"))]
        if not all(model_networks(workflow.guard.egress, *one) for one in inside):
            yield name
