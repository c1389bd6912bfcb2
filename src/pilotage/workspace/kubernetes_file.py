"""Reads `kubernetes` of `pilotage.yaml`. Names and labels are those that Kubernetes takes.

Fail mode: every mistake at once; an image by a tag is one.
"""

from __future__ import annotations

import re

from pilotage.core.fields import TEXT, Fields, Reader, integer, list_of, map_of, matching, record
from pilotage.core.located import Located, Problems
from pilotage.core.readers import BYTES, NETWORK
from pilotage.workspace.kubernetes import (
    IngressSettings,
    KubernetesSettings,
    ModelServerSettings,
    Outside,
    ScrapeSettings,
    WorkerSettings,
    Zone,
)

_IMAGE = re.compile(
    r"[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+@sha256:[0-9a-f]{64}"
)
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SELECTOR = re.compile(rf"(?:{_KEY.pattern}=)?{_LABEL.pattern}")

IMAGE = matching(_IMAGE, "an image by its digest: registry.bank.example/pilotage@sha256:<64 hex digits>")
NAME = matching(_NAME, "a name of lower-case letters, digits and hyphens, at most 63 characters")
DOMAIN = matching(
    re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)+"),
    "a domain in lower case: pilotage.bank.example",
)
GPU_SELECTOR = matching(_SELECTOR, "the label of nodes that have it, KEY=VALUE: nvidia.com/gpu.product=Tesla-T4")
_PROMETHEUS = matching(
    re.compile(r"https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9/_.-]*)?"),
    "Prometheus as KEDA reaches it: http://prometheus.monitoring.svc:9090",
)
_PATH = matching(re.compile(r"/[A-Za-z0-9/_.-]*"), "a path such as /health")
_LABELS = map_of(
    matching(_LABEL, "a label's value: letters, digits, - _ ., at most 63"), key=_KEY, form="a label's key"
)
_ANNOTATIONS = map_of(TEXT, key=_KEY, form="an annotation's key: PREFIX/NAME")
_PORT = integer(1, 65_535)


def parse_kubernetes(fields: Fields) -> KubernetesSettings:
    """Read the settings of the cluster."""
    return KubernetesSettings(
        image=fields.need("image", IMAGE),
        namespace=fields.get("namespace", NAME, "pilotage"),
        domain=fields.get("domain", DOMAIN, None),
        secret=fields.get("secret", NAME, "pilotage"),
        claim=fields.get("claim", NAME, "pilotage-keys"),
        ingress=fields.need("ingress", record(_ingress)),
        monitoring=fields.need("monitoring", record(_monitoring)),
        egress=fields.need("egress", _EGRESS),
        pull_secret=fields.get("pull_secret", NAME, None),
        workspace_claim=fields.get("workspace_claim", NAME, None),
        user_id=fields.get("user_id", _USER, 10_001),
        dns_namespace=fields.get("dns_namespace", NAME, "kube-system"),
        dns_port=fields.get("dns_port", _PORT, 53),
        worker=fields.get("worker", record(_worker), WorkerSettings()),
        model_server=fields.get("model_server", record(_model_server), None),
        zones=fields.get("zones", map_of(record(_zone)), {}),
        node_selector=fields.get("node_selector", _LABELS, {}),
    )


def _user(at: Located, problems: Problems) -> int | None:
    return None if at.node == "platform" else integer(1, 2**31 - 1).read(at, problems)


_USER: Reader[int | None] = Reader(read=_user, stand_in=lambda: None)


def _outside(fields: Fields) -> Outside:
    return Outside(
        networks=fields.need("networks", list_of(NETWORK, or_one=True, at_least=1)),
        ports=fields.need("ports", list_of(_PORT, or_one=True, at_least=1)),
    )


_EGRESS = list_of(record(_outside), at_least=1)


def _ingress(fields: Fields) -> IngressSettings:
    return IngressSettings(
        class_name=fields.need("class", NAME),
        namespace=fields.need("namespace", NAME),
        tls_secret=fields.get("tls_secret", NAME, None),
        annotations=fields.get("annotations", _ANNOTATIONS, {}),
    )


def _monitoring(fields: Fields) -> ScrapeSettings:
    return ScrapeSettings(
        namespace=fields.need("namespace", NAME),
        prometheus=fields.get("prometheus", _PROMETHEUS, None),
        labels=fields.get("labels", _LABELS, {}),
    )


def _worker(fields: Fields) -> WorkerSettings:
    return WorkerSettings(
        replicas=fields.get("replicas", integer(1, 100), None),
        vcpu=fields.get("vcpu", integer(1, 1024), None),
        memory_bytes=fields.get("memory", BYTES, None),
    )


def _model_server(fields: Fields) -> ModelServerSettings:
    return ModelServerSettings(
        image=fields.need("image", IMAGE),
        port=fields.need("port", _PORT),
        tls_secret=fields.need("tls_secret", NAME),
        vcpu=fields.need("vcpu", integer(1, 1024)),
        memory_bytes=fields.need("memory", BYTES),
        args=fields.get("args", list_of(TEXT), ()),
        health_path=fields.get("health_path", _PATH, "/health"),
        claim=fields.get("claim", NAME, None),
    )


def _zone(fields: Fields) -> Zone:
    return Zone(
        secret=fields.get("secret", NAME, None),
        claim=fields.get("claim", NAME, None),
        domain=fields.get("domain", DOMAIN, None),
        egress=fields.get("egress", _EGRESS, None),
        node_selector=fields.get("node_selector", _LABELS, {}),
    )
