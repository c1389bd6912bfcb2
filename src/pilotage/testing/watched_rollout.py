"""A rollout under real load, watched by a real worker: from the first failed answer to the last asker of the candidate.

Gateways answer and record (testing/switching.py); numbering, counting, verdict and flip are a worker's own loops on the
real clock. Each is a process of its own, and this one looks on rarely enough not to be in their way. Played are the
gates' answer, the drills and the critical questions. Fail mode: TimeoutError where something does not happen in a
minute.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from pilotage.adapters.clock import SystemClock
from pilotage.adapters.keyring import Keyring
from pilotage.analysis.eprocess import log_gt, threshold
from pilotage.control.count_observations import count_observations
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.start_rollout import RUN_KIND, Started, StartRequest, start_rollout
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.identity.principal import Principal
from pilotage.jobs.handlers import Registry
from pilotage.jobs.reconciler import Reconciler
from pilotage.jobs.rollout_reconciler import RolloutStep
from pilotage.jobs.sequencer import Sequencer
from pilotage.rollout.states import State
from pilotage.store.engine import make_engine, url_of
from pilotage.store.rollouts import StoredRollout, find_rollout
from pilotage.store.routes import read_route
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.network import Room
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeGate, FakeProber, FakeProcesses, RolloutWorld
from pilotage.testing.switching import NEW, OLD, Gateways, Scene, Seen, followers, until
from pilotage.workspace.plan import Plan, Step, Wave
from pilotage.workspace.principals import local_principal
from pilotage.workspace.records import Workspace

STARTER: Final = PersonId("luis.ortega")
WEIGHT: Final = 0.25
CUT_OFF_S: Final = 5.0
_LOOK_S: Final = 0.05
_START_S: Final = 120.0
_PLAN = Plan(
    name="watched",
    waves=(
        Wave(
            space=EAST,
            steps=(
                Step(name="canary", weight=WEIGHT, bake_s=3600, max_s=7200),
                Step(name="full", weight=1.0, bake_s=3600),
            ),
        ),
    ),
    plain={"watched": True},
)


class _RealTime(SimulatedClock):
    def now(self) -> datetime:
        return SystemClock().now()

    def advance(self, by: timedelta) -> None:
        time.sleep(by.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What one withdrawal took, in seconds, from the end of the deciding request to the last asker of the candidate.

    The verdict's moment is when its transaction began to look, so what comes before its commit counts as after it.
    `said_zero_s` is what the product itself reports.
    """

    to_verdict_s: float
    from_verdict_s: float
    to_zero_s: float
    said_zero_s: float | None
    faults: int


@dataclass(slots=True, kw_only=True)
class WatchedRollout:
    """The sample bank, its worker's loops, and the gateways once they run."""

    world: RolloutWorld
    instance: Instance
    old: Digest
    number: int = 0

    @property
    def scene(self) -> Scene:
        """Return what the gateways are to serve."""
        return Scene(space=EAST, old=self.old, is_recorded=True)

    def withdraw(self, running: Gateways, *, cut: Room | None = None) -> Switch:
        """Start a rollout, let its candidate fail in every process, and watch the machine take it out.

        `cut` is the network of a process that is cut off from the database a moment before.
        """
        stored = self._begin(running)
        before = running.seen()
        until(
            lambda: all(
                now.answers[NEW] >= then.answers[NEW] + 5 and now.streams > then.streams
                for now, then in zip(running.seen(), before, strict=True)
            ),
            "the candidate was not asked in every process",
            every_s=_LOOK_S,
        )
        if cut is not None:
            cut.pull()
        running.fail()
        until(lambda: self._found(stored).flipped_at is not None, "no verdict took the candidate out", every_s=_LOOK_S)
        stored = self._found(stored)
        self._settle(running, stored, cut)
        seen = running.seen()
        running.heal()
        if cut is not None:
            cut.plug()
        first = self._decided(stored)
        last, verdict = max(one.last for one in seen), _stamp(stored)
        self._until_followed(running, frozenset(running.names))
        stored = self._zeroed(stored)
        return Switch(
            to_verdict_s=verdict - first,
            from_verdict_s=max(0.0, last - verdict),
            to_zero_s=last - first,
            said_zero_s=stored.zero_s,
            faults=sum(one.faults for one in seen),
        )

    def _begin(self, running: Gateways) -> StoredRollout:
        self.number += 1
        _empty(self.world.engine)
        new = self.world.seal(f"New {self.number}.")
        pass_drills(self.world, new)
        self.look_well()
        request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
        done = start_rollout(self.instance, self.world.ports, actor=self._starter(), request=request)
        if not isinstance(done, Started):
            message = f"The rollout does not start: {done}"
            raise TypeError(message)
        until(lambda: self._found(done.rollout).state is State.OBSERVING, "the rollout does not begin", every_s=_LOOK_S)
        self._until_followed(running, frozenset(running.names))
        return done.rollout

    def _settle(self, running: Gateways, stored: StoredRollout, cut: Room | None) -> None:
        """Wait until nobody can be on the way to the candidate any more."""
        if cut is None:
            self._until_followed(running, frozenset(running.names))
        else:
            time.sleep(max(0.0, _stamp(stored) + CUT_OFF_S - time.time()))
        self.until_answered(running, running.seen())

    def until_answered(self, running: Gateways, before: Sequence[Seen]) -> None:
        """Wait until every process has given twenty more answers of the old release."""
        until(
            lambda: all(
                now.answers[OLD] >= then.answers[OLD] + 20 for now, then in zip(running.seen(), before, strict=True)
            ),
            "stable does not answer",
            every_s=_LOOK_S,
        )

    def _zeroed(self, stored: StoredRollout) -> StoredRollout:
        until(lambda: self._found(stored).state is not State.ROLLING_BACK, "zero traffic is not seen", every_s=_LOOK_S)
        return self._found(stored)

    def _until_followed(self, running: Gateways, names: frozenset[str]) -> None:
        with self.world.engine.connect() as connection:
            wanted = read_route(connection, EAST, WORKFLOW).generation

        until(
            lambda: names <= followers(self.world.engine, wanted, EAST),
            f"{sorted(names)} of {len(running.names)} did not follow",
            every_s=_LOOK_S,
        )

    def look_well(self) -> None:
        """Let the spaces be healthy now."""
        with self.world.engine.begin() as connection:
            self.world.processes.look_well(connection)

    def _found(self, stored: StoredRollout) -> StoredRollout:
        with self.world.engine.connect() as connection:
            found = find_rollout(connection, stored.id)
        if found is None:
            message = f"Rollout {stored.id} is gone."
            raise LookupError(message)
        return found

    def _decided(self, stored: StoredRollout) -> float:
        """Return when the request ended that was the first to make the error trip's evidence suffice."""
        failures, wanted = 0, threshold(_TRIP_ALPHA)
        with self.world.engine.connect() as connection:
            rows = connection.execute(_CANDIDATES, {"release": stored.release}).all()
        for number, row in enumerate(rows, 1):
            failures += row.is_error
            if failures >= _FEWEST and log_gt(number, failures, _PLAN.waves[0].steps[0].limits.error_trip) >= wanted:
                return float(row.ended)
        message = f"The records of {stored.release} decide nothing."
        raise LookupError(message)

    def _starter(self) -> Principal:
        return local_principal(self.instance.workspace, STARTER)


def _stamp(stored: StoredRollout) -> float:
    """Return when the verdict was decided: a moment before its transaction committed."""
    if stored.flipped_at is None:
        message = f"Rollout {stored.id} took nothing out."
        raise ValueError(message)
    return stored.flipped_at.timestamp()


@contextmanager
def watched_rollout(engine: Engine, bank: Path, home: Path) -> Iterator[WatchedRollout]:
    """Run a worker's sequencer and reconciler over an empty database while the block lasts; `bank`: its workspace."""
    world = _world(engine, bank)
    _empty(engine)
    old = world.seal("Old.")
    world.serve(old, [EAST])
    spawn = multiprocessing.get_context("spawn")
    mine, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(url_of(engine), bank, home, theirs))
    process.start()
    try:
        if not mine.poll(_START_S):
            message = "The worker does not start."
            raise TimeoutError(message)
        yield WatchedRollout(world=world, instance=world.instance, old=old)
    finally:
        mine.send("stop")
        process.join(20)
        process.kill()


def _work(url: str, bank: Path, home: Path, pipe: Pipe) -> None:
    """Be a worker: its sequencer, and the reconciler that rollouts have to themselves."""
    world = _world(make_engine(url), bank)
    instance = replace(world.instance, home=home, keyring=Keyring.open(home, {}, create=True))
    registry = Registry(steps={RUN_KIND: RolloutStep(world.ports)})
    stop = threading.Event()
    loops = (Sequencer(instance, alert=_alert).run, Reconciler(instance, registry).run)
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in loops]
    for thread in threads:
        thread.start()
    pipe.send("ready")
    pipe.recv()
    stop.set()
    for thread in threads:
        thread.join(10)


def _world(engine: Engine, bank: Path) -> RolloutWorld:
    ports = RolloutPorts(gate=FakeGate(), observe=count_observations, probe=FakeProber(), owner="worker-1")
    # It runs on the real clock: what the bank freezes, on Friday afternoons say, is none of its business.
    workspace = replace(_planned(load_workspace(bank)), freezes=())
    return RolloutWorld(
        engine=engine, workspace=workspace, ports=ports, processes=FakeProcesses(names=()), clock=_RealTime()
    )


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in _EMPTIED:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - our own names


def _alert(reason: Reason) -> None:
    message = f"{reason.code}: {reason.text}"
    raise RuntimeError(message)


def _planned(workspace: Workspace) -> Workspace:
    workflow = workspace.workflows[WORKFLOW]
    if workflow.rollout is None:
        message = f"{WORKFLOW} declares no rollout."
        raise LookupError(message)
    rollout = replace(workflow.rollout, default_plan=_PLAN.name, plans={_PLAN.name: _PLAN})
    return replace(workspace, workflows={**workspace.workflows, WORKFLOW: replace(workflow, rollout=rollout)})


_TRIP_ALPHA, _FEWEST = 0.001, 2
_CANDIDATES = text(
    "SELECT i.outcome LIKE 'error.%' OR i.outcome = 'stream_aborted' AS is_error,"
    " extract(epoch FROM i.at) + (i.detail->>'t_total')::float8 / 1e6 AS ended"
    " FROM ledger_entry e JOIN interaction i ON i.id = e.subject"
    " WHERE i.release = :release AND i.arm = 'candidate' AND e.kind = 'interaction.recorded' ORDER BY e.seq"
)
_EMPTIED: Final = (
    *(
        "rollout_signature",
        "rollout_verdict",
        "rollout_principal",
        "rollout_course",
        "rollout_step",
        "rollout_wave",
        "rollout",
    ),
    *("incident_line", "incident", "space_quarantine", "run", "outbox"),
)
"""What a rollout that is over leaves behind and would stand against the next; children before their parents."""
