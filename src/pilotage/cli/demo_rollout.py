"""The demo's third act: a good release reaches everybody, a bad one is taken back by itself.

The controller, the counting, the routing rows and the ledger are the real ones, in simulated time; played are the
askers, the serving processes' acknowledgements and the faults of the bad release. Fail mode: SceneError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pilotage.cli.demo_gates import WORKFLOW, ReleasePath
from pilotage.cli.demo_scene import SceneError, agreed
from pilotage.control.count_observations import count_observations
from pilotage.control.decide_rollout import sign_go
from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.control.gate_chain import chain_holds
from pilotage.control.gate_duties import confirm_fact
from pilotage.control.manage_incident import Change, update_incident
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_status import rollout_status
from pilotage.control.start_rollout import StartRequest, start_rollout
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import Role
from pilotage.rollout.assignment import Arm
from pilotage.rollout.states import State
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.rollouts import StoredRollout
from pilotage.testing.rollout_records import Faults, RecordedTraffic
from pilotage.testing.rollouts import FakeProber, FakeProcesses, RolloutWorld

PLAN = "demo-fast"
EU = "production-eu-space"
_GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")
_PER_ROUND = 1400
_ROUND = timedelta(hours=4)
_WATCH_ROUND = 60
_MOST_ROUNDS = 120
_WITH_TRAFFIC = frozenset({State.OBSERVING, State.DECIDING, State.ADVANCING, State.HELD})
_ENDS = frozenset({State.WATCHING, State.COMPLETED, State.ROLLED_BACK, State.ABORTED})
_BAD = Faults(ungrounded=0.35)


@dataclass(slots=True, kw_only=True)
class Rollouts:
    """Rollouts of the demo's releases, in one world of askers and gateways."""

    path: ReleasePath
    world: RolloutWorld = field(init=False)
    traffic: dict[str, RecordedTraffic] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        ports = RolloutPorts(
            gate=chain_holds, observe=count_observations, probe=FakeProber(processes=_GATEWAYS), owner="demo"
        )
        instance = self.path.instance
        self.world = RolloutWorld(
            engine=instance.engine,
            workspace=instance.workspace,
            ports=ports,
            processes=FakeProcesses(names=_GATEWAYS),
            clock=self.path.clock,
        )

    def drill(self, space: str) -> str:
        """Rehearse a rollback in a space with every gateway process, and return what was measured."""
        actor = self.path.person(Role.SUPPORT_ENGINEER)
        request = DrillRequest(workflow=WORKFLOW, space=space, release=self.path.release)
        result = drill_rollback(
            self.path.instance, self.world.ports, actor=actor, request=request, sleep=lambda _: self.world.follow()
        )
        if isinstance(result, Refusal) and result.reasons[0].code == "DRILL_NOTHING_SERVED":
            return f"{space} never served a release: the way back is its closed door, which needs no rehearsal."
        done = agreed(result)
        if done.state != "passed":
            message = f"The drill in {space} failed: {done.report}"
            raise SceneError(message)
        seconds = float(str(done.report.get("seconds_to_zero_traffic")))
        return f"In {space}: no traffic to the candidate after {seconds:.3f} s, in {len(_GATEWAYS)} processes."

    def start(self, space: str) -> StoredRollout:
        """Start the release's rollout; preflight says what the traffic can prove."""
        who = self.path.person(Role.PLATFORM_ENGINEER)
        request = StartRequest(release=self.path.release, space=space, plan=PLAN, accepted=True)
        done = agreed(start_rollout(self.path.instance, self.world.ports, actor=who, request=request))
        if done.against:
            message = "; ".join(f"{reason.code} {reason.text}" for reason in done.against)
            raise SceneError(message)
        forecast = done.foresight.forecast.steps[0]
        self.path.say(
            "A rollout starts",
            f"{who.label} starts plan {PLAN}: step {forecast.step} sees about {forecast.requests:,} requests. Its "
            "volume here proves 1 %, not 0.1 %; the plan says so.",
        )
        return done.rollout

    def run(self, rollout: str, *, bad_in: str = "") -> StoredRollout:
        """Let askers ask and time pass until the rollout ends, watches, or a region is taken back.

        `bad_in` names a space in which the candidate's answers are not grounded.
        """
        stored = self.world.step(rollout)
        seen = (stored.state, stored.place)
        for _ in range(_MOST_ROUNDS):
            if stored.state is State.DECIDING:
                self._sign(stored)
            self._open_next(stored)
            self.path.clock.advance(_ROUND if stored.state in _WITH_TRAFFIC else timedelta(seconds=61))
            self._ask(str(stored.space), bad=str(stored.space) == bad_in)
            self._confirm(stored)
            stored = self.world.step(rollout)
            if (stored.state, stored.place) != seen:
                seen = (stored.state, stored.place)
                self._tell(stored)
            if stored.state in _ENDS or (stored.incident is not None and stored.zero_s is not None):
                return stored
        message = f"Rollout {rollout} is still {stored.state}: {[reason.text for reason in stored.why]}"
        raise SceneError(message)

    def finish(self, stored: StoredRollout) -> StoredRollout:
        """Let the watch pass with its traffic."""
        for _ in range(_MOST_ROUNDS):
            if stored.state is not State.WATCHING:
                break
            self.path.clock.advance(_ROUND)
            for space in spaces_of(self.path):
                self._traffic(space, {}).ask(_WATCH_ROUND, is_numbered=False)
            number_all(self.world.engine)
            stored = self.world.step(stored.id)
            if stored.state is not State.WATCHING:
                self._tell(stored)
        return stored

    def tell_incident(self, incident: str) -> None:
        """Say who is on duty for the incident; it stays open for the console's reader."""
        who = self.path.person(Role.ON_CALL)
        self.path.say("An incident is open", f"{incident}: {who.label} is paged; its page shows the timeline.")
        change = Change(commander=who.person, lift_freeze=True, note="The release is out; documents may move again.")
        agreed(update_incident(self.path.instance, actor=who, incident=incident, change=change))

    def _ask(self, space: str, *, bad: bool) -> None:
        faults = {Arm.CANDIDATE: _BAD} if bad else {}
        self._traffic(space, faults).ask(_PER_ROUND, is_numbered=False)
        for earlier in self.path.spaces:
            self._traffic(earlier, {}).ask(2, is_numbered=False)
        number_all(self.world.engine)

    def _traffic(self, space: str, faults: Mapping[Arm, Faults]) -> RecordedTraffic:
        if space not in self.traffic:
            self.traffic[space] = RecordedTraffic(world=self.world, space=space, principals=400)
        self.traffic[space].faults = faults
        return self.traffic[space]

    def _open_next(self, stored: StoredRollout) -> None:
        """Sign go-live of the next space while the wave before it is at its last step."""
        wave = stored.plan.waves[stored.place.wave]
        is_last = stored.place.step == len(wave.steps) - 1
        following = stored.plan.waves[stored.place.wave + 1 : stored.place.wave + 2]
        if not is_last or not following or str(following[0].space) in self.opened:
            return
        space = str(following[0].space)
        self.opened.add(space)
        self.alert()
        self.path.sign("go-live", Role.OPERATIONS_LEAD, space=space)

    def alert(self) -> None:
        """Test an alert and a page, as go-live asks for every day."""
        on_call = self.path.person(Role.ON_CALL)
        for kind in ("alert_test", "test_page"):
            agreed(confirm_fact(self.path.instance, actor=on_call, workflow=WORKFLOW, kind=kind))

    def _confirm(self, stored: StoredRollout) -> None:
        """Confirm the post half of go-live of a space after its first traffic."""
        space = str(stored.space)
        if space in self.confirmed or stored.state is not State.OBSERVING:
            return
        self.confirmed.add(space)
        self.world.follow()
        self.path.sign("go-live", Role.OPERATIONS_LEAD, space=space, half=Half.POST)

    def _sign(self, stored: StoredRollout) -> None:
        step = stored.place.of(stored.plan)
        for role in step.decide:
            who = self.path.person(role)
            agreed(sign_go(self.path.instance, self.world.ports, actor=who, rollout=stored.id, verdict=stored.decision))
            self.path.say("Go", f"{who.label} signs the verdict on step {step.name} as {role.value}.")

    def _tell(self, stored: StoredRollout) -> None:
        step = stored.place.of(stored.plan)
        shown = rollout_status(self.path.instance, stored.id)
        verdict = shown.get("verdict")
        outcome = verdict.get("outcome") if isinstance(verdict, dict) else None
        self.path.say(
            f"Rollout {stored.state.value.replace('_', ' ')}",
            f"{stored.space} at step {step.name} ({step.weight:.0%}); "
            f"verdict {str(outcome or 'none yet').replace('_', ' ')}.",
        )


def spaces_of(path: ReleasePath) -> tuple[SpaceName, ...]:
    """Return the production spaces of the demo's plan, in the order of its waves."""
    rollout = path.instance.workspace.workflows[WorkflowName(WORKFLOW)].rollout
    return () if rollout is None else tuple(wave.space for wave in rollout.plans[PLAN].waves)
