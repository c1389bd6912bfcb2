"""`pilotage drill rollback`: a rehearsal on the real routing row and the real processes, with measured times.

A drill arm is put beside what serves, loaded and acknowledged by every live process; injected failures trip the real
judge; the arm is flipped away, and every process answers its critical questions. Users' traffic stays where it is, but
in a full drill: that sends them to the release before, and back. Rule: it passes only if every process met every time
of rollouts.md 8.3. Fail mode: a drill that cannot be measured has failed; what it moved goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pilotage.analysis.counters import Count, Counters, Metric, MetricCount
from pilotage.analysis.judge import judge
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Effect, Subject, Verdict
from pilotage.control.drill_finish import MACHINE, finish_drill, give_up
from pilotage.control.drill_measures import Followed, Measures
from pilotage.control.drill_routes import hand_back, is_held_by, write_drill
from pilotage.control.flip_traffic import choose_target
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed, person_deed
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_verdict import analysis_alphas, analysis_limits
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, NotFound
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.incident.records import Severity
from pilotage.rollout.freezes import frozen
from pilotage.rollout.target import TargetKind
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space
from pilotage.store.drills import StoredDrill, add_drill, save_drill
from pilotage.store.incidents import incident_freezes
from pilotage.store.releases import head_of, named_release
from pilotage.store.rollouts import holder_of
from pilotage.store.routes import Route, database_time, read_route

_INJECTED, _FAILING = 100, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What is rehearsed. `release` None: the newest sealed one of the workflow; a full drill takes what serves."""

    workflow: str
    space: str
    release: str | None = None
    full: bool = False


def drill_rollback(
    instance: Instance,
    ports: RolloutPorts,
    *,
    actor: Principal,
    request: DrillRequest,
    sleep: Callable[[float], None],
) -> StoredDrill | Refusal:
    """Rehearse a rollback and return the drill with its report; `passed` or `failed` stands in its state."""
    refusal = may(actor.roles, Action.FULL_DRILL if request.full else Action.DRILL)
    if refusal is not None:
        return refusal
    return _drill(instance, ports, request, actor=actor, sleep=sleep).run()


def drill_on_schedule(
    instance: Instance, ports: RolloutPorts, *, request: DrillRequest, sleep: Callable[[float], None]
) -> StoredDrill | Refusal:
    """Rehearse a rollback of what serves, as the machine does it; it moves no user."""
    return _drill(instance, ports, replace(request, full=False), actor=None, sleep=sleep).run()


def _drill(
    instance: Instance,
    ports: RolloutPorts,
    request: DrillRequest,
    *,
    actor: Principal | None,
    sleep: Callable[[float], None],
) -> _Drill:
    space = instance.workspace.spaces.get(SpaceName(request.space))
    if space is None or WorkflowName(request.workflow) not in instance.workspace.workflows:
        message = f"There is no space {request.space!r} or no workflow {request.workflow!r}."
        raise NotFound("DRILL_PLACE", message, hint="See `pilotage validate`.")
    looks = Measures(instance=instance, ports=ports, space=space.name, workflow=request.workflow, sleep=sleep)
    return _Drill(instance=instance, looks=looks, request=request, actor=actor, space=space)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A drill that runs: the row's generation, and the release that every process must load first."""

    drill: StoredDrill
    generation: int
    loads: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tripped:
    """The flip that the verdict asked for."""

    drill: StoredDrill
    generation: int
    at: datetime
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drill:
    instance: Instance
    looks: Measures
    request: DrillRequest
    actor: Principal | None
    space: Space

    def run(self) -> StoredDrill | Refusal:
        """Do the drill, phase by phase; each is committed before the next is measured."""
        begun = self._begin()
        if isinstance(begun, Refusal):
            return begun
        is_whole = False
        try:
            report = self._rehearsed(begun)
            is_whole = True
        finally:
            if not is_whole:  # interrupted, or the database went away and came back: users go home first
                self._give_up(begun.drill)
        with self.instance.engine.begin() as connection:
            return finish_drill(connection, self.instance, begun.drill, report, self._deed(connection))

    def _rehearsed(self, begun: _Begun) -> dict[str, Any]:
        loaded_s = self.looks.loaded(begun.loads, begun.generation)
        against = [] if loaded_s is not None else ["no live process loaded the release within 60 s"]
        if loaded_s is None and self.request.full:
            against.append("users were not moved")
            self._hand_back(begun.drill)
            return self._report(begun, Followed(seconds=None), None, against) | {"seconds_to_load": None}
        flip = self._trip(begun.drill)
        if flip.verdict.effect is not Effect.ROLLBACK:
            against.append(f"the judge did not trip on {_FAILING} failures of {_INJECTED} requests")
        zero = Followed(seconds=self.looks.followed(flip.generation, flip.at))
        valid_s = self.looks.validated(flip.generation)
        against += zero.against("the flip")
        if valid_s is None:
            against.append("the critical questions were not answered rightly in every process within 120 s")
        found = self._return(flip, against) if self.request.full else {}
        report = self._report(begun, zero, valid_s, against)
        return (
            report
            | found
            | {
                "seconds_to_load": loaded_s,
                "verdict": flip.verdict.digest,
                "tripped": flip.verdict.effect is Effect.ROLLBACK,
                "generation": flip.generation,
            }
        )

    def _begin(self) -> _Begun | Refusal:
        with self.instance.engine.begin() as connection:
            before = read_route(connection, self.space.name, self.request.workflow, lock=True)
            deed = self._deed(connection)
            against = self._standing_against(connection, before, deed)
            is_own = self.request.full or self.actor is None
            release = before.stable if is_own else self._release(connection)
            if before.stable is None or release is None:
                workflow, where = self.request.workflow, self.space.name
                text = f"{where} serves no release of {workflow}, so there is nothing to go back to."
                against = [Reason(code="DRILL_NOTHING_SERVED", text=text, where=where), *against]
            away = self._away(connection, before, against) if self.request.full and not against else None
            if against or release is None:
                return Refusal(reasons=tuple(against))
            drill = StoredDrill(
                id=new_ulid(deed.at),
                kind="rollback",
                workflow=self.request.workflow,
                space=self.space.name,
                release=release,
                space_digest=space_digest(self.space),
                state="running",
                started_by=deed.person or deed.actor,
                started_at=deed.at,
            )
            add_drill(connection, drill)
            loads = away or release
            arm = {"release": loads, "drill": drill.id}
            arm |= {"home": release, "away": away} if away else {}
            after = write_drill(connection, before, replace(before, drill=arm, reason=f"drill {drill.id}"), deed)
            return _Begun(drill=drill, generation=after.generation, loads=loads)

    def _standing_against(self, connection: Connection, route: Route, deed: Deed) -> list[Reason]:
        """Return why no drill may begin now; users are moved only when nothing else moves them."""
        found: list[Reason] = []
        where = self.space.name
        if route.drill is not None:
            text = f"Drill {route.drill.get('drill')} runs in {where}. Wait until it has ended."
            found.append(Reason(code="DRILL_RUNNING", text=text, where=where))
        if not self.request.full:
            return found
        found += frozen(self.instance.workspace.freezes, where, deed.at)
        found += incident_freezes(connection, self.request.workflow)
        holder = holder_of(connection, self.request.workflow, where)
        if holder is not None or route.candidate is not None:
            text = f"Rollout {holder} holds {where}. Finish it first, or drill without --full."
            found.append(Reason(code="ROLLOUT_ACTIVE", text=text, where=where))
        if route.down or route.closed or route.paused:
            text = f"{where} is failed over, closed or paused. Bring its askers back first."
            found.append(Reason(code="DRILL_NOT_SERVING", text=text, where=where))
        return found

    @staticmethod
    def _away(connection: Connection, route: Route, against: list[Reason]) -> Digest | None:
        """Return the release that users are sent to, or note why there is none."""
        if route.stable is None:
            return None
        target = choose_target(connection, route, away_from=route.stable)
        if target.kind is TargetKind.RELEASE:
            return target.release
        text = (
            f"{route.space} has no earlier release that may serve, so nobody can be sent there. Drill without --full."
        )
        against.append(Reason(code="NO_ROLLBACK_TARGET", text=text, where=route.space))
        return None

    def _release(self, connection: Connection) -> Digest | None:
        if self.request.release is not None:
            return named_release(connection, self.request.release).digest
        head = head_of(connection, WorkflowName(self.request.workflow))
        return None if head is None else head.digest

    def _deed(self, connection: Connection) -> Deed:
        at = self.instance.clock.now()
        return Deed(actor=MACHINE, at=at) if self.actor is None else person_deed(connection, self.actor, at=at)

    def _trip(self, drill: StoredDrill) -> _Tripped:
        """Let injected failures trip the judge, and flip in the verdict's own transaction."""
        with self.instance.engine.begin() as connection:
            verdict = self._judged(drill)
            before = read_route(connection, drill.space, drill.workflow, lock=True)
            away = None if before.drill is None else before.drill.get("away")
            # Beside a rollout only the drill's own arm moves; users are not sent away from one.
            if not is_held_by(before, drill) or (away is not None and before.rollout is not None):
                raise Conflict("ROUTE_MOVED", "The routing row moved while the drill ran.", hint="Run the drill again.")
            deed = self._deed(connection)
            wish = replace(before, drill=None, reason=f"drill {drill.id} flipped")
            if away is not None and before.drill is not None:  # the release at home stays loaded for the way back
                wish = replace(wish, stable=Digest(away), drill={**before.drill, "release": drill.release})
            after = write_drill(connection, before, wish, deed)
            trouble = Trouble(
                workflow=drill.workflow,
                space=drill.space,
                spaces=(drill.space,),
                release=drill.release,
                cause="rollback drill",
                severity=Severity.SEV2,
                summary=f"Drill {drill.id}: {verdict.reasons[0].text}",
                verdict=verdict.digest,
                is_drill=True,
            )
            incident = open_incident(connection, self.instance, trouble, deed).id
            running = replace(drill, incident=incident, report={"phase": "validating", "away": away})
            save_drill(connection, running)
            flipped_at = database_time(connection)
        return _Tripped(drill=running, generation=after.generation, at=flipped_at, verdict=verdict)

    def _judged(self, drill: StoredDrill) -> Verdict:
        """Return the judge's verdict under the limits of the space's steps; the first that does not trip, if one."""
        rollout = self.instance.workspace.workflows[WorkflowName(drill.workflow)].rollout
        if rollout is None:
            return _tripped(drill, Limits(), Alphas())
        plan = rollout.plans[rollout.default_plan]
        waves = [wave for wave in plan.waves if wave.space == drill.space] or plan.waves
        alphas = analysis_alphas(plan.alpha)
        found = [_tripped(drill, analysis_limits(step.limits), alphas) for wave in waves for step in wave.steps]
        return next((one for one in found if one.effect is not Effect.ROLLBACK), found[0])

    def _return(self, flip: _Tripped, against: list[str]) -> dict[str, Any]:
        """Bring users home, and measure that too."""
        back, at = self._hand_back(flip.drill)
        if back.stable != flip.drill.release:
            against.append("users were not brought home: the row moved, or what served before was withdrawn")
            return {"seconds_to_return": None}
        home = Followed(seconds=self.looks.followed(back.generation, at))
        against += home.against("the way back")
        if self.looks.validated(back.generation) is None:
            against.append("the critical questions were not answered rightly after the way back within 120 s")
        return {"seconds_to_return": home.worst, "processes_returning": dict(home.seconds or {})}

    def _hand_back(self, drill: StoredDrill) -> tuple[Route, datetime]:
        with self.instance.engine.begin() as connection:
            after = hand_back(connection, drill, self._deed(connection))
            at = database_time(connection)
        return after, at

    def _give_up(self, drill: StoredDrill) -> None:
        with self.instance.engine.begin() as connection:
            give_up(connection, self.instance, drill, self._deed(connection))

    def _report(self, begun: _Begun, zero: Followed, valid_s: float | None, against: list[str]) -> dict[str, Any]:
        return {
            "release": begun.drill.release,
            "full": self.request.full,
            "seconds_to_zero_traffic": zero.worst,
            "limit_seconds": zero.limit_s,
            "processes": dict(zero.seconds or {}),
            "seconds_to_validation": valid_s,
            "seconds_to_incident": 0.0,
            "against": against,
            "passed": not against,
        }


def _tripped(drill: StoredDrill, limits: Limits, alphas: Alphas) -> Verdict:
    """Return the judge's own verdict on injected failures: 30 of 100 requests of ten drill principals."""
    count = Count(n=_INJECTED, x=_FAILING)
    counters = Counters(
        metrics={Metric.ERROR: MetricCount(go=count, guard=count, failing=10)},
        principals=10,
        admitted=_INJECTED,
        recorded=_INJECTED,
    )
    subject = Subject(plan="drill", release=drill.release, space=drill.space, step="drill", ledger_from=0, ledger_to=0)
    return judge(counters, limits, alphas, Context(subject=subject, gate_holds=True, has_control=False))
