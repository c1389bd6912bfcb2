"""Opening the release that a run judges. Fail mode: CandidateUnopened, whatever it lacks."""

from __future__ import annotations

from pilotage.core.errors import PilotageError, Unavailable
from pilotage.core.ids import SpaceName
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.run import EvaluationRun
from pilotage.evaluation.target import Target, Targets


class CandidateUnopened(Unavailable):
    """The release of a run cannot be opened, so nothing can be asked; code and message say why."""


async def open_candidate(
    targets: Targets, run: EvaluationRun, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
) -> Target:
    """Open a run's own release; raise CandidateUnopened."""
    try:
        return await targets.open(run.release, space, overlay, only)
    except PilotageError as error:
        raise CandidateUnopened(error.code, error.message, hint=error.hint) from error
