"""Who reaches the pods, and whom they reach: Service, Ingress, NetworkPolicies, ServiceMonitor.

Rule: an Ingress leads to what people and clients use and to nothing else: `/metrics`, `/healthz` and `/readyz` stay
inside, and so do other spaces. Pods connect to what is declared. Fail mode: what no policy allows is dropped.
"""

from __future__ import annotations

from typing import Final

from pilotage.adapters.targets.placed import SERVE_PORT, Placed
from pilotage.adapters.targets.tree import Manifest, Setting, Tree
from pilotage.core.canonical import Json
from pilotage.workspace.kubernetes import ModelServerSettings

PAGES: Final = (
    *("api", "ask", "cab", "compare", "corpora", "evidence", "help", "inbox", "incidents", "interactions", "ledger"),
    *("live", "login", "logout", "packs", "portfolio", "profile", "releases", "rollouts", "search", "static", "theme"),
    "workflows",
)
"""First words of the addresses of the console and the API."""
_NAMESPACE: Final = "kubernetes.io/metadata.name"


def service(placed: Placed) -> Manifest:
    """Return the Service of `serve`."""
    port: Tree = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
    spec: Tree = {"type": "ClusterIP", "selector": placed.selector("serve"), "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": placed.metadata("serve"), "spec": spec}


def ingress(placed: Placed) -> Manifest:
    """Return the Ingress: TLS always, and the addresses that people and clients use."""
    settings = placed.cluster.ingress
    hosts: list[Tree] = [
        Setting(path="ingress.host" if not n else f"ingress.host{n + 1}", value=host)
        for n, host in enumerate(placed.hosts)
    ]
    rule: Tree = {"paths": _paths(placed)}
    certificate = Setting(path="ingress.tlsSecret", value=settings.tls_secret or placed.name("tls"))
    annotations = Setting(path="ingress.annotations", value=dict(settings.annotations))
    spec: Tree = {
        "ingressClassName": Setting(path="ingress.className", value=settings.class_name),
        "tls": [{"hosts": hosts, "secretName": certificate}],
        "rules": [{"host": host, "http": rule} for host in hosts],
    }
    metadata = placed.metadata("serve", annotations=annotations)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def _paths(placed: Placed) -> list[Tree]:
    backend: Tree = {"service": {"name": placed.name("serve"), "port": {"name": "http"}}}
    is_default = placed.workspace.gateway.default_space == placed.space.name
    prefixes = (f"/spaces/{placed.space.name}/v1", *(("/v1",) if is_default else ()), *(f"/{one}" for one in PAGES))
    exact: Tree = {"path": "/", "pathType": "Exact", "backend": backend}
    return [exact, *({"path": path, "pathType": "Prefix", "backend": backend} for path in prefixes)]


def network_policies(placed: Placed) -> tuple[Manifest, ...]:
    """Return who may connect to each kind of pod, and that they all reach names and what is declared alone."""
    entering = Setting(path="ingress.namespace", value=placed.cluster.ingress.namespace)
    scraping = Setting(path="monitoring.namespace", value=placed.cluster.monitoring.namespace)
    callers: Tree = [{"namespaceSelector": {"matchLabels": {_NAMESPACE: one}}} for one in (entering, scraping)]
    inward: Tree = [{"from": callers, "ports": [{"protocol": "TCP", "port": SERVE_PORT}]}]
    to_model: list[Tree] = [] if placed.model_server is None else [_to_model(placed, placed.model_server)]
    return (
        policy(placed, "serve", inward, [_to_names(placed), *to_model]),
        policy(placed, "worker", [], [_to_names(placed), *to_model]),
        policy(placed, "migrate", [], [_to_names(placed)]),
        _outside(placed),
    )


def policy(placed: Placed, component: str, inward: Tree, outward: Tree) -> Manifest:
    """Return the NetworkPolicy of one kind of pod; an empty list allows nothing."""
    spec: Tree = {
        "podSelector": {"matchLabels": placed.selector(component)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": inward,
        "egress": outward,
    }
    return _made(placed, component, spec)


def _to_names(placed: Placed) -> Tree:
    """Return that pods may ask the cluster's DNS."""
    where: Tree = {"namespaceSelector": {"matchLabels": {_NAMESPACE: placed.cluster.dns_namespace}}}
    ports: Tree = [{"protocol": protocol, "port": placed.cluster.dns_port} for protocol in ("UDP", "TCP")]
    return {"to": [where], "ports": ports}


def _to_model(placed: Placed, server: ModelServerSettings) -> Tree:
    pods: Tree = {"podSelector": {"matchLabels": placed.selector("model")}}
    return {"to": [pods], "ports": [{"protocol": "TCP", "port": server.port}]}


def _outside(placed: Placed) -> Manifest:
    """Return where our own processes may connect to besides: the database, providers, the proxy."""
    rules: Json = [
        {
            "to": [{"ipBlock": {"cidr": network}} for network in one.networks],
            "ports": [{"protocol": "TCP", "port": port} for port in one.ports],
        }
        for one in placed.cluster.egress
    ]
    labels = dict(placed.selector("serve"))
    component = "app.kubernetes.io/component"
    del labels[component]
    ours: Tree = {"key": component, "operator": "In", "values": ["serve", "worker", "migrate"]}
    spec: Tree = {
        "podSelector": {"matchLabels": labels, "matchExpressions": [ours]},
        "policyTypes": ["Egress"],
        "egress": Setting(path="egress", value=rules),
    }
    return _made(placed, "outside", spec)


def _made(placed: Placed, component: str, spec: Tree) -> Manifest:
    metadata = placed.metadata(component)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def service_monitor(placed: Placed) -> Manifest:
    """Return what tells Prometheus's operator to read `/metrics`."""
    metadata = placed.metadata("serve")
    metadata["labels"] = {**placed.labels("serve"), **placed.cluster.monitoring.labels}
    endpoint: Tree = {"port": "http", "path": "/metrics", "interval": "30s", "scrapeTimeout": "10s"}
    spec: Tree = {"selector": {"matchLabels": placed.selector("serve")}, "endpoints": [endpoint]}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": metadata, "spec": spec}
