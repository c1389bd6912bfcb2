"""The `pilotage` command. A command that only reads and decides does not wait for the serving path to be imported.

Rule: the command line is here at once; `pilotage/app.py`, which joins every room, is loaded when a command first asks
or serves. Fail mode: what `app.py` cannot join ends the command with its own message.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any, cast

from pilotage.cli.main import make_app
from pilotage.cli.runtime import Question, Runtime
from pilotage.control.driven_run import Driven
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening
from pilotage.control.refresh_tools import RefreshTools
from pilotage.evaluation.run import Progress
from pilotage.identity.principal import Principal


class JoinedWhenNeeded:
    """The joined rooms of `pilotage/app.py`, loaded at the first call."""

    def ask(self, instance: Instance, actor: Principal, question: Question) -> dict[str, Any]:
        """Answer in this process."""
        return _joined().ask(instance, actor, question)

    def drive(self, instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
        """Take an evaluation run to its end."""
        return _joined().drive(instance, run, progress)

    def serve(self, opening: Opening, *, host: str, port: int, with_worker: bool) -> None:
        """Serve until a signal."""
        _joined().serve(opening, host=host, port=port, with_worker=with_worker)

    def work(self, opening: Opening) -> None:
        """Run jobs, schedules and the sequencer until a signal."""
        _joined().work(opening)

    def refresh_tools(self, instance: Instance, progress: Callable[[int, int | None], None]) -> RefreshTools:
        """Return what a refresh looks documents over with."""
        return _joined().refresh_tools(instance, progress)

    def redact(self, instance: Instance) -> Callable[[str], str]:
        """Return the redaction of text that is stored."""
        return _joined().redact(instance)


def _joined() -> Runtime:
    return cast(Runtime, importlib.import_module("pilotage.app").Joined())


def run() -> None:
    """Run the `pilotage` command."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            sys.stderr.write(f"The argument {argument!a} is not UTF-8.\nWrite it in UTF-8, or set LANG=C.UTF-8.\n")
            sys.exit(2)
    make_app(JoinedWhenNeeded())()
