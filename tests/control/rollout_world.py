"""The sample bank with two sealed releases, ready for rollouts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tests.emptied import empty

from pilotage.control.load_workspace import load_workspace
from pilotage.control.open_incident import Trouble
from pilotage.control.rollout_ports import Observations, RolloutPorts
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.incident.records import Severity
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, FakeGate, FakeProber, FakeProcesses, RolloutWorld
from pilotage.workspace.plan import Plan, Step, Wave
from pilotage.workspace.records import Workspace

BANK = Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"
PER_DAY = {EAST: 480_000.0, WEST: 480_000.0, EU: 480_000.0}
STARTER, DECIDER, OWNER, PRIVACY = "luis.ortega", "elena.marchetti", "nadia.brooks", "lena.fischer"
_OF_ROLLOUTS = (
    "release_watch", "rollout_excuse",
    "rollout", "rollout_wave", "rollout_step", "rollout_principal", "rollout_verdict", "rollout_signature",
    "space_quarantine", "incident", "incident_line", "drill", "route_ack", "route_admission", "route_probe", "routing",
    "space_health", "space_report", "report_lag", "drift", "gate_lapse", "stated_fact", "evidence", "deployment",
    "release", "authorship", "part", "blob", "run", "outbox", "interaction", "interaction_closing", "interaction_text",
)  # fmt: skip


@cache
def bank() -> Workspace:
    """Return the sample bank's workspace, read once: its records are frozen."""
    return load_workspace(BANK)


def observing(world: RolloutWorld) -> StoredRollout:
    """Begin a rollout in the east and take it to where it observes its first step."""
    world.serve(world.seal("Old."), [EAST])
    new = world.seal("New.")
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=480_000, accepted=True)
    done = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(done, Started), done
    stored = world.step(done.rollout.id)
    assert stored.state is State.OBSERVING
    return stored


def trouble(**changes: Any) -> Trouble:
    """Return a SEV1 in the east that a person reported, or what the changes make of it."""
    found = Trouble(
        workflow=WORKFLOW,
        space=EAST,
        spaces=(EAST,),
        release=None,
        cause="reported by a person",
        severity=Severity.SEV1,
        summary="Wrong rates.",
    )
    return replace(found, **changes)


def with_plan(workspace: Workspace, plan: Plan) -> Workspace:
    """Return the workspace with this plan as the workflow's only one."""
    workflow = workspace.workflows[WORKFLOW]
    assert workflow.rollout is not None
    rollout = replace(workflow.rollout, default_plan=plan.name, plans={plan.name: plan})
    return replace(workspace, workflows={**workspace.workflows, WORKFLOW: replace(workflow, rollout=rollout)})


def with_freezes(workspace: Workspace, *freezes: Any) -> Workspace:
    """Return the workspace with these freeze windows."""
    return replace(workspace, freezes=tuple(freezes))


def small_plan(*steps: Step, space: Any = EAST) -> Plan:
    """Return a plan of one space."""
    made = steps or (
        Step(name="canary", weight=0.05, bake_s=3600, max_s=7200),
        Step(name="full", weight=1.0, bake_s=3600),
    )
    return Plan(name="small", waves=(Wave(space=space, steps=made),), plain={"small": True})


def make_world(
    engine: Engine, workspace: Workspace | None = None, *, observe: Observations | None = None
) -> RolloutWorld:
    """Return a world on an empty database."""
    with engine.begin() as connection:
        empty(connection, *_OF_ROLLOUTS)
    processes = FakeProcesses()
    ports = RolloutPorts(
        gate=FakeGate(),
        observe=observe or CountedTraffic(per_day=PER_DAY),
        probe=FakeProber(processes=processes.names),
        owner="worker-1",
    )
    return RolloutWorld(
        engine=engine,
        workspace=workspace or bank(),
        ports=ports,
        processes=processes,
        clock=SimulatedClock(),
    )
