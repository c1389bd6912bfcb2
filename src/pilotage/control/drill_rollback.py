"""`pilotage drill rollback`: a rehearsal on the real routing row and the real processes, with measured times.

A drill arm is put beside what serves, loaded and acknowledged by every live process; injected failures trip the real
judge; the arm is flipped away, and every process answers its critical questions. Users' traffic stays where it is.
Rule: it passes only if every process met every time of rollouts.md 8.3. Fail mode: a drill that cannot be measured has
failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.analysis.counters import Count, Counters, Metric, MetricCount
from pilotage.analysis.judge import judge
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Effect, Subject, Verdict
from pilotage.control.attach_evidence import OwnRun, attach_own_run
from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import Deed, person_deed
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, NotFound
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.incident.records import IncidentState, Severity
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.validation import VALID_LIMIT
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.drills import StoredDrill, add_drill, find_drill_incident, save_drill
from pilotage.store.incidents import find_incident, save_incident
from pilotage.store.ledger_entries import append
from pilotage.store.releases import head_of, named_release
from pilotage.store.routes import Route, acks_of, database_time, followed_within, read_route, write_route

LOAD_LIMIT: Final = timedelta(seconds=60)
FOLLOW_LIMIT: Final = timedelta(seconds=30)
ZERO_LIMIT_S: Final = 5.0
ONE_HOST_LIMIT_S: Final = 2.0
_LOOK_S: Final = 0.1
_INJECTED, _FAILING = 100, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What is rehearsed. `release` None: the newest sealed one of the workflow."""

    workflow: str
    space: str
    release: str | None = None


def drill_rollback(
    instance: Instance,
    ports: RolloutPorts,
    *,
    actor: Principal,
    request: DrillRequest,
    sleep: Callable[[float], None],
) -> StoredDrill | Refusal:
    """Rehearse a rollback and return the drill with its report; `passed` or `failed` stands in its state."""
    refusal = may(actor.roles, Action.DRILL)
    if refusal is not None:
        return refusal
    space = instance.workspace.spaces.get(SpaceName(request.space))
    if space is None or WorkflowName(request.workflow) not in instance.workspace.workflows:
        message = f"There is no space {request.space!r} or no workflow {request.workflow!r}."
        raise NotFound("DRILL_PLACE", message, hint="See `pilotage validate`.")
    return _Drill(instance=instance, ports=ports, actor=actor, space=space, sleep=sleep).run(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drill:
    instance: Instance
    ports: RolloutPorts
    actor: Principal
    space: Space
    sleep: Callable[[float], None]

    def run(self, request: DrillRequest) -> StoredDrill | Refusal:
        """Do the drill, phase by phase; each is committed before the next is measured."""
        begun = self._begin(request)
        if isinstance(begun, Refusal):
            return begun
        drill, generation = begun
        loaded_s = self._wait(lambda: self._is_loaded(drill, generation), LOAD_LIMIT)
        flipped, flipped_at, verdict = self._trip(drill)
        zero = self._followed(drill, flipped, flipped_at)
        valid_s = self._wait(lambda: self._is_valid(drill, flipped), VALID_LIMIT)
        report = self._report(drill, loaded_s, zero, valid_s)
        report |= {"verdict": verdict.digest, "tripped": verdict.effect is Effect.ROLLBACK, "generation": flipped}
        return self._finish(drill, report)

    def _begin(self, request: DrillRequest) -> tuple[StoredDrill, int] | Refusal:
        with self.instance.engine.begin() as connection:
            release = self._release(connection, request)
            before = read_route(connection, self.space.name, request.workflow, lock=True)
            if before.stable is None or release is None:
                text = f"{self.space.name} serves no release of {request.workflow}, so there is nothing to go back to."
                return Refusal(reasons=(Reason(code="DRILL_NOTHING_SERVED", text=text, where=self.space.name),))
            deed = self._deed(connection)
            drill = StoredDrill(
                id=new_ulid(deed.at),
                kind="rollback",
                workflow=request.workflow,
                space=self.space.name,
                release=release,
                space_digest=space_digest(self.space),
                state="running",
                started_by=deed.person,
                started_at=deed.at,
            )
            add_drill(connection, drill)
            arm = {"release": release, "drill": drill.id}
            after = self._write(connection, before, replace(before, drill=arm, reason=f"drill {drill.id}"), deed.at)
            return drill, after.generation

    @staticmethod
    def _release(connection: Connection, request: DrillRequest) -> Digest | None:
        if request.release is not None:
            return named_release(connection, request.release).digest
        head = head_of(connection, WorkflowName(request.workflow))
        return None if head is None else head.digest

    def _deed(self, connection: Connection) -> Deed:
        return person_deed(connection, self.actor, at=self.instance.clock.now())

    @staticmethod
    def _write(connection: Connection, before: Route, wish: Route, at: datetime) -> Route:
        after = write_route(connection, before, wish, fence=before.fence, at=at)
        if after is None:
            raise Conflict("ROUTE_MOVED", "The routing row moved while the drill began.", hint="Run it again.")
        return after

    def _wait(self, is_done: Callable[[], bool], limit: timedelta) -> float | None:
        """Return after how many seconds it was done, None when it was not within the limit."""
        start = self._now()
        while True:
            passed = (self._now() - start).total_seconds()
            if is_done():
                return passed
            if passed >= limit.total_seconds():
                return None
            self.sleep(_LOOK_S)

    def _now(self) -> datetime:
        with self.instance.engine.connect() as connection:
            return database_time(connection)

    def _is_loaded(self, drill: StoredDrill, generation: int) -> bool:
        with self.instance.engine.connect() as connection:
            live = [ack for ack in acks_of(connection, drill.space, drill.workflow) if ack.is_alive]
        return bool(live) and all(ack.generation >= generation and drill.release in ack.loaded for ack in live)

    def _trip(self, drill: StoredDrill) -> tuple[int, datetime, Verdict]:
        """Let injected failures trip the judge, and flip in the verdict's own transaction."""
        with self.instance.engine.begin() as connection:
            verdict = _tripped(drill)
            before = read_route(connection, drill.space, drill.workflow, lock=True)
            deed = self._deed(connection)
            wish = replace(before, drill=None, reason=f"drill {drill.id} flipped")
            after = self._write(connection, before, wish, deed.at)
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
            save_drill(connection, replace(drill, incident=incident, report={"phase": "validating"}))
            flipped_at = database_time(connection)
        return after.generation, flipped_at, verdict

    def _followed(self, drill: StoredDrill, generation: int, since: datetime) -> Mapping[str, float] | None:
        """Return the times as they stood when the last process had followed, None when one did not in 30 s."""
        found: list[Mapping[str, float]] = []

        def is_done() -> bool:
            seconds = self._zero(drill, generation, since)
            if seconds is not None:
                found.append(seconds)
            return seconds is not None

        self._wait(is_done, FOLLOW_LIMIT)
        return found[0] if found else None

    def _zero(self, drill: StoredDrill, generation: int, since: datetime) -> Mapping[str, float] | None:
        """Return the seconds each live process took to follow the flip; None while one has not."""
        with self.instance.engine.connect() as connection:
            return followed_within(connection, drill.space, drill.workflow, generation=generation, since=since)

    def _is_valid(self, drill: StoredDrill, generation: int) -> bool:
        with self.instance.engine.connect() as connection:
            live = [ack for ack in acks_of(connection, drill.space, drill.workflow) if ack.is_alive]
            found = self.ports.probe(
                connection,
                space=drill.space,
                workflow=drill.workflow,
                generation=generation,
                release=read_route(connection, drill.space, drill.workflow).stable,
            )
        workflow = self.instance.workspace.workflows[WorkflowName(drill.workflow)]
        wanted = len(critical_cases(workflow))
        return (
            found is not None
            and bool(live)
            and len(found) >= len(live)
            and all(one.passed == one.asked >= wanted and one.right_release for one in found)
        )

    def _report(
        self, drill: StoredDrill, loaded_s: float | None, zero: Mapping[str, float] | None, valid_s: float | None
    ) -> dict[str, Any]:
        hosts = {process.rpartition("-")[0].rpartition("-")[0] for process in zero or ()}
        limit = ONE_HOST_LIMIT_S if len(hosts) == 1 else ZERO_LIMIT_S
        worst = max(zero.values(), default=None) if zero else None
        against = []
        if loaded_s is None:
            against.append("no live process loaded the release within 60 s")
        if worst is None:
            against.append("not every process followed the flip within 30 s")
        elif worst > limit:
            against.append(f"a process followed the flip after {worst:.3f} s, more than {limit:g} s")
        if valid_s is None:
            against.append("the critical questions were not answered rightly in every process within 120 s")
        return {
            "release": drill.release,
            "seconds_to_load": loaded_s,
            "seconds_to_zero_traffic": worst,
            "limit_seconds": limit,
            "processes": dict(zero or {}),
            "seconds_to_validation": valid_s,
            "seconds_to_incident": 0.0,
            "against": against,
            "passed": not against,
        }

    def _finish(self, drill: StoredDrill, report: dict[str, Any]) -> StoredDrill:
        with self.instance.engine.begin() as connection:
            deed = self._deed(connection)
            days = 90 if self.space.tier is Tier.PRODUCTION else 30
            passed = bool(report["passed"])
            done = replace(
                drill,
                state="passed" if passed else "failed",
                finished_at=deed.at,
                valid_until=deed.at + timedelta(days=days) if passed else None,
                incident=self._resolve(connection, drill, deed),
                report=report,
            )
            save_drill(connection, done)
            self._record(connection, done, deed)
            attach_own_run(connection, self.instance, release=done.release, run=_evidence(done))
        return done

    def _resolve(self, connection: Connection, drill: StoredDrill, deed: Deed) -> str | None:
        """Close the drill's own incident; a drill leaves nothing open."""
        from_trip = find_drill_incident(connection, drill.id)
        found = None if from_trip is None else find_incident(connection, from_trip, lock=True)
        if found is not None:
            resolved = replace(
                found, state=IncidentState.CLOSED, mitigated_at=deed.at, resolved_at=deed.at, closed_at=deed.at
            )
            save_incident(connection, resolved)
        return from_trip

    @staticmethod
    def _record(connection: Connection, done: StoredDrill, deed: Deed) -> None:
        worst = done.report["seconds_to_zero_traffic"]
        data: dict[str, Json] = {
            "drill": done.id,
            "kind": done.kind,
            "workflow": done.workflow,
            "release": done.release,
            "state": done.state,
            "milliseconds_to_zero_traffic": None if worst is None else round(1000 * worst),
            "verdict": done.report["verdict"],
        }
        entry = encode_entry(
            id=new_ulid(deed.at),
            kind=EntryKind.INCIDENT_DRILL_FINISHED,
            at=deed.at,
            actor=deed.actor,
            subject=done.incident or done.id,
            space=done.space,
            data=data,
        )
        append(connection, entry)


def _tripped(drill: StoredDrill) -> Verdict:
    """Return the judge's own verdict on injected failures: 30 of 100 requests of ten drill principals."""
    count = Count(n=_INJECTED, x=_FAILING)
    counters = Counters(
        metrics={Metric.ERROR: MetricCount(go=count, guard=count, failing=10)},
        principals=10,
        admitted=_INJECTED,
        recorded=_INJECTED,
    )
    subject = Subject(plan="drill", release=drill.release, space=drill.space, step="drill", ledger_from=0, ledger_to=0)
    return judge(counters, Limits(), Alphas(), Context(subject=subject, gate_holds=True, has_control=False))


def _evidence(done: StoredDrill) -> OwnRun:
    report = {name: _text(value) for name, value in done.report.items()}
    body: Json = {"drill": "rollback", "id": done.id, "space": done.space, "space_config": done.space_digest, **report}
    worst = done.report["seconds_to_zero_traffic"]
    claims = {"verified": 1.0 if done.state == "passed" else 0.0}
    if worst is not None:
        claims["seconds_to_zero_traffic"] = float(worst)
    shown = "never" if worst is None else f"{worst:.3f} s"
    return OwnRun(
        kind="drill.rollback",
        claims=claims,
        body=canonical_bytes(body),
        produced_at=done.finished_at or done.started_at,
        summary=f"Rollback drill in {done.space}: {done.state}, zero traffic after {shown}.",
        space=SpaceName(done.space),
    )


def _text(value: object) -> Json:
    match value:
        case float():
            return f"{value:.6f}"
        case Mapping():
            return {str(name): _text(item) for name, item in value.items()}
        case list() | tuple():
            return [_text(item) for item in value]
        case None | bool() | int() | str():
            return value
    return str(value)
