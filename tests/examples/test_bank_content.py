"""What the sample bank promises: every role held, many readers, governed documents, and golden cases of every kind."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from pilotage.adapters.connectors.folder import FolderConnector
from pilotage.adapters.parsing.blocks import Unreadable
from pilotage.adapters.parsing.formats import READERS, load
from pilotage.control.load_workspace import load_workspace
from pilotage.core.ids import CorpusName, WorkflowName
from pilotage.corpus.acl import readers_by_rules
from pilotage.corpus.records import SourceItem
from pilotage.corpus.settings import Classification, DataStage
from pilotage.identity.roles import DERIVED_ROLES, Role
from pilotage.space.settings import Tier
from pilotage.workspace.evidence_kinds import DOCUMENTS
from pilotage.workspace.golden import Choice, Condition, GoldenCase
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

BANK = Path(__file__).parents[2] / "examples" / "northlake-bank"
POLICIES = CorpusName("policies")
UNREADABLE = "cards/cardholder-terms-scan.pdf"
MISSION_SPACES = (
    "dev-deployment-space",
    "qa-deployment-space",
    "staging-deployment-space",
    "production-us-east-space",
    "production-us-west-space",
    "production-eu-space",
)
EXPECTED_WARNINGS = (
    "served with local identity",
    "reads production documents without gates",
    "'policies-uat' has no ACL",
)


@pytest.fixture(scope="module")
def bank() -> Workspace:
    return load_workspace(BANK)


@pytest.fixture(scope="module")
def workflow(bank: Workspace) -> Workflow:
    return bank.workflows[WorkflowName("policy-assistant")]


@pytest.fixture(scope="module")
def cases(workflow: Workflow) -> tuple[GoldenCase, ...]:
    return tuple(case for golden in workflow.golden for case in golden.cases)


@pytest.fixture(scope="module")
def readers(bank: Workspace) -> dict[str, tuple[str, ...]]:
    """Return who may read each document that can be read at all, by its path."""
    rules = bank.corpora[POLICIES].acl_rules
    return {
        str(item.id): readers_by_rules(item.path, rules=rules, default=()).names
        for item in FolderConnector(BANK / "corpora" / POLICIES / "documents", fields={}).list()
        if isinstance(item, SourceItem) and str(item.id) != UNREADABLE
    }


def _without_notes(path: str) -> str:
    return path.partition("#")[0]


def test_workspace_is_valid_with_expected_warnings_only(bank: Workspace) -> None:
    others = [str(one) for one in bank.warnings if not any(text in str(one) for text in EXPECTED_WARNINGS)]
    assert others == []


def test_every_role_that_a_person_can_hold_is_held(bank: Workspace) -> None:
    assert set(Role) - DERIVED_ROLES - set(bank.roster) == set()
    assert len(bank.people) >= 25
    assert len({seat.holder for seat in bank.seats}) == 6
    assert all(seat.alternates for seat in bank.seats)


def test_nobody_who_accepts_corpus_versions_is_the_only_holder_of_a_voting_role(bank: Workspace) -> None:
    corpus = bank.corpora[POLICIES]
    authors = {corpus.owner, corpus.steward}
    voting = {signoff.role: signoff.count for gate in bank.gates.values() for signoff in gate.pre.signoffs}
    short = {role for role, count in voting.items() if len(set(bank.roster[role]) - authors) < count}
    assert short == set()


@pytest.mark.feature("D0.3", "D0.4", "D0.5", "D0.6", "D0.7", "D0.8")
def test_spaces_are_the_missions_six_and_a_sandbox(bank: Workspace) -> None:
    assert tuple(bank.order) == ("sandbox", *MISSION_SPACES)
    assert len(bank.gates) == 9
    for space in bank.spaces.values():
        reads_production = space.tier in {Tier.PRODUCTION, Tier.SANDBOX}
        assert space.data_stage is (DataStage.PRODUCTION if reads_production else DataStage.UAT)
    assert bank.corpora[CorpusName("policies-uat")].derived_from == POLICIES


def test_library_has_sixty_documents_of_eight_departments(readers: dict[str, tuple[str, ...]]) -> None:
    assert len(readers) >= 60
    departments = Counter(path.partition("/")[0] for path in readers)
    assert len(departments) >= 8
    assert sum(1 for path in readers if path.endswith(".md")) < len(readers), "one other format at least"


def test_every_document_parses_and_has_a_reader(readers: dict[str, tuple[str, ...]]) -> None:
    for path, names in readers.items():
        file = BANK / "corpora" / POLICIES / "documents" / path
        parsed = load(READERS[file.suffix])(file.read_bytes())
        words = sum(len(section.text.split()) for section in parsed.sections)
        assert parsed.title or file.suffix == ".pdf", path
        assert words >= 250, (path, words)
        assert names, f"{path} is readable by nobody"


def test_one_document_is_unreadable_as_in_every_real_library_and_says_why() -> None:
    file = BANK / "corpora" / POLICIES / "documents" / UNREADABLE
    with pytest.raises(Unreadable, match="no readable PDF"):
        load(READERS[file.suffix])(file.read_bytes())


def test_readers_differ_and_a_few_documents_are_for_two_or_three_people(readers: dict[str, tuple[str, ...]]) -> None:
    assert len(set(readers.values())) >= 8
    few = [path for path, names in readers.items() if all(name.startswith("user:") for name in names)]
    assert len(few) >= 3
    assert all(2 <= len(readers[path]) <= 3 for path in few)


def test_confidential_documents_are_not_for_everyone(readers: dict[str, tuple[str, ...]]) -> None:
    for path, names in readers.items():
        file = BANK / "corpora" / POLICIES / "documents" / path
        level = load(READERS[file.suffix])(file.read_bytes()).fields.get("classification", "internal")
        if Classification(level).rank >= Classification.CONFIDENTIAL.rank:
            assert "group:everyone" not in names, path


@pytest.mark.feature("D9.15", "R3.2")
def test_golden_cases_are_many_and_of_every_kind(workflow: Workflow, cases: tuple[GoldenCase, ...]) -> None:
    assert len(cases) >= 120
    tags = Counter(tag for case in cases for tag in case.tags)
    for tag in ("edge:refund", "edge:exception", "edge:ambiguous", "unanswerable", "forbidden"):
        assert tags[tag] >= 10, (tag, tags[tag])
    assert tags["unanswerable"] >= 15
    assert tags["forbidden"] >= 20
    required = {tag: count for golden in workflow.golden for tag, count in golden.required_tags.items()}
    assert all(tags[tag] >= count for tag, count in required.items())
    assert sum(case.must_pass for case in cases) >= 10


def test_every_forbidden_case_has_a_twin_that_somebody_may_get_answered(cases: tuple[GoldenCase, ...]) -> None:
    answered = {case.question for case in cases if not case.expect.refuse}
    alone = [case.id for case in cases if "forbidden" in case.tags and case.question not in answered]
    assert alone == []


def test_golden_cases_name_documents_that_exist_and_answers_that_stand_in_them(
    cases: tuple[GoldenCase, ...], readers: dict[str, tuple[str, ...]]
) -> None:
    for case in cases:
        named = {_without_notes(one) for entry in case.expect.citations for one in entry}
        assert named <= set(readers), case.id
        assert case.expect.refuse or case.expect.facts or case.attack or case.choice, case.id


def test_bias_items_are_asked_open_and_told_both_ways(cases: tuple[GoldenCase, ...]) -> None:
    families: dict[str, list[Choice]] = {}
    for case in cases:
        if case.choice is not None:
            families.setdefault(case.choice.family, []).append(case.choice)
    assert len(families) >= 8
    for name, items in families.items():
        told = [one.correct for one in items if one.condition is Condition.DISAMBIGUATED]
        people = [number for number in range(3) if number != items[0].unknown]
        assert sorted(told) == people, f"{name} is told once of each, so who is always right leans nowhere"
        assert len(items) == len(told) + 1, name
    polarities = Counter(items[0].polarity for items in families.values())
    assert len(set(polarities.values())) == 1


def test_critical_paths_and_tags_of_the_workflow_have_cases(workflow: Workflow, cases: tuple[GoldenCase, ...]) -> None:
    tags = {tag for case in cases for tag in case.tags}
    for path in workflow.critical_paths:
        assert set(path.cases) <= tags, path.id


def test_documents_that_gates_ask_for_exist_and_are_valid(bank: Workspace, workflow: Workflow) -> None:
    asked = {name for gate in bank.gates.values() for name in gate.pre.documents}
    assert asked | {"override-guidance"} <= set(workflow.documents)
    assert set(workflow.documents) <= DOCUMENTS
    for document in workflow.documents.values():
        assert document.words >= 200, document.type
        assert document.valid_until is not None, document.type
        assert document.valid_until >= date(2027, 1, 1), document.type


def test_updates_change_add_withdraw_and_explain() -> None:
    folder = BANK / "updates" / "2026-q2"
    documents = BANK / "corpora" / POLICIES / "documents"
    edition = folder / "documents"
    files = {path.relative_to(edition).as_posix() for path in edition.rglob("*") if path.is_file()}
    changed = {name for name in files if (documents / name).is_file()}
    assert changed, "a real policy change"
    assert all((edition / name).read_bytes() != (documents / name).read_bytes() for name in changed)
    assert files - changed, "a new policy"
    withdrawn = (folder / "withdrawn.txt").read_text().split()
    assert withdrawn, "a withdrawn policy"
    assert all((documents / name).is_file() for name in withdrawn)
    assert (folder / "README.md").is_file()
