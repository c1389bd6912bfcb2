"""Requests of this process that run now, so that one whose release was taken out ends also while its model is silent.

Between two pieces nothing asks whether the release may still speak (steps/cut_off.py does, at each piece); here each
request is asked twice a second, only while some release is on its way out. Rule: it ends as by its deadline, with the
refusal of the last look. Fail mode: a look that raises is logged and the next one comes; a piece is checked as before.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from pilotage.serving.context import Routed
from pilotage.serving.run import Run
from pilotage.serving.service import Serving
from pilotage.serving.steps.cut_off import cut_off

logger = logging.getLogger(__name__)

EVERY_S: Final = 0.5


class UnderWay:
    """Holds each request with its deadline, from `add` to `remove`."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._running: dict[int, tuple[Run, asyncio.Timeout]] = {}
        self._next: asyncio.TimerHandle | None = None

    def add(self, run: Run, deadline: asyncio.Timeout) -> None:
        """Take a request in; called inside its deadline."""
        self._running[id(run)] = (run, deadline)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(EVERY_S, self._look_again)

    def remove(self, run: Run) -> None:
        """Let a request go; called before its deadline is left."""
        self._running.pop(id(run), None)

    def look(self) -> None:
        """End what may not speak any more."""
        table = self._serving.routing
        if not table.left and not any(row.cut for row in table.rows.values()):
            return
        now = asyncio.get_running_loop().time()
        for run, deadline in tuple(self._running.values()):
            # One that ends already has its reason: its deadline moves no more, and no other may wait for it.
            if run.withdrawn is not None or deadline.expired() or not isinstance(run.context, Routed):
                continue
            run.withdrawn = cut_off(run.context, self._serving)
            if run.withdrawn is not None:
                deadline.reschedule(now)

    def _look_again(self) -> None:
        self._next = None
        try:
            self.look()
        except Exception:
            # The edge of a timer that must come again: without it no silent stream would ever be ended.
            logger.exception("The requests under way could not be looked at.")
        if self._running:
            self._next = asyncio.get_running_loop().call_later(EVERY_S, self._look_again)
