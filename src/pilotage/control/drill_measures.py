"""What a drill measures on the real processes: who loaded, who followed a flip and when, who answered rightly.

Times are taken on the database's clock. Fail mode: what was not seen within its limit is None, which never passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import Digest
from pilotage.core.ids import WorkflowName
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.validation import VALID_LIMIT, probe_reasons
from pilotage.store.routes import Ack, acks_of, database_time, followed_within, read_route

LOAD_LIMIT: Final = timedelta(seconds=60)
FOLLOW_LIMIT: Final = timedelta(seconds=30)
ZERO_LIMIT_S: Final = 5.0
ONE_HOST_LIMIT_S: Final = 2.0
LONGEST: Final = timedelta(minutes=10)
"""Longer than all limits of a drill together: one that still runs then has lost its process."""
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The looks at one workflow in one space; `sleep` passes the time between two of them."""

    instance: Instance
    ports: RolloutPorts
    space: str
    workflow: str
    sleep: Callable[[float], None]

    def wait(self, is_done: Callable[[], bool], limit: timedelta) -> float | None:
        """Return after how many seconds it was done, None when it was not within the limit."""
        start = self.now()
        while True:
            passed = (self.now() - start).total_seconds()
            if is_done():
                return passed
            if passed >= limit.total_seconds():
                return None
            self.sleep(_LOOK_S)

    def now(self) -> datetime:
        """Return the database's time."""
        with self.instance.engine.connect() as connection:
            return database_time(connection)

    def loaded(self, release: Digest, generation: int) -> float | None:
        """Return after how many seconds every live process held a release, None when one did not in 60 s."""

        def is_done() -> bool:
            live = self._live()
            return bool(live) and all(ack.generation >= generation and release in ack.loaded for ack in live)

        return self.wait(is_done, LOAD_LIMIT)

    def followed(self, generation: int, since: datetime) -> Mapping[str, float] | None:
        """Return the seconds each live process took to follow a flip, None when one did not in 30 s."""
        found: list[Mapping[str, float]] = []

        def is_done() -> bool:
            with self.instance.engine.connect() as connection:
                seconds = followed_within(connection, self.space, self.workflow, generation=generation, since=since)
            if seconds is not None:
                found.append(seconds)
            return seconds is not None

        self.wait(is_done, FOLLOW_LIMIT)
        return found[0] if found else None

    def validated(self, generation: int, *, release: Digest | None = None) -> float | None:
        """Return after how many seconds every live process had its critical questions answered rightly.

        The release that serves must have answered them, or the named one.
        """
        return self.wait(lambda: self._is_valid(generation, release), VALID_LIMIT)

    def _is_valid(self, generation: int, release: Digest | None) -> bool:
        live = self._live()
        with self.instance.engine.connect() as connection:
            found = self.ports.probe(
                connection,
                space=self.space,
                workflow=self.workflow,
                generation=generation,
                release=release or read_route(connection, self.space, self.workflow).stable,
            )
        wanted = len(critical_cases(self.instance.workspace.workflows[WorkflowName(self.workflow)]))
        return bool(live) and not probe_reasons(found, processes=len(live), critical=wanted)

    def _live(self) -> list[Ack]:
        with self.instance.engine.connect() as connection:
            return [ack for ack in acks_of(connection, self.space, self.workflow) if ack.is_alive]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How a flip was followed: seconds by process, None when one did not, and the limit that holds for them."""

    seconds: Mapping[str, float] | None

    @property
    def worst(self) -> float | None:
        """Seconds of the slowest process."""
        return max(self.seconds.values(), default=None) if self.seconds else None

    @property
    def limit_s(self) -> float:
        """2 s where all processes stand on one machine, else 5 s (rollouts.md 8.3)."""
        hosts = {process.rpartition("-")[0].rpartition("-")[0] for process in self.seconds or ()}
        return ONE_HOST_LIMIT_S if len(hosts) == 1 else ZERO_LIMIT_S

    def against(self, what: str) -> tuple[str, ...]:
        """Return what stands against it; `what` names the flip."""
        if self.worst is None:
            return (f"not every process followed {what} within 30 s",)
        if self.worst > self.limit_s:
            return (f"a process followed {what} after {self.worst:.3f} s, more than {self.limit_s:g} s",)
        return ()
