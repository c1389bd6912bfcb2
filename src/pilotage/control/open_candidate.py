"""Opening the release that a run judges.

Fail mode: CandidateUnopened for what lasts; what may pass by itself and what was altered is raised as it is, so that
the job tries again and nobody goes on with altered bytes.
"""

from __future__ import annotations

from typing import Final

from pilotage.core.errors import IntegrityError, PilotageError, Unavailable
from pilotage.core.ids import SpaceName
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.run import EvaluationRun
from pilotage.evaluation.target import Target, Targets

_PASSES: Final = frozenset({"upstream_failed", "upstream_timeout", "store_unavailable", "deadline_exceeded"})


class CandidateUnopened(Unavailable):
    """The release of a run cannot be opened, so nothing can be asked; code and message say why."""


async def open_candidate(
    targets: Targets, run: EvaluationRun, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
) -> Target:
    """Open a run's own release; raise CandidateUnopened, IntegrityError, or Unavailable for what may pass."""
    try:
        return await targets.open(run.release, space, overlay, only)
    except IntegrityError:
        raise
    except PilotageError as error:
        if error.code in _PASSES:
            raise
        raise CandidateUnopened(error.code, error.message, hint=error.hint) from error
