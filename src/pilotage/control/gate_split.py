"""How often a gate split was looked at since it was last new (evaluation.md 2.6): every look wears it out.

Rule: gating runs apart from those on schedule count as long as less than 20 % of today's questions were new to them, so
changing a row, an id or a limit starts no new count. Fail mode: a run whose release cannot be read raises; it is never
taken for none.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.sealed_golden import Plan, SealedGolden, sealed_golden
from pilotage.core.digest import Digest
from pilotage.evaluation.digests import input_digest
from pilotage.evaluation.run import RunKind
from pilotage.store.evaluation_runs import gating_uses

NEW: Final = 0.20
"""The share of new questions from which a gate split counts as new."""


def count_looks(connection: Connection, plan: Plan) -> int:
    """Return how many completed gating runs have used this gate split, or one that differs too little."""
    mine = frozenset(planned.input_digest for planned in plan.cases.values())
    known: dict[Digest, bool] = {plan.run.golden_digest: False}
    looks = 0
    for golden, release in gating_uses(connection, plan.run.workflow):
        if golden not in known:
            known[golden] = is_new(mine, _asked(sealed_golden(connection, release)))
        if known[golden]:
            break
        looks += 1
    return looks


def is_new(mine: frozenset[Digest], theirs: frozenset[Digest]) -> bool:
    """Tell whether at least a fifth of these questions stands in no other set."""
    return bool(mine) and len(mine - theirs) >= NEW * len(mine)


def _asked(golden: SealedGolden) -> frozenset[Digest]:
    files = golden.chosen(RunKind.EVALUATION, ())
    return frozenset(input_digest(case) for file in files for case in file.cases)
