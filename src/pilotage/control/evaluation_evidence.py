"""A completed gating run as evidence of its release, attested by this instance.

Fail mode: a claim that is not finite is left out, so whatever needs it is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite

from sqlalchemy import Connection

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.evaluation.conclude import Conclusion
from pilotage.evaluation.run import EvaluationRun
from pilotage.evidence.records import Severity, ToolFinding
from pilotage.evidence.superseding import BASELINE, VERDICT
from pilotage.store.evaluation_runs import attach_evidence_id


def attach_run(  # noqa: PLR0913 - one run, everywhere it is written
    connection: Connection,
    instance: Instance,
    run: EvaluationRun,
    found: Conclusion,
    figures: Mapping[str, Json],
    *,
    body: bytes,
    at: datetime,
) -> None:
    """Attach the result of a run to its release, in the transaction that completes the run."""
    claims = {name: value for name, value in found.claims.items() if isfinite(value)}
    claims |= {name: value for name, value in figures.items() if name.endswith("_ms") and isinstance(value, float)}
    own = OwnRun(
        kind=run.kind.value,
        claims=claims,
        body=body,
        produced_at=at,
        summary=found.summary,
        findings=tuple(
            ToolFinding(rule=one.code, severity=Severity.HIGH, title=one.text, location=one.where or "")
            for one in found.regressions
        ),
        space=run.space,
        names={name: tuple(cases) for name, cases in found.names.items()},
        refs={VERDICT: found.verdict} | ({BASELINE: run.baseline} if run.baseline is not None else {}),
    )
    attach_evidence_id(connection, run.id, attach_own_run(connection, instance, release=run.release, run=own).id)
