"""Which questions a release is asked after a rollback: plain must-pass cases, the same ten for every process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pilotage
from pilotage.adapters.workspace_files import read_workspace_files
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.validation import MOST_QUESTIONS
from pilotage.workspace.golden import Attack, AttackKind, GoldenCase, GoldenFile, Member, Oracle, Turn
from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.workflow import Workflow

MINIMAL = parse_workspace(read_workspace_files(Path(pilotage.__file__).parent / "templates" / "minimal"))


def case(name: str, **changed: Any) -> GoldenCase:
    plain = GoldenCase(id=name, question=f"What of {name}?", asker="clerk", must_pass=True, cluster=name, line=1)
    return replace(plain, **changed)


def workflow(*files: tuple[GoldenCase, ...]) -> Workflow:
    (only,) = MINIMAL.workflows.values()
    golden = tuple(GoldenFile(name=f"g{number}", cases=cases) for number, cases in enumerate(files))
    return replace(only, golden=golden)


def test_ten_are_asked_in_the_order_of_their_ids_whatever_file_holds_them() -> None:
    late, early = (tuple(case(f"q{number:02d}") for number in span) for span in (range(20, 9, -1), range(9, 0, -1)))
    found = critical_cases(workflow(late, early))
    assert [one.id for one in found] == [f"q{number:02d}" for number in range(1, MOST_QUESTIONS + 1)]


@pytest.mark.parametrize(
    "changed",
    [
        {"must_pass": False},
        {"attack": Attack(kind=AttackKind.DIRECT, payload="p", goal="g", oracle=next(iter(Oracle)))},
        {"member": Member(family="f", attribute="a", group="g")},
        {"history": (Turn(role="user", content="Earlier"),)},
    ],
    ids=["may fail", "an attack", "of a family", "a conversation"],
)
def test_only_plain_must_pass_questions_are_asked(changed: dict[str, Any]) -> None:
    assert [one.id for one in critical_cases(workflow((case("a", **changed), case("b"))))] == ["b"]


def test_a_workflow_without_any_has_none_to_pass() -> None:
    assert critical_cases(workflow()) == ()
