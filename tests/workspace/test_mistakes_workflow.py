# ruff: noqa: E501 - a message stands on one line, as people see it
"""Every mistake in workflow, prompt, model, retrieval and guard files is reported as `file:line: what. what to write`, all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CASES: list[tuple[str, str, str, list[str]]] = [
    (
        "workflows/desk/workflow.yaml",
        "owner: ada\ndata",
        "owner: staff\ndata",
        [
            "workflows/desk/workflow.yaml:3: 'staff' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "sla: {p95_ms: 2000}",
        "sla: {p95: 2000}",
        [
            "workflows/desk/workflow.yaml:9: 'sla.p95_ms' is missing. Write `p95_ms: ...`.",
            "workflows/desk/workflow.yaml:9: The key 'sla.p95' is unknown. Did you mean 'p95_ms'?",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "on_call: desk",
        "on_call: dsk",
        [
            "workflows/desk/workflow.yaml:6: 'dsk' is not a rota of oncall.yaml. Did you mean 'desk'?",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "answer_accuracy: 0.85",
        "answer_acuracy: 0.85",
        [
            "workflows/desk/workflow.yaml:10: 'answer_acuracy' is not a metric. Did you mean 'answer_accuracy'?",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "target: 4,",
        "target: 7,",
        [
            "workflows/desk/workflow.yaml:12: The target 7 is no improvement over the baseline 6 when down is better. Check direction, baseline and target.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "target: 4,",
        "target: four,",
        [
            "workflows/desk/workflow.yaml:12: 'kpis[0].target' is text, not a number. Write a number from -1,000,000,000,000,000 to 1,000,000,000,000,000.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "threshold_ms: 1500}, {name: up,",
        "threshold_ms: 2500}, {name: up, threshold_ms: 5,",
        [
            "workflows/desk/workflow.yaml:13: An objective of availability has no threshold. Remove the key.",
            "workflows/desk/workflow.yaml:13: The objective 'fast' allows 2,500 ms and sla.p95_ms is 2,000. Write a threshold no looser than the SLA.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "cost_day: 50 USD",
        "cost_day: 50",
        [
            "workflows/desk/workflow.yaml:14: 'budgets.cost_day': '50' is not an amount. Write a number and a currency: 50 USD, 0.02 EUR.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "latency_p95_ms: 1800",
        "latency_p95_ms: 2800",
        [
            "workflows/desk/workflow.yaml:14: budgets.latency_p95_ms 2,800 is looser than sla.p95_ms 2,000. Write the same or less, or remove the key.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        'tests: ["tests/*refund*"], cases: ["edge:refund"], ',
        "",
        [
            "workflows/desk/workflow.yaml:17: The critical path 'refund' names no test and no case. Write tests or cases.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "operating_cycle_days: 28",
        "operating_cycle_days: 30",
        [
            "workflows/desk/workflow.yaml:20: 30 days are not whole weeks. Write a multiple of 7.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "default_plan: standard",
        "default_plan: fast",
        [
            "workflows/desk/workflow.yaml:22: There is no plan 'fast'. Write one of: standard.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "weight: 5%",
        "weight: 5",
        [
            "workflows/desk/workflow.yaml:29: 'rollout.plans.standard.waves[0].steps[0].weight': '5' is not a percentage. Write a number from 0 to 100 with its sign: 70%.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "weight: 5%",
        "weight: 0%",
        [
            "workflows/desk/workflow.yaml:29: A step of 0 % serves nobody. Write a weight above 0%, or use shadow.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "{name: full, weight: 100%, cohort: all, bake: 12h, decide: auto}",
        "{name: full, weight: 3%, cohort: all, bake: 12h, decide: auto}",
        [
            "workflows/desk/workflow.yaml:28: The last step has 3 %. End the wave with weight: 100%.",
            "workflows/desk/workflow.yaml:28: The weights 5, 3 % do not rise. Write each step's weight above the one before.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "bake: 24h, max: 7d, decide: [operations-lead]",
        "bake: 24h, max: 7h, decide: auto",
        [
            "workflows/desk/workflow.yaml:28: A step before the last in 'us-space' decides by itself. In production only a wave's last step may say decide: auto; name roles.",
            "workflows/desk/workflow.yaml:29: The step ends before its bake time. Write max: at least as long as bake.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "cohort: [group:pilot-users]",
        "cohort: [pilot-users, group:pilots]",
        [
            "workflows/desk/workflow.yaml:29: 'pilot-users' is not a cohort. Write all, or a list of group:NAME.",
            "workflows/desk/workflow.yaml:29: 'pilots' is not a group. Did you mean 'pilot-users'?",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "isolated: true",
        "isolated: false",
        [
            "workflows/desk/workflow.yaml:31: The EU space 'eu-space' is not isolated. Write isolated: true in its wave.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "space: eu-space",
        "space: us-space",
        [
            "workflows/desk/workflow.yaml:26: Two waves name the space 'us-space'. Write one wave per space.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "error_go: 0.1%, latency_go: 2s",
        "error_go: 1%, latency_go: 3s",
        [
            "workflows/desk/workflow.yaml:21: The plan 'standard' goes on at 3,000 ms and sla.p95_ms is 2,000. Write latency_go no looser than the SLA.",
            "workflows/desk/workflow.yaml:35: error_go 0.01 is not below error_trip 0.01. Write a GO limit stricter than the trip limit.",
        ],
    ),
    (
        "workflows/desk/workflow.yaml",
        "shadow: {enabled",
        "alpha: {trip_total: 0.4, hold_total: 0.4}\n      shadow: {enabled",
        [
            "workflows/desk/workflow.yaml:25: The alphas sum to more than 0.5. Write smaller ones; the default is 0.01 and 0.10.",
        ],
    ),
    (
        "workflows/desk/prompt.md",
        "{question}",
        "question",
        [
            "workflows/desk/prompt.md:4: The prompt does not hold {question}. Write {question} exactly once, where serving fills it in.",
        ],
    ),
    (
        "workflows/desk/prompt.md",
        "{question}",
        "{question} {question}",
        [
            "workflows/desk/prompt.md:4: The prompt holds {question} 2 times. Write {question} exactly once, where serving fills it in.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "provider: openai",
        "provider: opnai",
        [
            "workflows/desk/model.yaml:1: 'provider' cannot be 'opnai'. Did you mean 'openai'?",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "model: gpt-x-2026-01-01\n",
        "",
        [
            "workflows/desk/model.yaml:1: 'model' is missing. Write the id of the model at the provider.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "base_url: https://models.example/v1\n",
        "",
        [
            "workflows/desk/model.yaml:1: 'base_url' is missing. Write where the model answers: https://host/v1.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "kind: dated, id: 2026-01-01",
        "kind: revision, id: abc",
        [
            "workflows/desk/model.yaml:3: A pin of kind revision cannot be 'abc'. Write a repository commit of 40 hex digits.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "kind: dated",
        "kind: builtin",
        [
            "workflows/desk/model.yaml:3: Only the extractive model is built in. Write kind: dated, revision, weights or floating.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "provider: openai",
        "provider: watsonx",
        [
            "workflows/desk/model.yaml:1: watsonx needs exactly one of project_id and space_id. Write one of them.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "prices: {currency: USD, input: 0.15, output: 0.60}\n",
        "",
        [
            "workflows/desk/model.yaml:1: The model 'gpt-x-2026-01-01' has no price, so no budget can hold. Write prices: {currency, input, output} per million tokens, or prices: {unmetered: why}.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "input: 0.15",
        "input: 0.1512",
        [
            "workflows/desk/model.yaml:10: 'input' has more than 3 decimals. Write the price per million tokens, such as 0.15.",
        ],
    ),
    (
        "workflows/desk/model.yaml",
        "currency: USD, input: 0.15",
        "currency: dollars",
        [
            "workflows/desk/model.yaml:10: 'prices.currency' cannot be 'dollars'. Write a currency code such as USD.",
            "workflows/desk/model.yaml:10: 'prices.input' is missing. Write `input: ...`.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "policies-uat@3",
        "policies-uat@0",
        [
            "workflows/desk/retrieval.yaml:1: 'policies-uat@0' is not a corpus. Write NAME, or NAME@N for an accepted version.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "production: policies",
        "production: policy",
        [
            "workflows/desk/retrieval.yaml:1: 'policy' is not a corpus. Did you mean 'policies'?",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "production: policies, uat: policies-uat@3",
        "prod: policies",
        [
            "workflows/desk/retrieval.yaml:1: 'prod' is not a data stage. Write one of: production, uat.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "production: policies, uat: policies-uat@3",
        "production: policies-uat",
        [
            "workflows/desk/retrieval.yaml:1: The corpus 'policies-uat' holds uat data and is named for production. Name a corpus with data_stage: production.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "{production: policies, uat: policies-uat@3}",
        "{}",
        [
            "workflows/desk/retrieval.yaml:1: No corpus is named. Write production: NAME, and uat: NAME for spaces that read UAT data.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "top_k: 7",
        "top_k: 51\nanalyser: mine/2",
        [
            "workflows/desk/retrieval.yaml:2: 'top_k' is 51. Write a whole number from 1 to 50.",
            "workflows/desk/retrieval.yaml:3: The analyser 'mine/2' is not the one of this version. Write pilotage-analyser/1, or remove the key.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "top_k: 7",
        "top_k: 9\ncandidates: 8",
        [
            "workflows/desk/retrieval.yaml:3: candidates 8 is below top_k 9. Write 9 or more.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "endpoint: https://models.example/v1/embeddings, region",
        "endpoint: https://e.example/v1, path: models/mini.onnx, batchx: 3, region",
        [
            "workflows/desk/retrieval.yaml:4: 'embedding.endpoint': 'https://e.example/v1' is not the whole address of an endpoint. Write https://HOST/v1/embeddings.",
            "workflows/desk/retrieval.yaml:4: A local embedding model is pinned by its weights. Write pin: {kind: weights, id: sha256:0000000000000000000000000000000000000000000000000000000000000000}; sealing names the digest of its files.",
            "workflows/desk/retrieval.yaml:4: An embedding model has a path and an endpoint. Write one of them.",
            "workflows/desk/retrieval.yaml:4: The key 'embedding.batchx' is unknown. Did you mean 'batch'?",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "dimension: 384,",
        "dimension: 384, pin: {kind: weights, id: sha256:00},",
        [
            "workflows/desk/retrieval.yaml:4: A pin of kind weights cannot be 'sha256:00'. Write sha256: and 64 lowercase hex digits.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "endpoint: https://models.example/v1/embeddings",
        "path: ../mini, pin: {kind: weights, id: sha256:1111111111111111111111111111111111111111111111111111111111111111}",
        [
            "workflows/desk/retrieval.yaml:4: 'embedding.path' cannot be '../mini'. Write a folder below the workspace, models/NAME.",
        ],
    ),
    (
        "workflows/desk/retrieval.yaml",
        "dimension: 384,",
        "dimension: 384, pin: {kind: builtin, id: x},",
        [
            "workflows/desk/retrieval.yaml:4: No embedding model is built in. Write kind: dated, revision, weights or floating.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "version: 1",
        "version: 2",
        [
            "workflows/desk/guard.yaml:1: 'version' is 2. Write a whole number from 1 to 1.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "checks:",
        "stream: token\nchecks:",
        [
            "workflows/desk/guard.yaml:2: stream: token would send text that citation, grounding may block. Write stream: buffer, or another action.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "restore: caller",
        "restore: caller\ncache: shared",
        [
            "workflows/desk/guard.yaml:20: cache: shared would give an answer again that came from a tool. Write cache: off, or no tools.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "restore: caller",
        "restore: caller\ncache: public",
        [
            "workflows/desk/guard.yaml:20: 'cache' cannot be 'public'. Write one of: off, private, shared.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "id: pii_out, stage: output, action: redact, fail: closed",
        "id: pii_out, stage: input, action: quarantine, fail: open",
        [
            "workflows/desk/guard.yaml:6: The check 'pii_out' cannot fail open. Write fail: closed.",
            "workflows/desk/guard.yaml:6: The check 'pii_out' cannot run at stage input. Write stage: output.",
            "workflows/desk/guard.yaml:6: quarantine at stage input. Only retrieval can drop a chunk; write another.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "id: secrets, stage: input",
        "id: secret, stage: input",
        [
            "workflows/desk/guard.yaml:2: The check 'secrets' is missing. Write it; redaction and citations are never off.",
            "workflows/desk/guard.yaml:4: 'secret' is not a check. Did you mean 'secrets'?",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "threshold: 1.0",
        "threshold: 32",
        [
            "workflows/desk/guard.yaml:7: The threshold of 'citation' is 32. Write a share from 0 to 1.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "  - {id: tripwire, stage: retrieval, action: quarantine, fail: closed}",
        "  - {id: secrets, stage: input, action: redact, fail: closed}",
        [
            "workflows/desk/guard.yaml:2: The check 'secrets' stands twice at stage input. Keep one of them.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "{DATE_TIME: allow}",
        "{date: alow}",
        [
            "workflows/desk/guard.yaml:3: 'checks[0].types.date' cannot be 'alow'. Did you mean 'allow'?",
            "workflows/desk/guard.yaml:3: 'date' cannot be a key of 'checks[0].types'. Write a type such as EMAIL.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "additionalProperties: false",
        "additionalProperties: true",
        [
            "workflows/desk/guard.yaml:12: The arguments of a tool must be closed. Write additionalProperties: false in the JSON Schema.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "timeout: 5s\n    result_cap: 32KiB",
        "timeout: 20s\n    result_cap: 1MiB",
        [
            "workflows/desk/guard.yaml:15: A timeout of 20 s. Write a duration above 0 and at most 10s.",
            "workflows/desk/guard.yaml:16: A result of 1,048,576 bytes. Write at most 64KiB.",
        ],
    ),
    (
        "workflows/desk/guard.yaml",
        "{host: models.example, purpose: models}",
        "{host: 'https://models.example', purpose: model}",
        [
            "workflows/desk/guard.yaml:18: 'egress[0].host' cannot be 'https://models.example'. Write a host name in lower case or an address, no scheme, no brackets.",
            "workflows/desk/guard.yaml:18: 'egress[0].purpose' cannot be 'model'. Write models, jwks, connectors, tools or notifications.",
        ],
    ),
]


@pytest.mark.feature("R1.5", "R2.8")
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
