"""How many `serve` pods run: by CPU with an autoscaler of Kubernetes, by latency besides through KEDA.

Rule (operations.md 12): up when p95 was above `target_latency_ms` for 2 minutes, down when it was below 60 % of it for
10; between the two nothing moves. KEDA makes its own autoscaler, so there is one or the other. Fail mode: without
numbers of latency their number stays; CPU still counts.
"""

from __future__ import annotations

from typing import Final

from pilotage.adapters.targets.placed import Placed
from pilotage.adapters.targets.tree import Manifest, Setting, Tree
from pilotage.core.errors import UsageError

DEFAULT_CPU: Final = 80
"""What Kubernetes itself aims at where nothing is said."""
UP_AFTER_S: Final = 120
DOWN_AFTER_S: Final = 600
CPU_DOWN_AFTER_S: Final = 300
CALM_PERCENT: Final = 60
"""Share of the latency aimed at below which fewer pods would do."""
ABOVE_PERCENT: Final = 120
BELOW_PERCENT: Final = 50
"""What the autoscaler is told at least when p95 is above, and at most when it is calm: it ignores what is within 10 %
of its aim, and rounds up, so that two pods become one only at half of it or less.
"""


def autoscaler(placed: Placed) -> Manifest | None:
    """Return what scales `serve`; None where its number is fixed."""
    scaling = placed.space.scaling
    if scaling.min_instances == scaling.max_instances:
        return None
    return _by_cpu(placed) if scaling.target_latency_ms is None else _by_latency(placed, scaling.target_latency_ms)


def _cpu(placed: Placed) -> int:
    target = placed.space.scaling.target_cpu
    return DEFAULT_CPU if target is None else round(100 * target)


def _bounds(placed: Placed) -> tuple[Setting, Setting]:
    scaling = placed.space.scaling
    return (
        Setting(path="serve.minReplicas", value=scaling.min_instances),
        Setting(path="serve.maxReplicas", value=scaling.max_instances),
    )


def _by_cpu(placed: Placed) -> Manifest:
    least, most = _bounds(placed)
    aim: Tree = {"type": "Utilization", "averageUtilization": Setting(path="serve.targetCpu", value=_cpu(placed))}
    spec: Tree = {
        "scaleTargetRef": _target(placed),
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": aim}}],
        "behavior": _behaviour(0, CPU_DOWN_AFTER_S),
    }
    metadata = placed.metadata("serve")
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _by_latency(placed: Placed, target_ms: int) -> Manifest:
    address = placed.cluster.monitoring.prometheus
    if address is None:
        hint = "Write kubernetes.monitoring.prometheus: http://prometheus.monitoring.svc:9090 in pilotage.yaml."
        message = f"The space {placed.space.name} scales by latency, and nothing says where Prometheus answers."
        raise UsageError("PROMETHEUS_MISSING", message, hint=hint)
    least, most = _bounds(placed)
    latency: Tree = {
        "type": "prometheus",
        "name": "latency",
        "metricType": "Value",
        "metadata": {
            "serverAddress": Setting(path="monitoring.prometheus", value=address),
            "query": latency_query(placed.space.name, target_ms),
            "threshold": _seconds(target_ms),
        },
    }
    cpu: Tree = {
        "type": "cpu",
        "name": "cpu",
        "metricType": "Utilization",
        "metadata": {"value": Setting(path="serve.targetCpu", value=str(_cpu(placed)))},
    }
    spec: Tree = {
        "scaleTargetRef": _target(placed),
        "minReplicaCount": least,
        "maxReplicaCount": most,
        "pollingInterval": 30,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behaviour(UP_AFTER_S, DOWN_AFTER_S)}},
        "triggers": [latency, cpu],
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": placed.metadata("serve"),
        "spec": spec,
    }


def latency_query(space: str, target_ms: int) -> str:
    """Return p95 in seconds where it should move the number of pods, else the very latency aimed at.

    Above the aim it is at least `ABOVE_PERCENT` of it, and where it is calm at most `BELOW_PERCENT`.
    Without a request p95 is not a number: nobody waits, so it counts as 0. Without any series it is what is aimed at.
    """
    of_space = f'{{space="{space}"}}'
    name = "pilotage_request_duration_seconds"
    p95 = f"histogram_quantile(0.95, sum by (le) (rate({name}_bucket{of_space}[2m])))"
    idle = f"sum(rate({name}_count{of_space}[2m])) == 0"
    target, calm = _seconds(target_ms), _seconds(CALM_PERCENT * target_ms // 100)
    above, below = _seconds(-(-ABOVE_PERCENT * target_ms // 100)), _seconds(BELOW_PERCENT * target_ms // 100)
    up, down = f"clamp_min({p95} > {target}, {above})", f"clamp_max({p95} < {calm}, {below})"
    return f"{up} or {down} or ({idle}) or vector({target})"


def _seconds(ms: int) -> str:
    whole, rest = divmod(ms, 1000)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


def _target(placed: Placed) -> Tree:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": placed.name("serve")}


def _behaviour(up_after_s: int, down_after_s: int) -> Tree:
    """Return how fast: at most doubled, or four more, a minute; at most one pod less in two."""
    up: list[Tree] = [
        {"type": "Percent", "value": 100, "periodSeconds": 60},
        {"type": "Pods", "value": 4, "periodSeconds": 60},
    ]
    down: list[Tree] = [{"type": "Pods", "value": 1, "periodSeconds": 120}]
    return {
        "scaleUp": {"stabilizationWindowSeconds": up_after_s, "selectPolicy": "Max", "policies": up},
        "scaleDown": {"stabilizationWindowSeconds": down_after_s, "policies": down},
    }
