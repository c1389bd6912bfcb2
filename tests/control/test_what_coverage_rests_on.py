"""What a coverage or load file is held against: evidence that counts now, trusted as much as the file, in its space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.control.rollout_world import BANK as BANK_FOLDER
from tests.control.rollout_world import bank

from pilotage.control.evidence_context import About, read_context
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, SpaceName
from pilotage.evidence.read import READ_BY, read_evidence
from pilotage.evidence.records import Evidence, EvidenceState, ReadContext, Reading, SubjectKind
from pilotage.identity.roles import Role
from pilotage.testing.rollouts import WORKFLOW
from pilotage.workspace.gate import Trust
from pilotage.workspace.workflow import CriticalPath

NOW = datetime(2026, 3, 2, tzinfo=UTC)
BANK = bank()
FLOW = replace(
    BANK.workflows[WORKFLOW],
    critical_paths=(CriticalPath(id="a", tests=("c.p*",)), CriticalPath(id="b", cases=("path:wires",))),
)
LCOV = b"TN:\nSF:a.py\nDA:1,1\nDA:2,1\nLF:2\nLH:2\nend_of_record\n"


def item(
    kind: str, *, names: Mapping[str, tuple[str, ...]] | None = None, days: float = 1, **change: object
) -> Evidence:
    at = NOW - timedelta(days=days)
    made = Evidence(
        id=f"{kind} {sorted((names or {}).items())} {days}",
        sha256=digest_of(kind.encode()),
        kind=kind,
        subject_kind=SubjectKind.RELEASE,
        subject="r",
        producer="key|ci",
        trust=Trust.PUSHED,
        produced_at=at,
        received_at=at,
        claims={"requests": 1000.0},
        reader="r",
        names=names or {},
    )
    return replace(made, **change)  # type: ignore[arg-type]


PASSED = item("tests.unit", names={"passed_tests": ("c.p1",)})
CASES = item("evaluation", names={"passed_cases": ("w1",)}, trust=Trust.ATTESTED, producer="instance")


def context(*current: Evidence, trust: Trust = Trust.PUSHED, space: str | None = None) -> ReadContext:
    about = About(
        kind="coverage",
        received_at=NOW,
        trust=trust,
        space=None if space is None else SpaceName(space),
        current=current,
        tags={"w1": ("path:wires",), "w2": ("path:wires",)},
    )
    return read_context(BANK, FLOW, about)


def rate(*current: Evidence, trust: Trust = Trust.PUSHED) -> float:
    read = read_evidence(LCOV, kind="coverage", name="lcov", context=context(*current, trust=trust))
    assert isinstance(read, Reading), read
    return read.claims["critical_rate"]


def test_what_a_reader_of_another_version_read_proves_no_path() -> None:
    assert rate(replace(PASSED, refs={READ_BY: "JUnit XML@0"})) == 0


def test_every_declared_path_counts_whether_tests_or_golden_cases_prove_it() -> None:
    assert rate() == 0
    assert rate(PASSED) == 0.5
    assert rate(PASSED, CASES) == 1
    lost = item("evaluation", names={"failed_cases": ("w2",)}, days=2, trust=Trust.ATTESTED, producer="instance")
    assert rate(PASSED, CASES, lost) == 0.5


def test_a_pass_that_does_not_count_covers_no_path() -> None:
    assert rate(replace(PASSED, state=EvidenceState.REJECTED)) == 0
    assert rate(replace(PASSED, state=EvidenceState.WITHDRAWN)) == 0
    assert rate(replace(PASSED, trust=Trust.CLAIMED)) == 0
    assert rate(replace(PASSED, trust=Trust.CLAIMED), trust=Trust.CLAIMED) == 0.5
    assert rate(item("tests.unit", names={"passed_tests": ("c.p1",)}, days=15)) == 0
    failed = item("tests.unit", names={"failed_tests": ("c.p2",)}, suite="laptop", trust=Trust.CLAIMED)
    assert rate(PASSED, failed) == 0


def test_a_stress_load_is_held_against_the_largest_expected_one_of_its_space() -> None:
    loads = [
        item("load.expected", suite=suite, space=space, claims={"requests": size}, days=days)
        for suite, space, size, days in (("a", "qa", 3000.0, 1), ("b", "qa", 2000.0, 0.5), ("c", "dev", 9000.0, 0.1))
    ]
    assert context(*loads, space="qa").profile_requests == 3000
    assert context(*loads).profile_requests is None
    assert context(replace(loads[0], state=EvidenceState.REJECTED), space="qa").profile_requests is None


@pytest.mark.feature("D11.20", "D11.21", "D12.37")
@pytest.mark.parametrize(
    ("kind", "lost"),
    [
        ("incident-response", "## Severities"),
        ("incident-response", "## Roles"),
        ("incident-response", "## Communication"),
        ("rollback-procedure", "```pilotage\nrollback "),
        ("runbook", "```pilotage"),
    ],
)
def test_the_plans_for_trouble_say_who_is_called_and_which_command_is_run(kind: str, lost: str) -> None:
    text = (BANK_FOLDER / "workflows" / WORKFLOW / "documents" / f"{kind}.md").read_text()
    assert lost in text
    asked = read_context(BANK, FLOW, About(kind=f"document.{kind}", received_at=NOW))
    for body, complete in ((text, 1), (text.replace(lost, "gone "), 0)):
        reading = read_evidence(body.encode(), kind=f"document.{kind}", name=f"{kind}.md", context=asked)
        assert isinstance(reading, Reading), reading
        assert reading.claims["complete"] == complete


def test_operators_are_trained_as_well_as_the_rota() -> None:
    operator = PersonId("nobody.on.the.rota")
    named = replace(BANK, roster={**BANK.roster, Role.SUPPORT_ENGINEER: (operator,)})
    about = About(kind="training", received_at=NOW)
    assert operator in read_context(named, FLOW, about).required_people
    assert operator not in read_context(BANK, FLOW, about).required_people
