"""What a worker can do: the registry of run kinds, closed at start-up.

A `Step` needs the database only: it runs inside one transaction with its new state, ledger entry and messages. A `Work`
also acts outside (files, models, other servers) and runs under a lease, whose token fences everything it writes. Fail
mode: a kind nobody registered is left alone, for the newer version that wrote it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.errors import PilotageError
from pilotage.jobs.lease import Lease
from pilotage.store.outbox import Message
from pilotage.store.runs import Outcome, Run

LOG: Final = logging.getLogger("pilotage.jobs")


class Step(Protocol):
    """One decision of a run: read facts, decide, write the new state and its entries on `connection`."""

    def __call__(self, instance: Instance, connection: Connection, run: Run, /) -> Outcome:
        """Do the step and say when to look again. An exception rolls everything back and counts as a failure."""
        ...


class Act(Protocol):
    """Work outside the database, repeatable from any point; final writes go through `lease.fenced()`."""

    def __call__(self, instance: Instance, lease: Lease, /) -> Outcome:
        """Do the work of `lease.run` and say when to look again."""
        ...


class Deliverer(Protocol):
    """Sends one message to its target within 30 s, with its idempotency key; tolerates repeats otherwise."""

    def __call__(self, instance: Instance, message: Message, /) -> None:
        """Return when the target has the message; raise otherwise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Leased work. Runs with the same `lock` (by default: the run itself) never work at the same time."""

    act: Act
    lock: Callable[[Run], str] = field(default=lambda run: run.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every kind this version knows: of runs, and of outbox messages.

    `endless`: kinds of run that are never given up, each with the longest wait between two attempts.
    """

    steps: Mapping[str, Step] = field(default_factory=dict)
    works: Mapping[str, Work] = field(default_factory=dict)
    deliverers: Mapping[str, Deliverer] = field(default_factory=dict)
    endless: Mapping[str, timedelta] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if both := self.steps.keys() & self.works.keys():
            message = f"{', '.join(sorted(both))}: a kind of run is either a step or leased work."
            raise ValueError(message)


def describe_failure(error: BaseException) -> str:
    """Name a failure for a row that people read: our own messages in full, of others only type and place.

    The text of a foreign exception may quote a document, a prompt or a person; it stays out of the database.
    """
    if isinstance(error, PilotageError):
        return f"{error.code}: {error.message}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
