"""A workspace with the three mission spaces, exactly as printed, and a cluster for them."""

from __future__ import annotations

from pathlib import Path

from tests.space.test_mission_blocks import DEV, PRODUCTION, STAGING

from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.records import Workspace

MISSION = ("dev-deployment-space", "staging-deployment-space", "production-us-east-space")
IMAGE = "registry.bank.example/genai/pilotage@sha256:" + "3f" * 32
MODEL = "registry.bank.example/genai/vllm@sha256:" + "9c" * 32

CLUSTER = f"""\
kubernetes:
  image: {IMAGE}
  namespace: genai
  domain: pilotage.bank.example
  secret: pilotage-env
  claim: pilotage-keys
  pull_secret: registry
  ingress:
    class: nginx
    namespace: ingress-nginx
    annotations:
      nginx.ingress.kubernetes.io/proxy-body-size: 64m
      nginx.ingress.kubernetes.io/proxy-buffering: "off"
  monitoring:
    namespace: monitoring
    prometheus: http://prometheus-operated.monitoring.svc:9090
    labels: {{release: prometheus}}
  egress:
    - {{networks: 10.20.4.0/24, ports: 5432}}
    - {{networks: [10.30.0.8, 10.30.0.9], ports: [3128]}}
"""
SERVER = f"""\
  model_server:
    image: {MODEL}
    port: 8443
    tls_secret: model-tls
    vcpu: 8
    memory: 64GiB
    claim: model-weights
    args: [--model=/models/bank, --ssl-certfile=/tls/tls.crt, --ssl-keyfile=/tls/tls.key, --port=8443]
"""
ORGANISATION = """\
id: northlake-bank
organisation: Northlake Bank
timezone: America/New_York
identity:
  mode: oidc
  oidc:
    issuer: https://login.bank.example/tenant
    audience: pilotage
    jwks_uri: https://login.bank.example/keys
    sign_in:
      client_id: pilotage
      public_url: https://dev-deployment-space.pilotage.bank.example
      client_secret: env:OIDC_SECRET
people: []
spaces:
  - {name: dev-deployment-space, tier: dev}
  - {name: staging-deployment-space, tier: staging}
  - {name: production-us-east-space, tier: production}
gateway:
  health_peers: [10.40.0.0/16]
  trusted_proxies: [10.41.0.0/16]
providers:
  house: {base_url: "https://production-us-east-space-model.genai.svc/v1", auth: env:HOUSE_KEY, region: us-east-1}
exporters: [splunk, datadog]
notifications:
  pagerduty: {url: env:PAGERDUTY_URL, kinds: [page]}
  slack: {url: env:SLACK_URL, kinds: [approval, ticket]}
  email: {url: file:/run/secrets/email, kinds: [report]}
index: {memory_limit: 3GB}
"""
GPUS = """\
gpu_selectors: {T4: nvidia.com/gpu.product=Tesla-T4, A100: nvidia.com/gpu.product=NVIDIA-A100-SXM4-40GB}
"""


def workspace(
    organisation: str = ORGANISATION,
    *,
    cluster: str = CLUSTER,
    gpus: str = GPUS,
    dev: str = DEV,
    staging: str = STAGING,
    production: str = PRODUCTION,
) -> Workspace:
    """Return the parsed workspace."""
    return parse_workspace(files(organisation + cluster + gpus, dev=dev, staging=staging, production=production))


def files(root: str, *, dev: str = DEV, staging: str = STAGING, production: str = PRODUCTION) -> dict[str, bytes]:
    """Return the workspace's files."""
    spaces = zip(MISSION, (dev, staging, production), strict=True)
    return {"pilotage.yaml": root.encode(), **{f"spaces/{name}.yaml": text.encode() for name, text in spaces}}


def write(folder: Path, root: str = ORGANISATION + CLUSTER + GPUS) -> Path:
    """Write the workspace's files and return their folder."""
    for name, data in files(root).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
