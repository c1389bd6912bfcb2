"""`pilotage drill failover`: a region is lost for drill traffic only, with measured times (rollouts.md 10).

From one moment on every health check of the space counts as failed for the drill: what is measured is how long the real
processes' real checks take to find it. Then the declared partner answers the drill's questions, in every process, while
users stay at home. Rule: it passes when it was found within two checks and five seconds, followed within five seconds,
and every answer came from the partner's stable release in the partner's space. Fail mode: a drill without one answer
has proven nothing and has failed; a space without a permitted partner is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.drill_finish import finish_drill, give_up, unmeasured
from pilotage.control.drill_measures import ZERO_LIMIT_S, Followed, Measures
from pilotage.control.drill_routes import hand_back, is_held_by, write_drill
from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed, person_deed
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, NotFound
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.space.digest import space_digest
from pilotage.space.failover import failover_target
from pilotage.space.health import FAILURES, TIMEOUT_S, HealthState, judge_health
from pilotage.space.settings import Space
from pilotage.store.drill_answers import drill_answers
from pilotage.store.drills import StoredDrill, add_drill, save_drill
from pilotage.store.routes import Route, database_time, read_route
from pilotage.store.space_health import read_health, reports_of


def drill_failover(
    instance: Instance,
    ports: RolloutPorts,
    *,
    actor: Principal,
    workflow: str,
    space: str,
    sleep: Callable[[float], None],
) -> StoredDrill | Refusal:
    """Rehearse the loss of a space and return the drill; `passed` or `failed` stands in its state."""
    refusal = may(actor.roles, Action.DRILL)
    if refusal is not None:
        return refusal
    found = instance.workspace.spaces.get(SpaceName(space))
    if found is None or WorkflowName(workflow) not in instance.workspace.workflows:
        message = f"There is no space {space!r} or no workflow {workflow!r}."
        raise NotFound("DRILL_PLACE", message, hint="See `pilotage validate`.")
    looks = Measures(instance=instance, ports=ports, space=found.name, workflow=workflow, sleep=sleep)
    return _Drill(instance=instance, looks=looks, actor=actor, space=found).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drill:
    instance: Instance
    looks: Measures
    actor: Principal
    space: Space

    def run(self) -> StoredDrill | Refusal:
        """Do the drill, phase by phase; each is committed before the next is measured."""
        begun = self._begin()
        if isinstance(begun, Refusal):
            return begun
        drill, partner, since = begun
        is_whole = False
        try:
            report = self._rehearsed(drill, partner, since)
            is_whole = True
        finally:
            if not is_whole:
                with self.instance.engine.begin() as connection:
                    give_up(connection, self.instance, drill, self._deed(connection))
        with self.instance.engine.begin() as connection:
            return finish_drill(connection, self.instance, drill, report, self._deed(connection))

    def _begin(self) -> tuple[StoredDrill, SpaceName, datetime] | Refusal:
        with self.instance.engine.begin() as connection:
            before = read_route(connection, self.space.name, self.looks.workflow, lock=True)
            partner = failover_target(self.space, self.instance.workspace.spaces)
            against = [partner] if isinstance(partner, Reason) else self._standing_against(connection, before, partner)
            if against or isinstance(partner, Reason) or before.stable is None:
                return Refusal(reasons=tuple(against))
            deed = self._deed(connection)
            drill = StoredDrill(
                id=new_ulid(deed.at),
                kind="failover",
                workflow=self.looks.workflow,
                space=self.space.name,
                release=before.stable,
                space_digest=space_digest(self.space),
                state="running",
                started_by=deed.person,
                started_at=deed.at,
            )
            add_drill(connection, drill)
            arm = {"drill": drill.id}
            write_drill(connection, before, replace(before, drill=arm, reason=f"drill {drill.id}"), deed)
            return drill, partner, database_time(connection)

    def _standing_against(self, connection: Connection, route: Route, partner: SpaceName) -> list[Reason]:
        where, found = self.space.name, list[Reason]()
        if route.stable is None:
            text = f"{where} serves no release of {route.workflow}, so nobody needs a partner there."
            found.append(Reason(code="DRILL_NOTHING_SERVED", text=text, where=where))
        if route.drill is not None:
            text = f"Drill {route.drill.get('drill')} runs in {where}. Wait until it has ended."
            found.append(Reason(code="DRILL_RUNNING", text=text, where=where))
        if route.down:
            text = f"{where} is failed over in earnest. Drill when its askers are home."
            found.append(Reason(code="DRILL_NOT_SERVING", text=text, where=where))
        health = read_health(connection, partner)
        if health is None or not health.is_fresh or health.state is not HealthState.HEALTHY:
            text = f"The partner {partner} is not known to be healthy. See `pilotage space status`."
            found.append(Reason(code="PARTNER_UNHEALTHY", text=text, where=partner))
        return found

    def _rehearsed(self, drill: StoredDrill, partner: SpaceName, since: datetime) -> dict[str, Any]:
        report: dict[str, Any] = {**unmeasured("failover"), "partner": partner, "verdict": None}
        against: list[str] = []
        detection = _Detection(looks=self.looks, space=self.space, since=since)
        report["seconds_to_detect"] = self.looks.wait(detection.is_unhealthy, detection.limit)
        if report["seconds_to_detect"] is None:
            against.append(f"the checks did not find the space unhealthy within {detection.limit.total_seconds():g} s")
        after, at = self._redirect(drill, partner)
        followed = Followed(seconds=self.looks.followed(after.generation, at))
        report |= {"seconds_to_redirect": followed.worst, "processes": dict(followed.seconds or {})}
        if followed.worst is None or followed.worst > ZERO_LIMIT_S:
            against.append(f"not every process sent drill traffic to {partner} within {ZERO_LIMIT_S:g} s")
        if self.looks.validated(after.generation, release=self._stable_of(partner)) is None:
            against.append(f"the critical questions were not answered rightly by {partner} within 120 s")
        self._hand_back(drill)
        with self.instance.engine.connect() as connection:
            answers = drill_answers(connection, drill.workflow, home=drill.space, partner=partner, since=since)
        report |= {"right_region_answers": answers.right, "wrong_region_answers": answers.wrong}
        if answers.wrong:
            against.append(f"{answers.wrong} answers came from another space than {partner}")
        if not answers.right:
            against.append(f"no answer of {partner} was recorded; declare must-pass questions in the golden set")
        return {**report, "against": against, "passed": not against}

    def _redirect(self, drill: StoredDrill, partner: SpaceName) -> tuple[Route, datetime]:
        with self.instance.engine.begin() as connection:
            before = read_route(connection, drill.space, drill.workflow, lock=True)
            if not is_held_by(before, drill):
                raise Conflict("ROUTE_MOVED", "The routing row moved while the drill ran.", hint="Run the drill again.")
            arm = {"drill": drill.id, "failover": partner}
            wish = replace(before, drill=arm, reason=f"drill {drill.id} fails over to {partner}")
            after = write_drill(connection, before, wish, self._deed(connection))
            save_drill(connection, replace(drill, report={"phase": "answering", "partner": partner}))
            return after, database_time(connection)

    def _stable_of(self, partner: SpaceName) -> Digest | None:
        with self.instance.engine.connect() as connection:
            return read_route(connection, partner, self.looks.workflow).stable

    def _hand_back(self, drill: StoredDrill) -> None:
        with self.instance.engine.begin() as connection:
            hand_back(connection, drill, self._deed(connection))

    def _deed(self, connection: Connection) -> Deed:
        return person_deed(connection, self.actor, at=self.instance.clock.now())


_SAME_REPORT: Final = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Detection:
    """Counts each process's checks since the loss: for the drill all of them failed."""

    looks: Measures
    space: Space
    since: datetime
    seen: dict[str, list[datetime]] = field(default_factory=dict)

    @property
    def limit(self) -> timedelta:
        """Two checks and the time one may take (65 s at the usual interval)."""
        return timedelta(seconds=FAILURES * self.space.availability.health_check_interval_s + TIMEOUT_S)

    def is_unhealthy(self) -> bool:
        """Tell whether the health rule finds the space unhealthy by the checks made since."""
        interval_s = self.space.availability.health_check_interval_s
        with self.looks.instance.engine.connect() as connection:
            now, reports = database_time(connection), reports_of(connection, self.space.name)
        live = [report for report in reports if not report.is_silent(interval_s)]
        lost = [
            replace(report, failures=self._checks(report.process, now - timedelta(seconds=report.age_s)), successes=0)
            for report in live
        ]
        return bool(lost) and judge_health(HealthState.HEALTHY, lost, interval_s=interval_s).state is _LOST

    def _checks(self, process: str, at: datetime) -> int:
        """Return how many checks a process has made since the loss."""
        made = self.seen.setdefault(process, [])
        if at > self.since and (not made or at - made[-1] > _SAME_REPORT):
            made.append(at)
        return len(made)


_LOST: Final = HealthState.UNHEALTHY
