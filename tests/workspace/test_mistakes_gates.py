# ruff: noqa: E501 - a message stands on one line, as people see it
"""Every mistake in gates is reported as `file:line: what. what to write`, all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CASES: list[tuple[str, str, str, list[str]]] = [
    (
        "gates/gates.yaml",
        "guards: staging-space",
        "guards: stagin-space",
        [
            "gates/gates.yaml:2: 'stagin-space' is not a space or step. Did you mean 'staging-space'?",
        ],
    ),
    (
        "gates/gates.yaml",
        "after: [first]",
        "after: [frist]",
        [
            "gates/gates.yaml:14: 'frist' is not a gate. Did you mean 'first'?",
        ],
    ),
    (
        "gates/gates.yaml",
        "guards: staging-space\n",
        "guards: staging-space\nafter: [last]\n",
        [
            "gates/gates.yaml:15: The gates wait for each other: first after last after first. Remove one `after`.",
        ],
    ),
    (
        "gates/gates.yaml",
        "gate: last",
        "gate: first",
        [
            "gates/gates.yaml:12: The gate 'first' is defined twice. Keep one definition.",
            "gates/gates.yaml:14: The gates wait for each other: first after first. Remove one `after`.",
        ],
    ),
    (
        "gates/gates.yaml",
        "unscored = 0",
        "unscred = 0",
        [
            "gates/gates.yaml:5: Evidence of kind 'evaluation' has no claim 'unscred'. Did you mean 'unscored'?",
        ],
    ),
    (
        "gates/gates.yaml",
        "unscored = 0",
        "unscored == 0",
        [
            "gates/gates.yaml:5: 'unscored == 0' is not a condition. Write a claim, one of = != < <= > >=, and a number or @path: \"line_rate >= 0.90\".",
        ],
    ),
    (
        "gates/gates.yaml",
        "@workflow.targets.answer_accuracy",
        "@workflow.target.answer_accuracy",
        [
            "gates/gates.yaml:5: The path @workflow.target.answer_accuracy leads nowhere. Did you mean 'workflow.targets.answer_accuracy'?",
        ],
    ),
    (
        "gates/gates.yaml",
        "of: evaluation,",
        "of: evaluations,",
        [
            "gates/gates.yaml:5: 'evaluations' is not a kind of evidence. Did you mean 'evaluation'?",
        ],
    ),
    (
        "gates/gates.yaml",
        '{id: leaks, of: permissions, all: ["leaks = 0"]}',
        '{id: leaks, of: permissions, all: ["leaks = 0"], accept: high}',
        [
            "gates/gates.yaml:6: The claim 'leaks' may never be accepted as a risk, and accept says high. Write accept: never, or put the claim into a criterion of its own.",
        ],
    ),
    (
        "gates/gates.yaml",
        "id: leaks,",
        "id: answers,",
        [
            "gates/gates.yaml:4: Two criteria have the id 'answers'. Give each criterion an id of its own.",
        ],
    ),
    (
        "gates/gates.yaml",
        "role: qa-lead, count: 1",
        "role: qa-boss, count: 0",
        [
            "gates/gates.yaml:9: 'signoffs[0].count' is 0. Write a whole number from 1 to 20.",
            "gates/gates.yaml:9: 'signoffs[0].role' cannot be 'qa-boss'. Write one of: auditor, business-analyst, business-leadership, business-owner, business-sponsor, compliance-officer, corpus-steward, data-governance-lead, data-scientist, devops-lead, executive-sponsor, integration-partner, it-director, lead-ml-engineer, legal, ml-engineer, ml-ops-engineer, model-risk, on-call, operations-lead, operations-manager, platform-engineer, privacy-officer, product-owner, qa-lead, regulatory-affairs, reviewer, risk-management, security-architect, security-director, security-engineer, senior-engineer, service, support-engineer, tech-lead, test-engineer, training-team, uat-participant, workspace-admin.",
        ],
    ),
    (
        "gates/gates.yaml",
        "role: qa-lead, count: 1",
        "role: corpus-steward",
        [
            "gates/gates.yaml:9: The role 'corpus-steward' cannot sign. Name a role that people hold.",
        ],
    ),
    (
        "gates/gates.yaml",
        "when: workflow.code",
        "when: workflow.cod",
        [
            "gates/gates.yaml:7: 'criteria[2].when' cannot be 'workflow.cod'. Write one of: workflow.code.",
        ],
    ),
    (
        "gates/gates.yaml",
        "first_release: absolute",
        "first_release: relative",
        [
            "gates/gates.yaml:7: first_release cannot be 'relative'. Write absolute, or remove the key.",
        ],
    ),
    (
        "gates/gates.yaml",
        "quorum: 1\n    must_vote: [risk-management]",
        "quorum: 3\n    must_vote: [qa-lead]",
        [
            "gates/gates.yaml:24: A quorum of 3 from 2 seats. Write a smaller number.",
            "gates/gates.yaml:25: 'qa-lead' must vote and has no seat. Add the seat, or remove the name.",
        ],
    ),
    (
        "gates/gates.yaml",
        "[operations-lead, risk-management]\n    rule",
        "[operations-lead, operations-lead]\n    rule",
        [
            "gates/gates.yaml:22: A seat stands twice. Write each seat once.",
            "gates/gates.yaml:25: 'risk-management' must vote and has no seat. Add the seat, or remove the name.",
        ],
    ),
    (
        "gates/gates.yaml",
        "documents: [runbook]\n",
        "documents: [Run Book]\n",
        [
            "gates/gates.yaml:8: 'documents[0]' cannot be 'Run Book'. Write a name of lower-case letters, digits and hyphens, at most 40 characters.",
        ],
    ),
    (
        "gates/gates.yaml",
        "ttl: P30D",
        "ttl: P1M",
        [
            "gates/gates.yaml:10: 'ttl': 'P1M' counts months or years, which have no fixed length. Write days: P30D, P365D.",
        ],
    ),
    (
        "gates/gates.yaml",
        "accept: never}]",
        "accept: never}]\n---\ngate: empty\nguards: cab\ntrust: pushed\nsignoffs: [{role: qa-lead, after_board: true}]\n---\ngate: void\nguards: cab\ntrust: pushed",
        [
            "gates/gates.yaml:35: A sign-off waits for a board and the gate has none. Add a board, or drop after_board.",
            "gates/gates.yaml:37: The gate asks for nothing. Write criteria, documents, signoffs or a board.",
        ],
    ),
    (
        "gates/gates.yaml",
        "gate: first\n",
        "gate: compliance\n",
        [
            "gates/gates.yaml:1: The gate 'compliance' weakens 'redaction', which may never be accepted as a risk (POLICY_NEVER). Keep a criterion with id: redaction, accept: never and pii_leaks = 0.",
            "gates/gates.yaml:1: The gate 'compliance' weakens 'residency', which may never be accepted as a risk (POLICY_NEVER). Keep a criterion with id: residency, accept: never and violations = 0.",
            "gates/gates.yaml:14: 'first' is not a gate. Write one of: compliance, last.",
            "portfolio.yaml:14: 'first' is not a gate. Write one of: compliance, last.",
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
