"""The self-hosted model of a space: the one workload with a GPU, reached by our own pods alone.

Rule: it gets the GPU that the space's file names, on nodes that have it; nothing leaves it. Fail mode: a node without a
free GPU leaves it waiting.
"""

from __future__ import annotations

from pilotage.adapters.targets.network import policy
from pilotage.adapters.targets.placed import Placed, resources
from pilotage.adapters.targets.pods import CONTAINED, shielded
from pilotage.adapters.targets.tree import Manifest, Setting, Tree
from pilotage.adapters.targets.workloads import deployment
from pilotage.workspace.kubernetes import ModelServerSettings


def model_manifests(placed: Placed, server: ModelServerSettings) -> tuple[Manifest, ...]:
    """Return Deployment, Service and NetworkPolicy of the model."""
    ours: Tree = [{"podSelector": {"matchLabels": placed.selector(one)}} for one in ("serve", "worker")]
    inward: Tree = [{"from": ours, "ports": [{"protocol": "TCP", "port": server.port}]}]
    port: Tree = {"name": "https", "port": 443, "targetPort": "https", "protocol": "TCP", "appProtocol": "https"}
    spec: Tree = {"type": "ClusterIP", "selector": placed.selector("model"), "ports": [port]}
    replicas = Setting(path="model.replicas", value=1)
    pod = _pod(placed, server)
    return (
        deployment(placed, "model", pod, replicas=replicas, strategy={"type": "Recreate"}, deadline_s=2400),
        {"apiVersion": "v1", "kind": "Service", "metadata": placed.metadata("model"), "spec": spec},
        policy(placed, "model", inward, []),
    )


def _pod(placed: Placed, server: ModelServerSettings) -> dict[str, Tree]:
    asks: dict[str, Tree] = {"httpGet": {"path": server.health_path, "port": "https", "scheme": "HTTPS"}}
    size = resources(server.vcpu, server.memory_bytes, gpus=1)
    mounts: list[Tree] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - as above
        {"name": "tls", "mountPath": "/tls", "readOnly": True},
    ]
    certificate = Setting(path="model.tlsSecret", value=server.tls_secret)
    volumes: list[Tree] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8G"}},
        {"name": "tls", "secret": {"secretName": certificate, "defaultMode": 0o440}},
    ]
    if server.claim is not None:
        claim = Setting(path="model.claim", value=server.claim)
        mounts.append({"name": "models", "mountPath": "/models", "readOnly": True})
        volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    container: dict[str, Tree] = {
        "name": "model",
        "image": Setting(path="model.image", value=server.image),
        "imagePullPolicy": "IfNotPresent",
        "args": list(server.args),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - as above
        "ports": [{"name": "https", "containerPort": server.port, "protocol": "TCP"}],
        "startupProbe": {**asks, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 180},
        "readinessProbe": {**asks, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**asks, "periodSeconds": 30, "timeoutSeconds": 5, "failureThreshold": 3},
        "resources": Setting(path="model.resources", value=size),
        "securityContext": CONTAINED,
        "volumeMounts": mounts,
    }
    selector = {**placed.cluster.node_selector, **dict([placed.gpu_selector] if placed.gpu_selector else [])}
    return {
        **shielded(placed),
        "containers": [container],
        "volumes": volumes,
        "nodeSelector": Setting(path="model.nodeSelector", value=selector),
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }
