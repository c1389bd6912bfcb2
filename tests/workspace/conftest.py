# ruff: noqa: E501 - declared files, as people write them
"""A tiny valid workspace, and a whole bank with every kind of file, as path to bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pilotage
from pilotage.adapters.workspace_files import read_workspace_files
from pilotage.core.errors import InvalidFiles
from pilotage.workspace.parse import parse_workspace


@pytest.fixture
def files() -> dict[str, bytes]:
    """The minimal template, fresh for each test to change."""
    return read_workspace_files(Path(pilotage.__file__).parent / "templates" / "minimal")


Mistakes = Callable[[dict[str, bytes]], list[str]]


@pytest.fixture
def mistakes() -> Mistakes:
    """Parse and return the problems as text; none for a valid workspace."""

    def parse(declared: dict[str, bytes]) -> list[str]:
        try:
            parse_workspace(declared)
        except InvalidFiles as error:
            return [str(problem) for problem in error.problems]
        return []

    return parse


BANK: dict[str, str] = {
    "pilotage.yaml": """\
id: test-bank
organisation: Test Bank
timezone: America/New_York
ledger: test-ledger
identity: {mode: local, local_demo: true}
people:
  - {id: ada, name: Ada, email: [ada@bank.example, a@bank.example], groups: [staff], roles: [business-owner], region: us-east-1}
  - {id: ben, name: Ben, groups: [staff], roles: [operations-lead], reports_to: ada, accounts: [https://idp.example|42]}
  - {id: cyd, name: Cyd, groups: [pilot-users], roles: [risk-management]}
groups: {auditors: External auditors}
roster:
  qa-lead: [cyd]
  business-owner: [cyd, ada]
board:
  seats:
    - {role: operations-lead, holder: ben, alternates: [ada]}
    - {role: risk-management, holder: cyd}
spaces:
  - {name: sandbox, tier: sandbox}
  - {name: staging-space, tier: staging}
  - {name: us-space, tier: production}
  - {name: eu-space, tier: production}
gateway:
  default_space: sandbox
  limits: {body_bytes: 2MiB, request_s: 60s, connections: 100}
  trusted_proxies: [10.1.0.0/16]
  health_peers: 192.0.2.7
  routing_stale: 30s
  record_flush: 20ms
providers:
  openai-us: {base_url: https://models.example/v1, auth: env:OPENAI_KEY, region: us-east-1, subprocessor: Models Inc}
exporters: [splunk, datadog]
notifications:
  pagerduty: {url: env:PAGERDUTY, kinds: [page]}
  slack: {url: file:/run/secrets/slack, kinds: [ticket, approval]}
freezes:
  - {name: year-end, spaces: [us-space], from: 2026-12-20T00:00, to: 2027-01-02T00:00, timezone: America/New_York, reason: Year end}
  - {name: weekend, spaces: us-space, from: 2026-12-19T18:00, to: 2026-12-21T06:00, timezone: UTC, every: weekly, reason: Quiet}
evidence: {trusted_keys: {ci: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}}
licences: {deny: [AGPL-3.0-only]}
gpu_selectors: {T4: nvidia-tesla-t4}
""",
    "spaces/sandbox.yaml": "deployment_space: sandbox\nauto_promote: sealed\nmonitoring: [prometheus]\n",
    "spaces/staging-space.yaml": """\
deployment_space: staging-space
hardware: {vcpu: 4, memory: 16GB, gpu: T4}
scaling: {min_instances: 2, max_instances: 5}
monitoring: [splunk, datadog, pagerduty]
rto: 15m
rpo: 5m
soak: PT12H
differs_from: [hardware.gpu]
""",
    "spaces/us-space.yaml": """\
deployment_space: us-space
region: us-east-1
high_availability: {multi_az: false}
monitoring: {log_level: WARNING, metrics_export: [splunk], alerting: [pagerduty, slack]}
security:
  allowed_ips: [10.0.0.0/8]
  api_rate_limit: {space: 10000/hour, principal: 120/minute, key: 600/minute}
  delegation: required
retention: {text: 90d, rows: 2557d}
""",
    "spaces/eu-space.yaml": """\
deployment_space: eu-space
region: eu-west-1
security: {allowed_ips: 10.0.0.0/8}
compliance: [GDPR]
""",
    "gates/gates.yaml": """\
gate: first
guards: staging-space
trust: pushed
criteria:
  - {id: answers, of: evaluation, all: ["answer_accuracy_lcb >= @workflow.targets.answer_accuracy", "unscored = 0"], accept: low}
  - {id: leaks, of: permissions, all: ["leaks = 0"]}
  - {id: code, of: [tests.unit, tests.api], all: ["failed = 0"], when: workflow.code, trust: attested, first_release: absolute}
documents: [runbook]
signoffs: [{role: qa-lead, count: 1, checklist: [looked]}]
ttl: P30D
---
gate: last
guards: production
after: [first]
trust: attested
space: staging-space
binds: [plan, space_config]
pre:
  criteria:
    - {id: fast, of: failover, all: ["rto_s <= @space.rto_s"], accept: high}
  board:
    seats: [operations-lead, risk-management]
    rule: unanimous_or_risk_accepted
    quorum: 1
    must_vote: [risk-management]
  signoffs: [{role: business-owner, count: 2, after_board: true, via: [vote, review.code]}]
post:
  machine_within: PT30M
  confirm_within: PT4H
  criteria: [{id: recorded, of: fact.ledger, all: ["unrecorded = 0"], accept: never}]
""",
    "workflows/desk/workflow.yaml": """\
title: Service desk
description: Answers policy questions.
owner: ada
data_owner: ben
security_owner: cyd
on_call: desk
risk_tier: high
code: present
sla: {p95_ms: 2000}
targets: {answer_accuracy: 0.85}
kpis:
  - {id: minutes, name: Handling time, unit: minutes, direction: down, baseline: 6.0, baseline_date: 2026-05-01, target: 4, source: measured}
slo: [{name: fast, metric: latency, objective: 0.95, threshold_ms: 1500}, {name: up, metric: availability, objective: 0.999}]
budgets: {cost_day: 50 USD, cost_per_query: 0.02 USD, tokens_day: 1000000, latency_p95_ms: 1800, on_exceeded: degrade}
human_review: [{id: letters, when: A letter goes to a customer, role: qa-lead, tags: [letter]}]
integrations: [{id: crm, system: CRM, owner: ben}]
critical_paths: [{id: refund, tests: ["tests/*refund*"], cases: ["edge:refund"], files: ["src/**"]}]
coverage: {must_include: ["src/**/*.py"]}
requirements: [answers-cite]
operating_cycle_days: 28
rollout:
  default_plan: standard
  plans:
    standard:
      shadow: {enabled: true, sample: 10%, for: 24h, max_cost_per_day: 50 USD}
      waves:
        - space: us-space
          steps:
            - {name: canary, weight: 5%, cohort: [group:pilot-users], bake: 24h, max: 7d, decide: [operations-lead]}
            - {name: full, weight: 100%, cohort: all, bake: 12h, decide: auto}
        - space: eu-space
          isolated: true
          steps:
            - {name: full, weight: 100%, bake: 4h, decide: [operations-lead], limits: {error_go: 1%}}
      limits: {error_go: 0.1%, latency_go: 2s}
rollback_triggers: [{name: errors, rule: error_rate > 1%}]
""",
    "workflows/desk/prompt.md": "---\nnotes: one\n---\nAnswer from {passages}. Question: {question} {braces}\n",
    "workflows/desk/model.yaml": """\
provider: openai
model: gpt-x-2026-01-01
pin: {kind: dated, id: 2026-01-01}
base_url: https://models.example/v1
auth: env:OPENAI_KEY
region: us-east-1
parameters: {temperature: 0, stop: [END]}
max_tokens: 512
timeouts: {connect: 1s, total: 60s}
prices: {currency: USD, input: 0.15, output: 0.60}
""",
    "workflows/desk/retrieval.yaml": """\
corpus: {production: policies, uat: policies-uat@3}
top_k: 7
minimum_coverage: {best: 40%, union: 0.7}
embedding: {model: mini, dimension: 384, endpoint: https://models.example/v1/embeddings, region: us-east-1}
""",
    "workflows/desk/guard.yaml": """\
version: 1
checks:
  - {id: pii_in, stage: input, action: redact, threshold: 0.5, types: {DATE_TIME: allow}, fail: closed}
  - {id: secrets, stage: input, action: redact, fail: closed}
  - {id: tripwire, stage: retrieval, action: quarantine, fail: closed}
  - {id: pii_out, stage: output, action: redact, fail: closed}
  - {id: citation, stage: output, action: block, threshold: 1.0, fail: closed}
  - {id: grounding, stage: output, action: block, threshold: 0.5, fail: open}
tools:
  - server: https://crm.example
    tool: find_customer
    arguments: {type: object, properties: {id: {type: string}}, additionalProperties: false}
    roles: [qa-lead]
    effect: read
    timeout: 5s
    result_cap: 32KiB
    description_sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
egress: [{host: models.example, purpose: models}]
restore: caller
""",
    "workflows/desk/evaluation.yaml": """\
personas: [{name: lena, groups: [staff], roles: [qa-lead], region: us-east-1}]
scorers: [key_fact_recall]
thresholds: {answer_accuracy: 0.9}
margins: {answer_accuracy: 0.05}
criteria: ["answer_accuracy >= 0.9"]
alpha: 0.05
repeats: 3
schedule: 0 6 * * mon
judges: [{model: judge-1}]
fairness: {attribute: name}
cost_cap: 5 USD
""",
    "workflows/desk/golden/main.meta.yaml": """\
purpose: release
split: gate
steward: cyd
defaults: {as: lena, tags: [core], locale: de, as_of: 2026-01-31}
required_tags: {"edge:refund": 1}
""",
    "workflows/desk/golden/main.jsonl": (
        '{"id":"a","question":"How long?","expect":{"facts":["five days",{"any":["5 days","a week"]},'
        '{"at_least":1,"of":["x","y"]},{"number":43000000,"unit":"USD","rel":0.01},'
        '{"date":"2026-01-01","granularity":"month"},{"pattern":"fi[vf]e","weight":2,"id":"p"},'
        '{"all":["x"]},{"text":"t","allow_negated":true}],"citations":["refunds.md#2",{"any":["b.md","c.md"]}],'
        '"forbid":["never"],"forbid_documents":["secret.md"]},"tags":["edge:refund"],"must_pass":true,'
        '"history":[{"role":"user","content":"Hi"}],"space":"us-space","provenance":{"origin":"authored"}}\n'
        "\n"
        '{"id":"b","question":"Secret?","as":"ada","as_of":"2026-02-01","expect":{"refuse":["not_permitted"]},'
        '"cluster":"c1"}\n'
        '{"id":"c","question":"Which?","expect":{"refuse":true,"retrieve":{"a.md":3}}}\n'
        '{"id":"d","question":"Open?"}\n'
    ),
    "workflows/desk/documents/runbook.md": (
        '---\nowner: ben\nversion: "1.0"\nvalid_until: 2027-01-01\nrisks: []\n---\n# Runbook\n\nOne two three.\n'
    ),
    "corpora/policies/corpus.yaml": """\
source: {kind: jsonl, path: rows}
owner: ada
steward: ben
classification: restricted
region: us-east-1
cadence: 15 2 * * mon-fri
retention: 2557d
exclusions: {globs: ["drafts/**"], titles: ["(?i)draft"], classifications: [restricted], older_than: 1825d}
acl: [group:staff, user:ada, service:crawler, group:everyone, "user:https://idp.example|42"]
acl_rules: {"hr/**": [group:auditors]}
recheck: off
history: dated
fields: {id: "{part}/{section}", title: heading}
language: en
""",
    "corpora/policies-uat/corpus.yaml": """\
source: folder
owner: ada
steward: ben
classification: internal
region: us-east-1
data_stage: uat
derived_from: policies
acl_max_age: 1h
review: single
retention: 30d
""",
    "corpora/policies-uat/acl.yaml": '"**": group:staff\n',
    "oncall.yaml": """\
rotas:
  desk:
    time_zone: America/New_York
    layers:
      - {people: [ada, ben], start: 2026-01-05, handoff: weekly, at: "09:00"}
      - {people: [cyd, ben], start: 2026-01-05, handoff: daily, at: "09:00"}
    overrides: [{person: cyd, from: 2026-12-24T09:00, to: 2026-12-25T09:00, by: ada}]
    escalation: [{to: "layer:1", after_minutes: 0}, {to: "person:ada", after_minutes: 5}, {to: "role:operations-manager", after_minutes: 15}]
""",
    "costs.yaml": """\
currency: USD
lines:
  - {id: people, class: people, phase: development, amount: 50000, per: once, source: plan}
  - {id: infra, class: infrastructure, phase: run, amount: 15000.50, per: month, starts_month: 2, source: invoice, space: us-space, workflow: desk}
""",
    "portfolio.yaml": """\
use_cases:
  - name: claims letters
    unit: claims
    owner: ada
    volume: {value: 42000, source: log, date: 2026-05-01}
    minutes: {value: 11, source: measured, date: 2026-05-01}
    hourly_cost: {value: 48, source: estimate, date: 2026-05-01}
    error_rate: {value: 0.04, source: log, date: 2026-05-01}
    cost_per_error: {value: 35, source: estimate, date: 2026-05-01}
    share: {value: 0.5, source: estimate, date: 2026-05-01}
    kpis: [minutes]
    corpora: [policies]
    workflow: desk
bands: [{name: discovery, min: 10000, max: 30000, released_by: first, signer: business-owner}]
""",
    "training.yaml": "records: [{person: ben, course: Desk, kind: operator, date: 2026-02-01, result: passed, trainer: ada}]\n",
}


@pytest.fixture
def bank() -> dict[str, bytes]:
    """A workspace that uses every kind of file and nearly every key."""
    return {path: text.encode() for path, text in BANK.items()}
