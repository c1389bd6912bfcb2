"""A bank with sealed releases, serving processes and traffic, for rollouts in simulated time.

The control code, the reconciler and the store are the real ones; only the people's clock, the gates' answer, the
processes and the askers are played. Fail mode: none; what is not played does not happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import Connection, Engine, text

from pilotage.control.instance import Instance
from pilotage.control.reconcile_rollout import reconcile_rollout
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import CorpusName, PersonId, SpaceName, WorkflowName
from pilotage.core.reason import Reason
from pilotage.corpus.settings import DataStage
from pilotage.identity.principal import Principal
from pilotage.release.assemble import CorpusPin, Sources
from pilotage.release.seal import ReleaseState
from pilotage.rollout.validation import ProbeResult
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.releases import store_release
from pilotage.workspace.principals import local_principal
from pilotage.workspace.records import Workspace

WORKFLOW = WorkflowName("policy-assistant")
EAST, WEST, EU = (SpaceName(f"production-{name}-space") for name in ("us-east", "us-west", "eu"))
_CORPORA = {DataStage.PRODUCTION: CorpusName("policies"), DataStage.UAT: CorpusName("policies-uat")}
_BUILTIN: Mapping[str, Json] = MappingProxyType({"provider": "extractive", "model": "extractive"})
_NO_CASES: Mapping[str, bytes] = MappingProxyType({})


def uniform(seed: int, purpose: str, index: int) -> float:
    """Return the simulator's random number in [0, 1) (rollouts.md 12)."""
    digest = hashlib.sha256(f"pilotage-sim-v1\n{seed}\n{purpose}\n{index}".encode()).digest()
    return float((int.from_bytes(digest[:8], "big") >> 11) / 2**53)


@dataclass(slots=True)
class FakeGate:
    """Gates that hold until `reasons` says otherwise."""

    reasons: tuple[Reason, ...] = ()
    asked: int = 0

    def __call__(self, *_: object, **__: object) -> tuple[Reason, ...]:
        """Return what stands against the gates."""
        self.asked += 1
        return self.reasons


@dataclass(slots=True)
class FakeProber:
    """Critical questions that pass in every process unless told otherwise."""

    processes: Iterable[str] = ()
    passed: bool = True
    right_release: bool = True
    most: int = 10

    def __call__(self, *_: object, **__: object) -> tuple[ProbeResult, ...] | None:
        """Return one result per process."""
        good = self.most if self.passed else self.most - 1
        return tuple(
            ProbeResult(process=name, asked=self.most, passed=good, right_release=self.right_release)
            for name in self.processes
        )


@dataclass(slots=True)
class FakeProcesses:
    """Serving processes that take over the routing table when told, as `serving/acknowledge.py` does."""

    names: tuple[str, ...] = ("gateway-1", "gateway-2")

    def follow(self, connection: Connection, *, cut_off: frozenset[str] = frozenset()) -> None:
        """Every process but the ones cut off acknowledges the newest rows, with every release loaded."""
        for name in self.names:
            if name not in cut_off:
                connection.execute(_FOLLOW, {"process": name})
        if set(self.names) - cut_off:
            self.look_well(connection)

    def look_well(self, connection: Connection) -> None:
        """Let every space be healthy and looked through just now, as a worker would find them."""
        connection.execute(_WELL)
        connection.execute(_LOOKED)


_WELL = text(
    "INSERT INTO space_health (space, state, since, checked_at, drift_at)"
    " SELECT DISTINCT space, 'healthy', clock_timestamp(), clock_timestamp(), clock_timestamp() FROM routing"
    " ON CONFLICT (space) DO UPDATE SET checked_at = clock_timestamp(), drift_at = clock_timestamp()"
)
"""The spaces are healthy and looked at unless a test said otherwise; a worker would judge them so."""
_LOOKED = text(
    "INSERT INTO hard_look (name, until) VALUES ('whole records', clock_timestamp()),"
    " ('whole releases', clock_timestamp()) ON CONFLICT (name) DO UPDATE SET until = clock_timestamp()"
)
"""The records and the releases were looked through just now, and nothing was found."""
_FOLLOW = text(
    "INSERT INTO route_ack (process, space, workflow, generation, loaded, at)"
    " SELECT :process, space, workflow, generation, array_remove(ARRAY[stable, candidate, drill->>'release'], NULL),"
    " clock_timestamp()"
    " FROM routing ON CONFLICT (process, space, workflow) DO UPDATE SET generation = EXCLUDED.generation,"
    " loaded = EXCLUDED.loaded, at = EXCLUDED.at"
)


@dataclass(slots=True, kw_only=True)
class RolloutWorld:
    """Everything together. `step(by)` lets time pass, the processes follow, and the reconciler look.

    `stages` are the data stages that sealed releases pin documents of.
    """

    engine: Engine
    workspace: Workspace
    ports: RolloutPorts
    processes: FakeProcesses
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    stages: tuple[DataStage, ...] = (DataStage.PRODUCTION,)

    @property
    def instance(self) -> Instance:
        """The instance use cases take; keys and folders are not touched by rollouts."""
        return Instance(
            workspace=self.workspace,
            root=Path("/nonexistent"),
            home=Path("/nonexistent"),
            engine=self.engine,
            clock=self.clock,
            keyring=cast(Any, None),
            embedded=False,
        )

    def person(self, name: str) -> Principal:
        """Return a declared person."""
        return local_principal(self.workspace, PersonId(name))

    def seal(  # noqa: PLR0913 - the parts of a release
        self,
        prompt: str,
        *,
        author: str = "maria.chen",
        state: ReleaseState = ReleaseState.SEALED,
        parent: Digest | None = None,
        model: Mapping[str, Json] = _BUILTIN,
        golden: Mapping[str, bytes] = _NO_CASES,
        embedding: Mapping[str, Json] | None = None,
    ) -> Digest:
        """Store a release as sealing does; return its digest."""
        with self.engine.begin() as connection:
            return store_release(
                connection,
                _sources(prompt, model, self.stages, golden, embedding),
                workflow=WORKFLOW,
                at=self.clock.now(),
                author=author,
                parent=parent,
                state=state,
            )

    def serve(self, release: Digest, spaces: Iterable[SpaceName] = (EAST, WEST, EU)) -> None:
        """Make a release the stable one of these spaces, as a completed rollout does."""
        with self.engine.begin() as connection:
            for space in spaces:
                values = {"space": space, "workflow": WORKFLOW, "release": release, "at": self.clock.now()}
                connection.execute(_SERVE, values)
                connection.execute(_DEPLOY, {**values, "id": f"{space}:{release}"})
            self.processes.follow(connection)

    def follow(self, *, cut_off: frozenset[str] = frozenset()) -> None:
        """Let the processes take over the newest rows."""
        with self.engine.begin() as connection:
            self.processes.follow(connection, cut_off=cut_off)

    def look(self, rollout: str) -> StoredRollout:
        """Let the reconciler look once."""
        with self.engine.begin() as connection:
            stored = reconcile_rollout(connection, self.instance, self.ports, rollout)
        if stored is None:
            message = f"Another process holds rollout {rollout}."
            raise RuntimeError(message)
        return stored

    def step(self, rollout: str, by: timedelta = timedelta()) -> StoredRollout:
        """Let time pass, the processes follow, and the reconciler look."""
        self.clock.advance(by)
        self.follow()
        return self.look(rollout)


_SERVE = text(
    "INSERT INTO routing (space, workflow, generation, stable, reason, changed_at)"
    " VALUES (:space, :workflow, 1, :release, 'test', :at)"
    " ON CONFLICT (space, workflow) DO UPDATE SET stable = :release, generation = routing.generation + 1"
)
_DEPLOY = text(
    "INSERT INTO deployment (id, workflow, space, release, basis, engine, promoted_by, at, previous, state)"
    " VALUES (:id, :workflow, :space, :release, 'normal', 'test', 'p', :at, NULL, 'active') ON CONFLICT DO NOTHING"
)


def _sources(
    prompt: str,
    model: Mapping[str, Json],
    stages: Iterable[DataStage],
    golden: Mapping[str, bytes],
    embedding: Mapping[str, Json] | None,
) -> Sources:
    checks: list[Mapping[str, Any]] = [
        {"id": name, "stage": stage, "action": action, "fail": "closed"}
        for name, stage, action in (
            ("secrets", "input", "redact"),
            ("pii_in", "input", "redact"),
            ("pii_out", "output", "redact"),
            ("canary", "output", "block"),
            ("citation", "output", "block"),
        )
    ]
    return Sources(
        prompt=f"{prompt}\n{{passages}}\n{{question}}\n".encode(),
        model=model,
        retrieval={
            "corpus": {"production": "policies"},
            **({} if embedding is None else {"embedding": cast(Any, embedding)}),
        },
        guard={"version": 1, "checks": cast(Any, checks)},
        golden=golden,
        corpora={
            stage: CorpusPin(name=_CORPORA[stage], version=1, digest=digest_of(b"1"), documents=1, chunks=1)
            for stage in stages
        },
        detectors={},
        scorers={},
    )
