"""What the commands need from the composition root: running servers and answering questions join many rooms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from pilotage.control.driven_run import Driven
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening
from pilotage.control.refresh_tools import RefreshTools
from pilotage.evaluation.run import Progress
from pilotage.identity.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of `pilotage ask`."""

    workflow: str
    text: str
    space: str | None = None
    as_of: date | None = None


class Runtime(Protocol):
    """The joined rooms. Implemented in `pilotage/app.py`."""

    def ask(self, instance: Instance, actor: Principal, question: Question) -> dict[str, Any]:
        """Answer in this process as serving would; raise PilotageError for a refusal by authority or capacity."""
        ...

    def drive(self, instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
        """Take an evaluation run to its end; SIGINT and SIGTERM let the calls in flight finish and stop it."""
        ...

    def serve(self, opening: Opening, *, host: str, port: int, with_worker: bool) -> None:
        """Serve until a signal; `with_worker` runs a worker process beside it."""
        ...

    def work(self, opening: Opening) -> None:
        """Run jobs, schedules and the sequencer until a signal."""
        ...

    def refresh_tools(self, instance: Instance, progress: Callable[[int, int | None], None]) -> RefreshTools:
        """Return what a refresh looks documents over with: PII counts, tripwire, redaction for UAT."""
        ...

    def redact(self, instance: Instance) -> Callable[[str], str]:
        """Return the redaction of text that is stored: feedback, comments."""
        ...
