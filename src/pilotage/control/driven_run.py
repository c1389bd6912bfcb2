"""Where an evaluation run stands after it was driven; the commands name it without loading what drives it."""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.evaluation.run import EvaluationRun, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """Where a run stands now. `is_interrupted`: it was stopped and can be resumed."""

    run: EvaluationRun
    progress: Progress
    is_interrupted: bool
