"""Rounds of critical questions that a process asks its own path: when, how often, and where the result goes.

Who is asked is the subclass's: the release gone back to (`rollback_probes.py`), or a candidate before its first user
(`candidate_probes.py`) or beside them (`candidate_watch.py`). Rule: once per generation of a row when all pass, else
again after ten seconds; a watch asks every minute. Fail mode: a round that breaks is asked again; whoever waits for a
passed round waits on.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.core.ids import PersonId
from pilotage.identity.principal import Principal
from pilotage.serving.ending import end
from pilotage.serving.routing import RoutingRow, RoutingTable
from pilotage.serving.service import Serving
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.principals import local_principal, persona_principal
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

logger = logging.getLogger(__name__)

EVERY_S: Final = 1.0
AGAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How one round went in this process; `release` is the one that was to answer."""

    release: str
    asked: int
    passed: int
    right_release: bool

    @property
    def is_passed(self) -> bool:
        """Every question passed, from the release that was meant."""
        return self.passed == self.asked and self.right_release


class ProbeSink(Protocol):
    """Where rounds are written. Real: store/serving_probes.py."""

    async def write(self, row: RoutingRow, found: Round) -> None:
        """Write the newest round of a row's generation."""
        ...


class CriticalRounds(ABC):
    """Runs beside the routing watch. `again_s` lies between two rounds; one that `repeats` goes on after it passed."""

    again_s = AGAIN_S
    repeats = False

    def __init__(self, serving: Serving, sink: ProbeSink, *, table: Callable[[], RoutingTable]) -> None:
        self._serving = serving
        self._sink = sink
        self._table = table
        self._done: dict[tuple[str, str], int] = {}
        self._again: dict[tuple[str, str], float] = {}
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def wants(self, row: RoutingRow, table: RoutingTable) -> bool:
        """Tell whether somebody waits for a round of this row."""

    @abstractmethod
    async def ask_all(self, row: RoutingRow, table: RoutingTable) -> Round | None:
        """Ask every critical question once; None when the round says nothing that is to be written."""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await end(self._task)

    async def probe_once(self) -> None:
        """Ask for every wanted row whose generation has not passed here yet."""
        table = self._table()
        for place, row in table.rows.items():
            if self._done.get(place) == row.generation or not self.wants(row, table):
                continue
            if self._serving.monotonic() < self._again.get(place, float("-inf")):
                continue
            found = await self.ask_all(row, table)
            if found is not None:
                await self._sink.write(row, found)
            if found is not None and found.is_passed and not self.repeats:
                self._done[place] = row.generation
            self._again[place] = self._serving.monotonic() + self.again_s

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.probe_once()
            except (psycopg.Error, OSError, TimeoutError, PilotageError) as error:
                logger.warning("%s could not be asked (%s).", type(self).__name__, type(error).__name__)
            except Exception:
                # The loop must outlive any single failure; without it nothing is ever verified or proven.
                logger.exception("%s could not be asked.", type(self).__name__)


def asker_of(workspace: Workspace, workflow: Workflow, case: GoldenCase) -> Principal:
    """Return who asks a case's question: a persona of the workflow, or a declared person."""
    try:
        return persona_principal(workflow, case.asker)
    except PilotageError:
        return local_principal(workspace, PersonId(case.asker))


def is_passed(case: GoldenCase, *, refused: bool) -> bool:
    """Tell whether an answered question was answered, or honestly refused, as its case expects."""
    return case.expect.refuse is None or case.expect.refuse is refused
