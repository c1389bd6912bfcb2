# ruff: noqa: E501 - a message stands on one line, as people see it
"""Every mistake in pilotage.yaml and spaces is reported as `file:line: what. what to write`, all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_KEYS = "evidence: {trusted_keys: {ci: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}}"

CASES: list[tuple[str, str, str, list[str]]] = [
    (
        "pilotage.yaml",
        _KEYS,
        "evidence: {sources: {code: {from: github}}}",
        ["pilotage.yaml:39: 'evidence.sources.code.projects' is missing. Write `projects: ...`."],
    ),
    (
        "pilotage.yaml",
        _KEYS,
        "evidence: {sources: {code: {from: github, projects: {desk: [bank/../x, bank], other: a/b}}}}",
        [
            "pilotage.yaml:39: 'evidence.sources.code.projects.desk[0]' cannot be 'bank/../x'. Write a repository: owner/name.",
            "pilotage.yaml:39: 'evidence.sources.code.projects.desk[1]' cannot be 'bank'. Write a repository: owner/name.",
            "pilotage.yaml:39: 'other' is not a workflow. Write one of: desk.",
        ],
    ),
    (
        "pilotage.yaml",
        "id: test-bank",
        "id: test-bank\nindex: {memory_limit: 0}",
        [
            "pilotage.yaml:2: memory_limit is nothing at all. Write a size such as 8GiB, or leave it out.",
        ],
    ),
    (
        "pilotage.yaml",
        "id: test-bank",
        "id: Test Bank",
        [
            "pilotage.yaml:1: 'id' cannot be 'Test Bank'. Write a name of lower-case letters, digits and hyphens, at most 40 characters.",
        ],
    ),
    (
        "pilotage.yaml",
        "organisation: Test Bank\n",
        "",
        [
            "pilotage.yaml:1: 'organisation' is missing. Write `organisation: ...`.",
        ],
    ),
    (
        "pilotage.yaml",
        "timezone: America/New_York\nledger",
        "timezone: Mars/Olympus\nledger",
        [
            "pilotage.yaml:3: 'timezone': 'Mars/Olympus' is not a time zone. Write an IANA name such as America/New_York or Europe/Berlin.",
        ],
    ),
    (
        "pilotage.yaml",
        "mode: local,",
        "mode: ldap,",
        [
            "pilotage.yaml:5: 'identity.mode' cannot be 'ldap'. Write one of: local, oidc.",
        ],
    ),
    (
        "pilotage.yaml",
        "{mode: local, local_demo: true}",
        "oidc",
        [
            "pilotage.yaml:5: identity: oidc does not say which provider. Write identity: {mode: oidc, oidc: {...}}.",
            "workflows/desk/golden/main.jsonl:3: 'ada' is not a persona of evaluation.yaml or a person. Write one of: lena.",
        ],
    ),
    (
        "pilotage.yaml",
        "{mode: local, local_demo: true}",
        "{mode: oidc, local_demo: true}",
        [
            "pilotage.yaml:5: local_demo is for local mode. Remove the key.",
            "pilotage.yaml:5: mode: oidc without a provider. Write oidc: {issuer, audience, jwks_uri} beside it.",
            "workflows/desk/golden/main.jsonl:3: 'ada' is not a persona of evaluation.yaml or a person. Write one of: lena.",
        ],
    ),
    (
        "pilotage.yaml",
        "{mode: local, local_demo: true}",
        "{mode: local, oidc: {issuer: https://idp.example, audience: a, jwks_uri: http://idp.example/k, algorithms: [HS256], skew: 5m}}",
        [
            "pilotage.yaml:5: 'identity.oidc.algorithms[0]': 'HS256' cannot verify tokens. Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA; never none or HS256.",
            "pilotage.yaml:5: 'identity.oidc.jwks_uri': 'http://idp.example/k' is not encrypted. Write https; http is for loopback only.",
            "pilotage.yaml:5: A skew of 300 s. Write at most 120s.",
        ],
    ),
    (
        "pilotage.yaml",
        "{mode: local, local_demo: true}",
        "{mode: local, oidc: {issuer: https://idp.example, audience: a, jwks_uri: https://idp.example/k, allow_private: [10.0.0.1/8], sign_in: {client_id: c, client_secret: hunter2, public_url: https://p.example/console, scopes: [email]}}}",
        [
            "pilotage.yaml:5: 'identity.oidc.allow_private[0]': '10.0.0.1/8' has host bits set. Write the range 10.0.0.0/8, or the address without a mask.",
            "pilotage.yaml:5: 'identity.oidc.sign_in.client_secret' is written in another form, not shown here. Write where the secret is, never the secret: env:NAME or file:PATH.",
            "pilotage.yaml:5: The address has a path. Write the origin alone, such as https://pilotage.bank.example.",
            "pilotage.yaml:5: The scopes lack openid. Write [openid, profile, email] and what you need besides.",
        ],
    ),
    (
        "pilotage.yaml",
        "reports_to: ada",
        "reports_to: adda",
        [
            "pilotage.yaml:8: 'adda' is not a person of pilotage.yaml. Did you mean 'ada'?",
        ],
    ),
    (
        "pilotage.yaml",
        "id: ben, name",
        "id: ada, name",
        [
            "corpora/policies-uat/corpus.yaml:3: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "corpora/policies/corpus.yaml:3: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "oncall.yaml:5: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "oncall.yaml:6: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "pilotage.yaml:1: Reporting lines run in a circle: ada > ada. Correct one reports_to.",
            "pilotage.yaml:6: Two people have the id 'ada'. Give each an id of their own.",
            "pilotage.yaml:16: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "training.yaml:1: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "workflows/desk/documents/runbook.md:2: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "workflows/desk/workflow.yaml:4: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
            "workflows/desk/workflow.yaml:16: 'ben' is not a person of pilotage.yaml. Write one of: ada, cyd.",
        ],
    ),
    (
        "pilotage.yaml",
        "groups: [staff], roles: [business-owner]",
        "groups: [staff, everyone], roles: [buisness-owner]",
        [
            "pilotage.yaml:7: 'people[0].roles[0]' cannot be 'buisness-owner'. Did you mean 'business-owner'?",
            "pilotage.yaml:7: The group 'everyone' cannot be joined. Remove it: group:everyone is every authenticated person already.",
        ],
    ),
    (
        "pilotage.yaml",
        "groups: [pilot-users], roles: [risk-management]",
        "groups: [pilot-users], email: a@bank.example, roles: [service]",
        [
            "pilotage.yaml:6: The e-mail 'a@bank.example' belongs to 'ada' and to 'cyd'. An address identifies one person: authorship depends on it.",
            "pilotage.yaml:9: The role 'service' cannot sign. Name a role that people hold.",
        ],
    ),
    (
        "pilotage.yaml",
        "qa-lead: [cyd]",
        "qa-leed: [cyd, dee]",
        [
            "pilotage.yaml:12: 'dee' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
            "pilotage.yaml:12: 'roster.qa-leed' cannot be 'qa-leed'. Did you mean 'qa-lead'?",
        ],
    ),
    (
        "pilotage.yaml",
        "{role: risk-management, holder: cyd}",
        "{role: operations-lead, holder: ben, alternates: [ben]}",
        [
            "pilotage.yaml:14: 'ben' holds two seats. One person fills one seat.",
            "pilotage.yaml:14: The seat 'operations-lead' stands twice. Write each seat once.",
            "pilotage.yaml:17: 'ben' is their own alternate. Name somebody else.",
        ],
    ),
    (
        "pilotage.yaml",
        "{name: eu-space, tier: production}",
        "{name: eu-space, tier: qa}",
        [
            "pilotage.yaml:18: The tiers of the spaces go back and forth. Write them in the order sandbox, dev, qa, staging, production.",
        ],
    ),
    (
        "pilotage.yaml",
        "{name: eu-space, tier: production}",
        "{name: us-space, tier: production}",
        [
            "pilotage.yaml:18: The space 'us-space' stands twice in the order. Write each space once.",
            "spaces/eu-space.yaml: The space 'eu-space' has no place in the promotion order. Add {name: eu-space, tier: ...} to spaces in pilotage.yaml.",
        ],
    ),
    (
        "pilotage.yaml",
        "default_space: sandbox",
        "default_space: sandbix",
        [
            "pilotage.yaml:24: 'sandbix' is not a space. Did you mean 'sandbox'?",
        ],
    ),
    (
        "pilotage.yaml",
        "body_bytes: 2MiB, request_s: 60s, connections: 100",
        "body_bytes: 9MiB, request_s: 2h, connections: 0, bodies: 1",
        [
            "pilotage.yaml:25: 'gateway.limits.body_bytes' is 9,437,184 bytes. Write a size from 1 to 8,388,608 bytes.",
            "pilotage.yaml:25: 'gateway.limits.connections' is 0. Write a whole number from 1 to 20,480.",
            "pilotage.yaml:25: 'gateway.limits.request_s': '2h' is out of range. Write a duration above 0 and at most 1200s.",
            "pilotage.yaml:25: The key 'gateway.limits.bodies' is unknown. Did you mean 'body_bytes'?",
        ],
    ),
    (
        "pilotage.yaml",
        "10.1.0.0/16",
        "10.1.0.1/16",
        [
            "pilotage.yaml:26: 'gateway.trusted_proxies[0]': '10.1.0.1/16' has host bits set. Write the range 10.1.0.0/16, or the address without a mask.",
        ],
    ),
    (
        "pilotage.yaml",
        "routing_stale: 30s",
        "routing_stale: 5m",
        [
            "pilotage.yaml:28: 'gateway.routing_stale': '5m' is out of range. Write a duration above 0 and at most 240s.",
        ],
    ),
    (
        "pilotage.yaml",
        "auth: env:OPENAI_KEY",
        "auth: sk-secret",
        [
            "pilotage.yaml:31: 'providers.openai-us.auth' is written in another form, not shown here. Write where the secret is, never the secret: env:NAME or file:PATH.",
        ],
    ),
    (
        "pilotage.yaml",
        "kinds: [page]",
        "kinds: [pager]",
        [
            "pilotage.yaml:34: 'notifications.pagerduty.kinds[0]' cannot be 'pager'. Did you mean 'page'?",
        ],
    ),
    (
        "pilotage.yaml",
        "url: env:PAGERDUTY",
        "url: https://events.pagerduty.com/x",
        [
            "pilotage.yaml:34: 'notifications.pagerduty.url' is written in another form, not shown here. Write where the secret is, never the secret: env:NAME or file:PATH.",
        ],
    ),
    (
        "pilotage.yaml",
        "from: 2026-12-20T00:00, to: 2027-01-02T00:00",
        "from: 2027-12-20T00:00, to: 2027-01-02T00:00",
        [
            "pilotage.yaml:37: The freeze 'year-end' ends before it starts. Write a later `to`.",
        ],
    ),
    (
        "pilotage.yaml",
        "every: weekly",
        "every: daily",
        [
            "pilotage.yaml:38: every cannot be 'daily'. Write weekly, or remove the key.",
        ],
    ),
    (
        "pilotage.yaml",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "short",
        [
            "pilotage.yaml:39: 'evidence.trusted_keys.ci' cannot be 'short'. Write an Ed25519 public key: 32 bytes in base64.",
        ],
    ),
    (
        "pilotage.yaml",
        "id: test-bank\n",
        "id: test-bank\nsecurty: 1\n",
        [
            "pilotage.yaml:2: The key 'securty' is unknown. Known keys: backup_retention, board, evidence, exporters, freezes, gateway, gpu_selectors, groups, id, identity, index, kubernetes, ledger, licences, notifications, organisation, people, providers, roster, spaces, timezone.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "deployment_space: us-space",
        "deployment_space: us-spce",
        [
            "spaces/us-space.yaml:1: deployment_space is 'us-spce' and the file is called us-space.yaml. Give both the same name.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "multi_az: false",
        "auto_failover: true, partner: eu-space",
        [
            "spaces/us-space.yaml:3: us-space permits us-east-1 and its partner eu-space stands in eu-west-1. Name a partner inside the permitted regions, or add its regions.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "multi_az: false",
        "auto_failover: true, partner: staging-space",
        [
            "spaces/us-space.yaml:3: us-space is of tier production and its partner staging-space of tier staging. Name a partner of tier production.",
        ],
    ),
    (
        "spaces/eu-space.yaml",
        "region: eu-west-1",
        "region: eu-west-1\nhigh_availability: {auto_failover: true, partner: us-space}",
        [
            "spaces/eu-space.yaml:3: eu-space falls under EU residency and its partner us-space stands in us-east-1. Name a partner in the EU, or none: askers then wait.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "multi_az: false",
        "partner: eu, multi_az: true",
        [
            "spaces/us-space.yaml:3: 'eu' is not a space. Write one of: eu-space, sandbox, staging-space, us-space.",
            "spaces/us-space.yaml:3: multi_az needs two instances, and scaling.min_instances is 1. Write scaling.min_instances: 2 or more, or multi_az: false.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "[10.0.0.0/8]",
        "[]",
        [
            "spaces/us-space.yaml:6: 'security.allowed_ips' has 0 entries. Write at least 1.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "10000/hour",
        "ten/hour",
        [
            "spaces/us-space.yaml:7: 'security.api_rate_limit.space': 'ten/hour' is not a rate. Write a count and a window: 10000/hour, 30/10s.",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "metrics_export: [splunk], alerting: [pagerduty, slack]",
        "metrics_export: [splnk], alerting: [mail]",
        [
            "spaces/us-space.yaml:4: 'mail' is not a notification channel of pilotage.yaml. Write one of: pagerduty, slack.",
            "spaces/us-space.yaml:4: 'splnk' is not an exporter of pilotage.yaml. Did you mean 'splunk'?",
        ],
    ),
    (
        "spaces/us-space.yaml",
        "region: us-east-1\n",
        "region: us-east-1\nregions: [us-west-1]\nauto_promote: sealed\n",
        [
            "spaces/us-space.yaml:3: The space's own region 'us-east-1' is not in its regions. Add it.",
            "spaces/us-space.yaml:4: auto_promote: sealed in a space of tier production. Only a sandbox may serve releases without gates; remove the key.",
        ],
    ),
    (
        "spaces/staging-space.yaml",
        "memory: 16GB, gpu: T4}\nscaling: {min_instances: 2, max_instances: 5}",
        "memory: 16 gig, gpu: T4}\nscaling: {min_instances: 6, max_instances: 5, target_cpu: 70}",
        [
            "spaces/staging-space.yaml:2: 'hardware.memory': '16 gig' is not a size. Write a number and a unit: 512MB, 8GB, 16GiB.",
            "spaces/staging-space.yaml:3: 'scaling.target_cpu': '70' is not a percentage. Write a number from 0 to 100 with its sign: 70%.",
            "spaces/staging-space.yaml:3: max_instances 5 is below min_instances 6. Write 6 or more.",
        ],
    ),
    (
        "spaces/staging-space.yaml",
        "[splunk, datadog, pagerduty]",
        "[splunk, newrelic]",
        [
            "spaces/staging-space.yaml:4: 'newrelic' is not an exporter or channel of pilotage.yaml. Write one of: datadog, pagerduty, prometheus, slack, splunk.",
        ],
    ),
]


@pytest.mark.parametrize(("path", "old", "new", "expected"), CASES)
def test_a_mistake_is_named_with_its_line_and_its_remedy(
    bank: dict[str, bytes],
    mistakes: Callable[[dict[str, bytes]], list[str]],
    path: str,
    old: str,
    new: str,
    expected: list[str],
) -> None:
    text = bank[path].decode()
    assert old in text
    bank[path] = text.replace(old, new, 1).encode()
    assert mistakes(bank) == expected
