# ruff: noqa: E501 - a message stands on one line, as people see it
"""Rare but real: missing nested records, huge files, unreadable ones, the edges of each rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles
from pilotage.core.fields import read_record
from pilotage.core.ids import WorkflowName
from pilotage.core.located import Problems, from_plain
from pilotage.core.pins import PinKind
from pilotage.identity.principal import Principal, PrincipalKind, acl_names, service_principal_id
from pilotage.release.model_file import EXTRACTIVE_MODEL, parse_model
from pilotage.release.prompt import MAX_PROMPT_BYTES, parse_prompt
from pilotage.space.settings import Tier
from pilotage.space.settings_file import parse_space
from pilotage.workspace import golden_file
from pilotage.workspace.golden_file import parse_golden
from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.plan_file import parse_rollout

Files = dict[str, bytes]
Mistakes = Callable[[Files], list[str]]


def change(files: Files, path: str, old: str, new: str) -> None:
    text = files[path].decode()
    assert old in text
    files[path] = text.replace(old, new, 1).encode()


def test_required_nested_records_may_be_missing_altogether(bank: Files, mistakes: Mistakes) -> None:
    change(bank, "pilotage.yaml", "identity: {mode: local, local_demo: true}\n", "")
    change(bank, "portfolio.yaml", "    minutes: {value: 11, source: measured, date: 2026-05-01}\n", "")
    change(bank, "gates/gates.yaml", "rule: unanimous_or_risk_accepted\n    quorum: 1\n", "quorum: 1\n")
    change(bank, "gates/gates.yaml", "of: failover, ", "")
    change(bank, "gates/gates.yaml", "accept: high}\n  board", "accept: high, extra: 1}\n  board")
    assert mistakes(bank) == [
        "gates/gates.yaml:20: 'pre.criteria[0].of' is missing. Write `of: ...`.",
        "gates/gates.yaml:20: The key 'pre.criteria[0].extra' is unknown. Known keys: accept, all, first_release, id, of, trust, when.",
        "gates/gates.yaml:21: 'pre.board.rule' is missing. Write `rule: ...`.",
        "pilotage.yaml:1: 'identity' is missing. Write `identity: ...`.",
        "portfolio.yaml:2: 'use_cases[0].minutes' is missing. Write `minutes: ...`.",
    ]


def test_lists_of_the_wrong_shape_are_one_mistake_each(bank: Files, mistakes: Mistakes) -> None:
    change(bank, "pilotage.yaml", "groups: {auditors: External auditors}", "groups: [auditors]")
    change(bank, "corpora/policies/corpus.yaml", 'acl_rules: {"hr/**": [group:auditors]}', "acl_rules: [hr]")
    change(bank, "corpora/policies/corpus.yaml", "group:staff,", '"",')
    change(bank, "workflows/desk/retrieval.yaml", "production: policies,", 'production: "",')
    change(bank, "workflows/desk/evaluation.yaml", "fairness: {attribute: name}", "fairness: none")
    change(bank, "workflows/desk/evaluation.yaml", "thresholds: {answer_accuracy: 0.9}", "thresholds: 0.9")
    assert [found.partition(". ")[0] for found in mistakes(bank)] == [
        "corpora/policies/corpus.yaml:9: 'acl[0]' is empty",
        "corpora/policies/corpus.yaml:10: 'acl_rules' is a list, not a mapping",
        "workflows/desk/evaluation.yaml:3: 'thresholds' is a number, not a mapping",
        "workflows/desk/retrieval.yaml:1: 'corpus.production' is empty",
    ]


def test_golden_files_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Problems()
    monkeypatch.setattr(golden_file, "MAX_GOLDEN_BYTES", 200)
    monkeypatch.setattr(golden_file, "MAX_CASES", 1)
    assert parse_golden("x", b" " * 201, None, file="g.jsonl", problems=problems).cases == ()
    row = b'{"id":"%d","question":"Q","as":"lena"}\n'
    found = parse_golden("x", row % 1 + row % 2 + row % 3, None, file="h.jsonl", problems=problems)
    assert len(found.cases) == 1
    parse_golden("x", b"null\n7\n", b"a: [", file="i.jsonl", problems=problems)
    assert [str(problem).partition(". ")[0].partition(" (")[0] for problem in problems.found][:2] == [
        "g.jsonl: The file has 201 bytes",
        "h.jsonl:2: The file has more than 1 cases",
    ]
    assert {problem.file for problem in problems.found} == {"g.jsonl", "h.jsonl", "i.jsonl", "i.meta.yaml"}
    assert {problem.line for problem in problems.found if problem.file == "i.jsonl"} == {1, 2}


def test_an_empty_asker_is_a_mistake_of_its_own(bank: Files, mistakes: Mistakes) -> None:
    change(bank, "workflows/desk/golden/main.jsonl", '"as":"ada"', '"as":""')
    assert mistakes(bank) == ["workflows/desk/golden/main.jsonl:3: 'as' is empty. Write a value, or remove the key."]


def test_unreadable_documents_prompts_and_rotas_are_problems(bank: Files, mistakes: Mistakes) -> None:
    bank["workflows/desk/documents/pia.md"] = b"\xff"
    bank["workflows/desk/prompt.md"] = b"x" * (MAX_PROMPT_BYTES + 1)
    assert [found.partition(". ")[0] for found in mistakes(bank)] == [
        "workflows/desk/documents/pia.md:1: Byte 0 is not UTF-8",
        "workflows/desk/prompt.md: The file has 262,145 bytes",
    ]


def test_a_single_rota_is_called_default(bank: Files) -> None:
    rotas = bank["oncall.yaml"].decode().splitlines()[2:]
    bank["oncall.yaml"] = "\n".join(line.removeprefix("    ") for line in rotas).encode()
    change(bank, "workflows/desk/workflow.yaml", "on_call: desk\n", "")
    workspace = parse_workspace(bank)
    assert list(workspace.operations.rotas) == ["default"]
    assert workspace.workflows[WorkflowName("desk")].on_call == "default"


def test_long_reporting_circles_are_reported_once(bank: Files, mistakes: Mistakes) -> None:
    change(
        bank, "pilotage.yaml", "roles: [business-owner], region: us-east-1", "reports_to: ben, roles: [business-owner]"
    )
    assert mistakes(bank) == [
        "pilotage.yaml:1: Reporting lines run in a circle: ada > ben > ada. Correct one reports_to."
    ]


def test_three_gates_in_a_circle_are_reported_once(bank: Files, mistakes: Mistakes) -> None:
    change(bank, "gates/gates.yaml", "guards: staging-space\n", "guards: staging-space\nafter: [last, other]\n")
    bank["gates/other.yaml"] = b"gate: other\nguards: cab\nafter: first\ntrust: pushed\ndocuments: [runbook]\n"
    assert mistakes(bank) == [
        "gates/gates.yaml:15: The gates wait for each other: first after other after first. Remove one `after`."
    ]


def test_with_an_identity_provider_and_no_declared_groups_any_group_may_be_named(bank: Files) -> None:
    text = bank["pilotage.yaml"].decode()
    text = text.replace(
        "identity: {mode: local, local_demo: true}",
        "identity: {mode: oidc, oidc: {issuer: "
        "https://idp.example, audience: pilotage, jwks_uri: https://idp.example/keys, role_map: {QA: qa-lead}}}",
    )
    text = text.replace("groups: {auditors: External auditors}\n", "").replace("groups: [staff], ", "")
    bank["pilotage.yaml"] = text.replace("groups: [pilot-users], ", "").encode()
    change(bank, "workflows/desk/golden/main.jsonl", '"as":"ada"', '"as":"lena"')
    workspace = parse_workspace(bank)
    assert workspace.groups == frozenset()
    assert workspace.identity.oidc is not None
    assert workspace.identity.oidc.issuer == "https://idp.example"


def test_a_golden_file_of_a_broken_workflow_hides_nothing(bank: Files, mistakes: Mistakes) -> None:
    del bank["workflows/desk/guard.yaml"]
    found = mistakes(bank)
    assert any(problem.startswith("workflows/desk/guard.yaml: The file is missing") for problem in found)
    assert not any("main.jsonl" in problem for problem in found)


def test_the_extractive_model_needs_nothing_and_may_be_pinned() -> None:
    problems = Problems()
    plain = parse_model(from_plain({"provider": "extractive"}, file="m"), problems)
    assert (plain.model, plain.pin_kind, plain.pin) == (EXTRACTIVE_MODEL, PinKind.BUILTIN, EXTRACTIVE_MODEL)
    value: Json = {
        "provider": "extractive",
        "pin": {"kind": "builtin", "id": "x"},
        "prices": {"unmetered": "own machine"},
    }
    own = parse_model(from_plain(value, file="m"), problems)
    assert own.prices is not None
    assert own.prices.unmetered == "own machine"
    assert problems.found == []


def test_empty_names_in_lists_are_reported_once() -> None:
    problems = Problems()
    space: Json = {"deployment_space": "x", "monitoring": [""]}
    read_record(from_plain(space, file="s"), problems, lambda fields: parse_space(fields, tier=Tier.DEV))
    waves: Json = {"default_plan": "p", "plans": {"p": {"waves": [{"space": "", "steps": []}]}}}
    read_record(from_plain(waves, file="r"), problems, parse_rollout)
    assert sorted(problem.what for problem in problems.found) == [
        "'monitoring[0]' is empty",
        "'plans.p.waves[0].space' is empty",
        "'plans.p.waves[0].steps' has 0 entries",
    ]


def test_a_persons_name_is_only_among_acl_names_when_known() -> None:
    unknown = Principal(id=service_principal_id("x"), kind=PrincipalKind.PERSONA, label="x", via="evaluation")
    assert acl_names(unknown) == {"user:key|x", "group:everyone"}


def test_a_prompt_without_front_matter_keeps_its_first_line() -> None:
    problems = Problems()
    assert parse_prompt(b"{passages} {question}", file="p", problems=problems).template == "{passages} {question}"


def test_nothing_at_all_is_a_missing_root_file() -> None:
    with pytest.raises(InvalidFiles, match="pilotage init"):
        parse_workspace({})
