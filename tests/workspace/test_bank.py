"""A whole workspace becomes one checked record; its sealed parts read back from plain values alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles
from pilotage.core.ids import CorpusName, PersonId, SpaceName, WorkflowName
from pilotage.core.located import Problems, from_plain
from pilotage.core.pins import PinKind
from pilotage.core.units import Rate
from pilotage.corpus.settings import Classification, DataStage, History, SourceKind
from pilotage.guard.policy_file import parse_guard
from pilotage.identity.roles import Role
from pilotage.release.model import Prices
from pilotage.release.model_file import parse_model
from pilotage.release.prompt import parse_prompt
from pilotage.retrieval.settings import CorpusRef
from pilotage.retrieval.settings_file import parse_retrieval
from pilotage.space.settings import Delegation, RecordMode, Tier
from pilotage.workspace.gate import Accept, Trust
from pilotage.workspace.golden import FactForm
from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.records import MessageKind

Files = dict[str, bytes]


def test_the_minimal_template_is_valid_without_a_warning(files: Files) -> None:
    workspace = parse_workspace(files)
    assert workspace.warnings == ()
    assert workspace.ledger == f"ledger.{workspace.id}"
    assert list(workspace.spaces) == [SpaceName("sandbox")]
    assert len(workspace.workflows[WorkflowName("assistant")].golden[0].cases) == 3


def test_people_roster_and_board_come_together(bank: Files) -> None:
    workspace = parse_workspace(bank)
    assert workspace.id == "test-bank"
    assert workspace.ledger == "test-ledger"
    assert workspace.groups == {"staff", "pilot-users", "auditors"}
    assert workspace.roster[Role.BUSINESS_OWNER] == ("ada", "cyd")
    assert workspace.roster[Role.QA_LEAD] == ("cyd",)
    assert workspace.people[PersonId("ada")].emails == ("ada@bank.example", "a@bank.example")
    assert [seat.role for seat in workspace.seats] == [Role.OPERATIONS_LEAD, Role.RISK_MANAGEMENT]
    assert workspace.channels["slack"].kinds == {MessageKind.TICKET, MessageKind.APPROVAL}
    assert workspace.exporters == {"splunk", "datadog", "prometheus"}
    assert workspace.gateway.limits.body_bytes == 2_097_152
    assert workspace.gateway.health_peers == ("192.0.2.7/32",)
    assert workspace.gateway.record_flush_ms == 20
    assert [freeze.weekly for freeze in workspace.freezes] == [False, True]


def test_spaces_stand_in_promotion_order_with_their_tier_defaults(bank: Files) -> None:
    workspace = parse_workspace(bank)
    assert list(workspace.spaces) == ["sandbox", "staging-space", "us-space", "eu-space"]
    staging, us = workspace.spaces[SpaceName("staging-space")], workspace.spaces[SpaceName("us-space")]
    assert (staging.data_stage, staging.record_mode, staging.soak_s) == (DataStage.UAT, RecordMode.ASYNC, 43_200)
    assert (us.tier, us.data_stage, us.record_mode) == (Tier.PRODUCTION, DataStage.PRODUCTION, RecordMode.FAIL_CLOSED)
    assert us.allowed_ips == ("10.0.0.0/8",)
    assert us.api_rate_limit.key == Rate(count=600, window_s=60)
    assert us.security.delegation is Delegation.REQUIRED
    assert us.retention.text_days == 90


def test_gates_are_parsed_with_defaults_and_forced_never(bank: Files) -> None:
    first = parse_workspace(bank).gates["first"]
    answers, leaks, code = first.pre.criteria
    assert (answers.accept, answers.trust) == (Accept.LOW, Trust.PUSHED)
    assert leaks.accept is Accept.NEVER
    assert (code.trust, code.when, code.first_release_absolute) == (Trust.ATTESTED, "workflow.code", True)
    assert [str(condition) for condition in answers.all] == [
        "answer_accuracy_lcb >= @workflow.targets.answer_accuracy",
        "unscored = 0",
    ]
    last = parse_workspace(bank).gates["last"]
    assert last.post is not None
    assert (last.post.machine_within_s, last.post.confirm_within_s) == (1800, 14_400)
    assert Trust.ATTESTED.rank > Trust.PUSHED.rank > Trust.CLAIMED.rank


def test_a_workflow_carries_its_parts_and_the_bytes_that_are_sealed(bank: Files) -> None:
    workflow = parse_workspace(bank).workflows[WorkflowName("desk")]
    assert workflow.model.pin_kind is PinKind.DATED
    assert workflow.model.prices == Prices(currency="USD", input_nano=150, output_nano=600)
    assert workflow.retrieval.corpora[DataStage.UAT] == CorpusRef(name=CorpusName("policies-uat"), version=3)
    assert workflow.budgets.cost_per_query_nano == 20_000_000
    assert workflow.code
    assert workflow.sources.prompt == bank["workflows/desk/prompt.md"]
    assert workflow.sources.model["provider"] == "openai"
    assert set(workflow.sources.golden) == {"golden/main.jsonl", "golden/main.meta.yaml", "evaluation.yaml"}
    assert workflow.documents["runbook"].words == 5
    assert workflow.rollout is not None
    plan = workflow.rollout.plans["standard"]
    assert [step.weight for wave in plan.waves for step in wave.steps] == [0.05, 1.0, 1.0]
    assert plan.waves[1].steps[0].limits.error_go == 0.01


def test_golden_cases_take_the_defaults_of_their_file(bank: Files) -> None:
    (golden,) = parse_workspace(bank).workflows[WorkflowName("desk")].golden
    a, b, c, d = golden.cases
    assert (a.asker, a.as_of, a.tags, a.cluster, a.line) == (
        "lena",
        date(2026, 1, 31),
        ("core", "edge:refund"),
        "refunds.md",
        1,
    )
    assert [fact.form for fact in a.expect.facts] == [
        FactForm.TEXT,
        FactForm.ANY,
        FactForm.AT_LEAST,
        FactForm.NUMBER,
        FactForm.DATE,
        FactForm.PATTERN,
        FactForm.ALL,
        FactForm.TEXT,
    ]
    assert a.expect.citations == (("refunds.md#2",), ("b.md", "c.md"))
    assert a.expect.retrieve == {"refunds.md#2": 1, "b.md": 1, "c.md": 1}
    assert (a.expect.refuse, b.expect.refuse, c.expect.refuse, d.expect.refuse) == (False, True, True, None)
    assert (b.asker, b.cluster, b.as_of, d.cluster) == ("ada", "c1", date(2026, 2, 1), "d")


def test_corpora_and_operations(bank: Files) -> None:
    workspace = parse_workspace(bank)
    policies = workspace.corpora[CorpusName("policies")]
    assert (policies.source.kind, policies.classification, policies.history) == (
        SourceKind.JSONL,
        Classification.RESTRICTED,
        History.DATED,
    )
    assert policies.acl_max_age_s is None
    assert policies.fields == {"id": "{part}/{section}", "title": "heading"}
    uat = workspace.corpora[CorpusName("policies-uat")]
    assert (uat.acl_max_age_s, uat.acl_rules[0].names) == (3600, ("group:staff",))
    operations = workspace.operations
    assert operations.rotas["desk"].layers[0].people == ("ada", "ben")
    assert operations.costs.lines[1].amount == Decimal("15000.50")
    share = operations.portfolio.use_cases[0].share
    assert share is not None
    assert share.value == Decimal("0.5")
    assert operations.training.records[0].person == "ben"


def test_how_long_backups_are_kept_may_be_declared(bank: Files) -> None:
    assert parse_workspace(bank).backup_retention_days is None
    bank["pilotage.yaml"] += b"backup_retention: 35d\n"
    assert parse_workspace(bank).backup_retention_days == 35


def test_what_one_index_may_need_is_declared_or_half_the_machine(bank: dict[str, bytes]) -> None:
    assert parse_workspace(bank).index.memory_limit is None
    bank["pilotage.yaml"] += b"index: {memory_limit: 2GiB}\n"
    assert parse_workspace(bank).index.memory_limit == 2 << 30


def test_warnings_name_what_will_hurt_later(bank: Files) -> None:
    warnings = [str(warning) for warning in parse_workspace(bank).warnings]
    assert warnings == [
        (
            "corpora/policies-uat/corpus.yaml: ACLs of 'policies-uat' go stale PT1H after each refresh, and nothing "
            "refreshes it by itself. Write a cadence; until then all its documents vanish that long after a refresh."
        ),
        (
            "pilotage.yaml:1: Production spaces (eu-space, us-space) are served with local identity, and marked so. "
            "Configure identity: oidc before real use."
        ),
        (
            "workflows/desk/guard.yaml: The embedded grounding score is a signal and its action is block. "
            "Write action: flag, unless a model scorer is configured."
        ),
        (
            "workflows/desk/model.yaml: The model stands in 'us-east-1', which is not a region of 'eu-space'. "
            "Promotion there will be refused: RESIDENCY."
        ),
        (
            "workflows/desk/retrieval.yaml: The embedding model 'mini' has no price, so no cost of an answer is known."
            " Write prices: {currency, input, output, embedding} in model.yaml."
        ),
        (
            "workflows/desk/retrieval.yaml: The embedding model 'mini' is a floating alias that can change under you."
            " It will be refused from staging on; write pin: {kind: dated, id: VERSION}, a revision or weights."
        ),
        (
            "workflows/desk/retrieval.yaml: The embedding model stands in 'us-east-1', which is not a region of"
            " 'eu-space'. Promotion there will be refused: RESIDENCY."
        ),
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "warning"),
    [
        ("spaces/us-space.yaml", "allowed_ips: [10.0.0.0/8]", "encryption_at_rest: true", "every address may connect"),
        ("spaces/us-space.yaml", "region: us-east-1\n", "", "has no region"),
        ("spaces/us-space.yaml", "deployment_space", "record: async\ndeployment_space", "after sending them"),
        (
            "spaces/us-space.yaml",
            "monitoring",
            (
                "hardware: {vcpu: 1, memory: 1GB}\nscaling: {min_instances: 1, "
                "max_instances: 1, target_latency_ms: 2000}\nmonitoring"
            ),
            "is not below sla.p95_ms",
        ),
        ("spaces/sandbox.yaml", "auto_promote", "data_stage: production\nauto_promote", "without gates"),
        ("gates/gates.yaml", "guards: staging-space", "guards: review", "No gate guards the space 'staging-space'"),
        ("gates/gates.yaml", "guards: production", "guards: cab", "No gate guards the space 'eu-space'"),
        ("gates/gates.yaml", "count: 2", "count: 3", "needs 3 of 'business-owner' and the roster has 2"),
        ("pilotage.yaml", "    - {role: risk-management, holder: cyd}\n", "", "The seat 'risk-management' of the gate"),
        ("workflows/desk/workflow.yaml", "targets: {answer_accuracy: 0.85}\n", "", "this workflow does not set"),
        ("workflows/desk/workflow.yaml", "baseline: 6.0, ", "", "The KPI 'minutes' has no baseline"),
        ("workflows/desk/model.yaml", "kind: dated", "kind: floating", "floating alias"),
        ("workflows/desk/model.yaml", "region: us-east-1\n", "", "has no region"),
        (
            "workflows/desk/retrieval.yaml",
            ", uat: policies-uat@3",
            "",
            "reads uat data and this workflow names no such",
        ),
        ("workflows/desk/guard.yaml", "{host: models.example, purpose: models}", "", "which egress does not list"),
        ("workflows/desk/guard.yaml", "purpose: models", "port: 8443, purpose: models", "which egress does not list"),
        ("corpora/policies-uat/corpus.yaml", "retention: 30d\n", "", "has no retention"),
        (
            "corpora/policies/corpus.yaml",
            "recheck: off",
            "acl_max_age: 72h",
            "ACLs of 'policies' go stale after P3D, and up to P3D lie between two confirmations",
        ),
        (
            "corpora/policies-uat/corpus.yaml",
            "acl_max_age: 1h",
            "cadence: 1d\nacl_max_age: 96h",
            "ACLs of 'policies-uat' go stale after P4D, and up to P4D lie between two confirmations",
        ),
        ("oncall.yaml", "people: [ada, ben]", "people: [ada]", "never changes hands"),
    ],
)
def test_each_warning_appears_for_its_cause(bank: Files, path: str, old: str, new: str, warning: str) -> None:
    text = bank[path].decode()
    assert old in text
    bank[path] = text.replace(old, new, 1).encode()
    assert any(warning in str(found) for found in parse_workspace(bank).warnings)


@pytest.mark.feature("R1.3")
@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("unit: minutes, ", "unit"),
        ("direction: down, ", "direction"),
        ("target: 4, ", "target"),
        (", source: measured", "source"),
    ],
)
def test_a_kpi_says_in_what_which_way_how_far_and_from_where_it_is_measured(
    bank: Files, mistakes: Callable[[Files], list[str]], key: str, told: str
) -> None:
    path = "workflows/desk/workflow.yaml"
    text = bank[path].decode()
    assert key in text
    bank[path] = text.replace(key, "", 1).encode()
    assert f"{path}:12: 'kpis[0].{told}' is missing. Write `{told}: ...`." in mistakes(bank)


def test_a_refresh_that_comes_before_acls_go_stale_is_not_warned_about(bank: Files) -> None:
    for path, old, new in (
        ("corpora/policies/corpus.yaml", b"recheck: off", b"acl_max_age: 73h"),
        ("corpora/policies-uat/corpus.yaml", b"acl_max_age: 1h", b"cadence: 59m\nacl_max_age: 73h"),
    ):
        bank[path] = bank[path].replace(old, new)
    assert not any("go stale" in str(found) for found in parse_workspace(bank).warnings)


def test_a_derived_corpus_keeps_the_limit_of_its_source(bank: Files) -> None:
    path = "corpora/policies/corpus.yaml"
    bank[path] = bank[path].replace(b"recheck: off", b"acl_max_age: 30m")
    corpora = parse_workspace(bank).corpora
    assert {name: one.acl_max_age_s for name, one in corpora.items()} == {"policies": 1800, "policies-uat": 1800}


@pytest.mark.parametrize(
    ("listed", "warning"),
    [
        ("[]", "models.example is not listed as a subprocessor"),
        ("[{name: M, host: models.example, regions: [eu-west-1]}]", "models.example is listed for eu-west-1"),
        ("models.example", "The list of subprocessors cannot be read"),
        ("[{name: M, host: models.example, regions: [us-east-1]}]", None),
    ],
    ids=["nobody", "elsewhere", "no list", "listed"],
)
def test_a_provider_that_the_document_does_not_list_is_warned_about(
    bank: Files, listed: str, warning: str | None
) -> None:
    front = f"---\nowner: ada\nversion: '1'\nvalid_until: 2027-01-01\nsubprocessors: {listed}\n---\nText.\n"
    bank["workflows/desk/documents/subprocessors.md"] = front.encode()
    found = [str(one) for one in parse_workspace(bank).warnings if "subprocessor" in str(one)]
    assert len(found) == (0 if warning is None else 1)
    assert all(warning in one for one in found if warning)


def test_egress_lists_a_host_by_its_address(bank: Files) -> None:
    for path, old, new in (
        ("workflows/desk/guard.yaml", "{host: models.example,", '{host: "fd00::1",'),
        ("workflows/desk/model.yaml", "https://models.example/v1", "https://[FD00::1]/v1"),
        ("workflows/desk/retrieval.yaml", "https://models.example/v1/embeddings", '"https://[FD00::1]/v1/embeddings"'),
    ):
        assert old in bank[path].decode()
        bank[path] = bank[path].decode().replace(old, new, 1).encode()
    assert not any("egress" in str(found) for found in parse_workspace(bank).warnings)


def test_a_workflow_without_kpi_or_golden_case_is_warned_about(bank: Files) -> None:
    text = bank["workflows/desk/workflow.yaml"].decode()
    start, end = text.index("kpis:"), text.index("slo:")
    bank["workflows/desk/workflow.yaml"] = (text[:start] + text[end:]).encode()
    del bank["workflows/desk/golden/main.jsonl"], bank["workflows/desk/golden/main.meta.yaml"]
    del bank["corpora/policies-uat/acl.yaml"], bank["portfolio.yaml"]  # which names the KPI
    warnings = " ".join(str(found) for found in parse_workspace(bank).warnings)
    assert "has no KPI" in warnings
    assert "no golden case" in warnings
    assert "The corpus 'policies-uat' has no ACL" not in warnings, "a derived corpus inherits its source's"


def test_files_nobody_reads_are_not_silent(bank: Files) -> None:
    bank |= {
        "space/us.yaml": b"x: 1",
        "gates/more.yml": b"x: 1",
        "workflows/desk/notes.yaml": b"x: 1",
        "README.md": b"",
    }
    bank |= {"corpora/policies/documents/a.jsonl": b"{}"}
    found = [warning.file for warning in parse_workspace(bank).warnings if "was not read" in warning.what]
    assert found == ["gates/more.yml", "space/us.yaml", "workflows/desk/notes.yaml"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pilotage.yaml", "pilotage.yaml: The file is missing. Run `pilotage init DIR`, or write it."),
        ("workflows/desk/model.yaml", "workflows/desk/model.yaml: The file is missing."),
        ("workflows/desk/prompt.md", "workflows/desk/prompt.md: The file is missing."),
        ("corpora/policies/corpus.yaml", "corpora/policies/corpus.yaml: The file is missing."),
        ("spaces/us-space.yaml", "pilotage.yaml:21: 'us-space' is not a space."),
        ("workflows/desk/golden/main.jsonl", "workflows/desk/golden/main.meta.yaml: There are no cases beside it."),
    ],
)
def test_a_missing_file_is_named(bank: Files, mistakes: Callable[[Files], list[str]], path: str, expected: str) -> None:
    if path.startswith("corpora"):
        bank["corpora/policies/acl.yaml"] = b"'**': [group:staff]"
    del bank[path]
    assert any(found.startswith(expected) for found in mistakes(bank))


def test_a_broken_file_hides_no_mistake_of_another(bank: Files, mistakes: Callable[[Files], list[str]]) -> None:
    bank["spaces/us-space.yaml"] = b"a: [\n"
    bank["training.yaml"] = b"\xff"
    bank["workflows/Bad Name/workflow.yaml"] = b"x: 1"
    bank["pilotage.yaml"] = bank["pilotage.yaml"].replace(b"id: test-bank", b"id: Bad")
    found = mistakes(bank)
    assert {line.split(":")[0] for line in found} >= {
        "pilotage.yaml",
        "spaces/us-space.yaml",
        "training.yaml",
        "workflows/Bad Name",
    }


def test_an_unreadable_root_file_is_the_only_thing_reported(
    bank: Files, mistakes: Callable[[Files], list[str]]
) -> None:
    bank["pilotage.yaml"] = b"- a\n"
    assert mistakes(bank) == ["pilotage.yaml:1: This is a list, not a mapping. Write keys and values below it."]
    bank["pilotage.yaml"] = b"a: ["
    assert [found.partition(":")[0] for found in mistakes(bank)] == ["pilotage.yaml"]


def test_the_digest_moves_with_every_byte(bank: Files) -> None:
    before = parse_workspace(bank).digest
    bank["training.yaml"] += b"\n"
    assert parse_workspace(bank).digest != before


def test_sealed_parts_read_back_from_plain_values(bank: Files) -> None:
    workflow = parse_workspace(bank).workflows[WorkflowName("desk")]
    problems = Problems()
    sealed = {key: value for key, value in workflow.sources.model.items() if key != "prices"}
    model = parse_model(from_plain(sealed, file="part model"), problems)
    assert model.prices is None
    assert (model.model, model.pin, model.total_s) == (workflow.model.model, workflow.model.pin, 60.0)
    retrieval = parse_retrieval(from_plain(workflow.sources.retrieval, file="part retrieval"), problems)
    assert retrieval == workflow.retrieval
    assert parse_guard(from_plain(workflow.sources.guard, file="part guard"), problems) == workflow.guard
    assert parse_prompt(workflow.sources.prompt, file="part prompt", problems=problems) == workflow.prompt
    assert problems.found == []


def test_a_plain_string_names_the_production_corpus() -> None:
    problems = Problems()
    settings = parse_retrieval(from_plain({"corpus": "policies@12"}, file="r"), problems)
    assert settings.corpora == {DataStage.PRODUCTION: CorpusRef(name=CorpusName("policies"), version=12)}


def test_filling_a_prompt_never_interprets_what_it_inserts() -> None:
    problems = Problems()
    prompt = parse_prompt(b"P: {passages} Q: {question} {other}", file="p", problems=problems)
    assert prompt.fill(passages="{question}", question="{passages}") == "P: {question} Q: {passages} {other}"


YAML_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    path=st.sampled_from(["pilotage.yaml", "spaces/a.yaml", "gates/a.yaml", "workflows/desk/guard.yaml"]),
    junk=YAML_JUNK,
)
def test_junk_in_any_file_is_a_list_of_problems_never_a_crash(path: str, junk: Json) -> None:
    declared = {
        "pilotage.yaml": b"id: x\norganisation: X\ntimezone: UTC\nidentity: local\nspaces: [{name: a, tier: dev}]\n",
        path: yaml.safe_dump(junk).encode(),
    }
    with pytest.raises(InvalidFiles):
        parse_workspace(declared)


def test_a_corpus_without_any_acl_is_warned_about_unless_it_inherits_one(bank: Files) -> None:
    path = "corpora/policies-uat/corpus.yaml"
    bank[path] = bank[path].replace(b"derived_from: policies\n", b"")
    del bank["corpora/policies-uat/acl.yaml"], bank["portfolio.yaml"]  # which names the KPI
    warnings = " ".join(str(found) for found in parse_workspace(bank).warnings)
    assert "The corpus 'policies-uat' has no ACL" in warnings


@pytest.mark.parametrize("recheck", ["cited", "all"])
def test_a_source_without_a_say_of_its_own_cannot_be_asked_again(bank: Files, recheck: str) -> None:
    path = "corpora/policies/corpus.yaml"
    bank[path] = bank[path].replace(b"recheck: off", f"recheck: {recheck}".encode())
    with pytest.raises(InvalidFiles, match=f"recheck: {recheck}, but a jsonl cannot be asked who may read"):
        parse_workspace(bank)
