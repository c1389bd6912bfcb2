"""The critical questions a release is asked after a rollback: must-pass cases, at most ten (rollouts.md 8.4).

Rule: plain questions only, in the order of their ids, so every process asks the same. Fail mode: a workflow without any
has none to pass, and its validation rests on the other checks.
"""

from __future__ import annotations

from pilotage.rollout.validation import MOST_QUESTIONS
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow


def critical_cases(workflow: Workflow) -> tuple[GoldenCase, ...]:
    """Return the cases to ask."""
    plain = [
        case
        for file in workflow.golden
        for case in file.cases
        if case.must_pass and case.attack is None and case.member is None and not case.history
    ]
    return tuple(sorted(plain, key=lambda case: case.id)[:MOST_QUESTIONS])
