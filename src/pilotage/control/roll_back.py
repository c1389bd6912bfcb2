"""`pilotage rollback`: back to the release before, at once, with or without a rollout under way (rollouts.md 8).

Rule: a person in the role gives a reason and needs no approval; no freeze and no gate stands in the way. What is to be
left is the candidate of a rollout, else the release that serves, or that a full drill would bring users back to. Twice
at once: the second finds it done. Fail mode: a Refusal, nothing changed in any space, but that a hard event or a
withdrawal leaves every space it can and says which it could not; no release left to go back to closes the door and is a
SEV1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from sqlalchemy import Connection, text

from pilotage.analysis.verdict import Verdict
from pilotage.control.carry_rollback import carrier
from pilotage.control.flip_traffic import Withdrawal, find_target, flip, home_of
from pilotage.control.instance import Instance
from pilotage.control.rollout_end import Ending, take_back
from pilotage.control.rollout_moves import Deed, Move, move_rollout, person_deed
from pilotage.control.start_rollout import RUN_KIND
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, NotFound
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal, outside_key
from pilotage.identity.roles import Action, may
from pilotage.incident.records import HardKind, Severity
from pilotage.rollout.states import BACKING_OUT, State
from pilotage.rollout.target import TargetKind
from pilotage.rollout.transitions import Actor, Event
from pilotage.store.releases import named_release
from pilotage.store.rollout_verdicts import add_verdict
from pilotage.store.rollouts import StoredRollout, find_rollout, holder_of, overtake
from pilotage.store.routes import Route, read_route
from pilotage.store.runs import request_run

MAINTENANCE: Final = TargetKind.MAINTENANCE.value
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtext('pilotage rollback ' || :workflow))")
_TRY_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(hashtext('pilotage rollback ' || :workflow))")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What is asked. `space` None: every space that serves the release. `hard`: which hard event, if one.

    `release` names what leaves where it is not simply what is newest there; `cause` is what the incident is about. `to`
    names the target (digest or prefix, or `maintenance` after a rollback that failed); without it the last authorised
    release is the target. `verdict`: the one that asks for it, kept with the rollback.
    """

    workflow: str
    reason: str
    space: str | None = None
    hard: HardKind | None = None
    release: Digest | None = None
    cause: str = "rolled back by a person"
    to: str | None = None
    verdict: Verdict | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every space moves or none; what has to go, by a hard event or by name, goes wherever it can."""
        return self.hard is None and self.release is None


def roll_back(instance: Instance, *, actor: Principal, request: RollbackRequest) -> tuple[StoredRollout, ...] | Refusal:
    """Take the release out and return the rollouts that carry it, in `rolling_back`; follow them by their status."""
    refusal = may(actor.roles, Action.ROLL_BACK) if request.hard is None else None
    if refusal is not None:
        return refusal
    if not request.reason.strip():
        return Refusal(reasons=(Reason(code="REASON_NEEDED", text="A rollback needs a reason; it is kept."),))
    _check_names(instance, request)
    outside = outside_key(actor, workflow=request.workflow, space=request.space)
    if outside is not None:
        return outside
    with instance.engine.begin() as connection:
        deed = person_deed(connection, actor, at=instance.clock.now(), kind=Actor.ON_CALL, note=request.reason)
        return take_out(connection, instance, request=request, deed=deed)


def take_out(
    connection: Connection, instance: Instance, *, request: RollbackRequest, deed: Deed
) -> tuple[StoredRollout, ...] | Refusal:
    """Roll back inside the caller's transaction, who answers for the permission."""
    connection.execute(_LOCK, {"workflow": request.workflow})
    return _taken_out(connection, instance, request, deed)


def take_out_by_holder(
    connection: Connection, instance: Instance, *, request: RollbackRequest, deed: Deed
) -> tuple[StoredRollout, ...] | Refusal:
    """Roll back for a caller that has locked a rollout of the workflow already.

    Raise Conflict, to be tried again, while another rollback of the workflow is being written: it waits for that row.
    """
    if not connection.scalar(_TRY_LOCK, {"workflow": request.workflow}):
        message = f"Another rollback of {request.workflow} is being written."
        raise Conflict("ROLLBACK_BUSY", message, hint="It is tried again at once.")
    return _taken_out(connection, instance, request, deed)


def _taken_out(
    connection: Connection, instance: Instance, request: RollbackRequest, deed: Deed
) -> tuple[StoredRollout, ...] | Refusal:
    with connection.begin_nested() as whole:
        done = _Rollback(connection=connection, instance=instance, request=request, deed=deed).run()
        if isinstance(done, Refusal) and request.is_whole:
            whole.rollback()
    return done


def _check_names(instance: Instance, request: RollbackRequest) -> None:
    if WorkflowName(request.workflow) not in instance.workspace.workflows:
        known = ", ".join(sorted(instance.workspace.workflows))
        message = f"There is no workflow {request.workflow!r}."
        raise NotFound("WORKFLOW_UNKNOWN", message, hint=f"Declared: {known}.")
    if request.space is not None and SpaceName(request.space) not in instance.workspace.spaces:
        known = ", ".join(sorted(instance.workspace.spaces))
        raise NotFound("SPACE_UNKNOWN", f"There is no space {request.space!r}.", hint=f"Declared: {known}.")


@dataclass(frozen=True, kw_only=True)
class _Rollback:
    connection: Connection
    instance: Instance
    request: RollbackRequest
    deed: Deed

    def run(self) -> tuple[StoredRollout, ...] | Refusal:
        """Take back every rollout under way in these spaces, then what serves there without one."""
        self._wait_for_moves()
        routes = [
            route
            for space in self._spaces()
            if (route := read_route(self.connection, space, self.request.workflow)).generation
        ]
        release = self._release(routes)
        if release is None:
            done = self._under_way(routes)
            if done:
                return self._other_way(done) or self._tried_again(done)
            text_ = f"Nothing of {self.request.workflow} is served there, so there is nothing to roll back."
            return Refusal(reasons=(Reason(code="NOTHING_SERVED", text=text_),))
        against = self._not_a_target(routes, release)
        if against:
            return Refusal(reasons=against)
        moved: list[StoredRollout] = []
        refused: dict[SpaceName, Refusal] = {}
        for route in routes:
            if not _stands(route, release) or any(route.space in one.flipped for one in moved):
                continue
            found = self._one(route, release)
            if not isinstance(found, Refusal):
                moved.append(found)
                continue
            refused[route.space] = found
            if self.request.is_whole:
                break
        return self._refused(moved, refused) if refused else tuple(moved)

    def _refused(self, moved: list[StoredRollout], refused: dict[SpaceName, Refusal]) -> Refusal:
        """Return why spaces keep the release, and, where the others stay without it, which is which."""
        reasons = tuple(reason for one in refused.values() for reason in one.reasons)
        left = ", ".join(space for one in moved for space in one.flipped)
        if not left or self.request.is_whole:
            return Refusal(reasons=reasons)
        text_ = f"The release left {left}, and not {', '.join(refused)}. Roll it back there."
        return Refusal(reasons=(Reason(code="ROLLED_BACK_IN_PART", text=text_, where=", ".join(refused)), *reasons))

    @cached_property
    def _to(self) -> Digest | None:
        """Return the release that was asked for by name."""
        if self.request.to in {None, MAINTENANCE}:
            return None
        return named_release(self.connection, self.request.to or "").digest

    def _not_a_target(self, routes: list[Route], release: Digest) -> tuple[Reason, ...]:
        """Return, before anything is written, the spaces that may not go back to what was named."""
        if self.request.to == MAINTENANCE:
            text_ = "Only a rollback that failed is followed by maintenance. Leave out --to."
            return (Reason(code="ROLLBACK_TARGET", text=text_, observed=MAINTENANCE),)
        if self._to is None:
            return ()
        left = [route for route in routes if _stands(route, release)]
        found = [find_target(self.connection, route, to=self._to, away_from=release) for route in left]
        return tuple(one for one in found if isinstance(one, Reason))

    def _other_way(self, done: tuple[StoredRollout, ...]) -> Refusal | None:
        """Return that a rollback runs already, to another release than was named; one that failed may be sent there."""
        running = [one for one in done if one.state is not State.ROLLBACK_FAILED and self.request.to is not None]
        other = next((one for one in running if one.target != self._to), None)
        if other is None:
            return None
        text_ = f"Rollback {other.id} to {other.target or 'a closed door'} is under way; let it end."
        reason = Reason(code="ROLLBACK_TARGET", text=text_, where=other.id, observed=self._to, limit=other.target)
        return Refusal(reasons=(reason,))

    def _wait_for_moves(self) -> None:
        """Let whoever moves these rollouts now finish: what is read next then shows a rollback that had begun."""
        holders = {holder_of(self.connection, self.request.workflow, space) for space in self._spaces()}
        for holder in sorted(holder for holder in holders if holder is not None):
            find_rollout(self.connection, holder, lock=True)

    def _spaces(self) -> Iterable[SpaceName]:
        if self.request.space is not None and self.request.hard is None:
            return (SpaceName(self.request.space),)
        return tuple(self.instance.workspace.spaces)

    def _release(self, routes: list[Route]) -> Digest | None:
        """Return what is to be left: the named release, the candidate in the named space, else what serves there."""
        if self.request.release is not None:
            return self.request.release
        named = [route for route in routes if self.request.space in {None, route.space}]
        under_way = self._under_way(named)
        if under_way and not any(route.candidate for route in named):
            return None
        candidates = [route.candidate for route in named if route.candidate]
        serving = [found for route in named if (found := home_of(route) or route.stable)]
        return next(iter(candidates or serving), None)

    def _under_way(self, routes: list[Route]) -> tuple[StoredRollout, ...]:
        """Return rollbacks that are running in these spaces already."""
        query = text(
            "SELECT id FROM rollout WHERE workflow = :workflow AND flipped && CAST(:spaces AS text[])"
            " AND state = ANY(:states) ORDER BY created_at"
        )
        values = {
            "workflow": self.request.workflow,
            "spaces": [route.space for route in routes],
            "states": [state.value for state in BACKING_OUT],
        }
        found = [find_rollout(self.connection, one) for one in self.connection.scalars(query, values)]
        return tuple(one for one in found if one is not None)

    def _tried_again(self, found: tuple[StoredRollout, ...]) -> tuple[StoredRollout, ...] | Refusal:
        """Validate again what had failed; what is still running is left to run."""
        moved: list[StoredRollout] = []
        for one in found:
            stored = self._taken(one.id) if one.state is State.ROLLBACK_FAILED else None
            if stored is None:
                moved.append(one)
                continue
            changes = self._redirected(stored)
            if isinstance(changes, Refusal):
                return changes
            move = Move(event=Event.RETRY, changes=changes)
            again = move_rollout(self.connection, self.instance, stored, move, self.deed)
            if isinstance(again, Refusal):
                return again
            request_run(self.connection, kind=RUN_KIND, key=again.id, due_at=self.deed.at)
            moved.append(again)
        return tuple(moved)

    def _redirected(self, stored: StoredRollout) -> dict[str, Any] | Refusal:
        """Send a failed rollback to the other target that was named, or close the door; nothing when none was."""
        is_closed = self.request.to == MAINTENANCE
        if not is_closed and self._to in {None, stored.target}:
            return {}
        routes = [read_route(self.connection, space, stored.workflow) for space in stored.flipped]
        if self._to is not None:
            found = [find_target(self.connection, one, to=self._to, away_from=stored.release) for one in routes]
            against = tuple(one for one in found if isinstance(one, Reason))
            if against:
                return Refusal(reasons=against)
        wanted = Withdrawal(
            workflow=stored.workflow,
            release=stored.release,
            rollout=stored.id,
            reason=self.request.reason,
            quarantine=False,
            to=self._to,
            is_closed=is_closed,
        )
        for route in routes:
            flip(self.connection, route.space, wanted, fence=stored.fence, deed=self.deed)
        return {"target": self._to, "flipped_at": self.deed.at}

    def _one(self, route: Route, release: Digest) -> StoredRollout | Refusal:
        with self.connection.begin_nested() as part:
            moved = self._taken_back(route, release)
            if isinstance(moved, Refusal):
                part.rollback()
        return moved

    def _taken_back(self, route: Route, release: Digest) -> StoredRollout | Refusal:
        holder = holder_of(self.connection, self.request.workflow, route.space)
        held = None if holder is None else find_rollout(self.connection, holder, lock=True)
        if held is not None and held.release == release and held.state.has_traffic:
            stored = self._taken(held.id) or held
        else:  # a holder that goes on keeps its token: it may be the caller's own
            stored = self._judged(carrier(self.connection, route, release, self.deed))
        moved = take_back(self.connection, self.instance, stored, self._ending(stored), self.deed)
        if not isinstance(moved, Refusal):
            request_run(self.connection, kind=RUN_KIND, key=moved.id, due_at=self.deed.at)
        return moved

    def _judged(self, stored: StoredRollout) -> StoredRollout:
        """Keep the verdict that asks for it, as the carrier's decision."""
        verdict = self.request.verdict
        if verdict is None:
            return stored
        add_verdict(self.connection, stored.id, verdict, place=stored.place, at=self.deed.at, is_decision=True)
        return replace(stored, decision=verdict.digest, decision_outcome=verdict.outcome)

    def _taken(self, identifier: str) -> StoredRollout | None:
        overtake(self.connection, identifier)
        return find_rollout(self.connection, identifier, lock=True)

    def _ending(self, stored: StoredRollout) -> Ending:
        hard = self.request.hard
        cause = self.request.cause if hard is None else hard.value
        spaces = None
        if self.request.space is not None and hard is None:
            spaces = frozenset({SpaceName(self.request.space)})
        text_ = f"{cause.capitalize()}: {stored.release[:19]} leaves."
        said = (Reason(code="HARD_EVENT" if hard else "ROLLED_BACK", text=text_, where=stored.release),)
        return Ending(
            event=Event.ROLL_BACK,
            reasons=said if self.request.verdict is None else self.request.verdict.reasons,
            spaces=spaces,
            cause=cause,
            severity=Severity.SEV2 if hard is None else hard.severity,
            is_hard=hard is not None,
            to=self._to,
        )


def _stands(route: Route, release: Digest) -> bool:
    """Tell whether a space serves a release, or will again when its drill is over."""
    return release in {route.candidate, route.stable, home_of(route)}
