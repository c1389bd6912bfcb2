"""One line of a release's policy at work: what it sees becomes findings, what breaks in it acts as its fail mode says.

Fail mode: `closed` blocks, `open` is the finding `check_failed`. The log names the check and the kind of error, never
its message: that may quote the text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action, Check, FailMode, GuardPolicy, Stage
from pilotage.guard.redact import USUAL, Rules, rules_of_line
from pilotage.serving.outcome import CHECK_FAILED

logger = logging.getLogger(__name__)

THRESHOLD: Final = USUAL.threshold


def check_of(policy: GuardPolicy, identifier: str, stage: Stage) -> Check | None:
    """Return the policy's line for a check at a stage."""
    for one in policy.checks:
        if one.stage is stage and one.id == identifier:
            return one
    return None


def rules_of(policy: GuardPolicy, identifier: str, stage: Stage) -> Rules:
    """Return what is replaced at a stage: the PII line's threshold and allowed types; secrets always."""
    return rules_of_line(check_of(policy, identifier, stage))


def line_of(policy: GuardPolicy, identifier: str, stage: Stage, *, otherwise: Action) -> Check:
    """Return the policy's line, or the one that holds without it: `otherwise`, and failing closed."""
    return check_of(policy, identifier, stage) or Check(
        id=identifier, stage=stage, action=otherwise, fail=FailMode.CLOSED
    )


def findings_of(line: Check, look: Callable[[], Mapping[str, int]]) -> list[Finding]:
    """Return what a check sees, kind to count, each with the action of the line."""
    try:
        seen = look()
    except Exception as error:  # noqa: BLE001 - the edge of foreign matchers: the policy's fail mode decides
        return [failed(line, error)]
    return [finding(line, kind, count) for kind, count in seen.items()] if seen else []


def finding(line: Check, kind: str, count: int) -> Finding:
    """Return a finding with the action the line has for its kind."""
    return Finding(check=line.id, type=kind, count=count, action=line.types.get(kind, line.action))


def failed(line: Check, error: Exception) -> Finding:
    """Return the finding of a check that broke."""
    logger.error("The check %s failed with %s; it fails %s.", line.id, type(error).__name__, line.fail)
    action = Action.BLOCK if line.fail is FailMode.CLOSED else Action.FLAG
    return Finding(check=line.id, type=CHECK_FAILED, count=1, action=action)
