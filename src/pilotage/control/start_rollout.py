"""`pilotage rollout start`: plan, preflight, and the row that the reconciler moves on (rollouts.md 4, 7.2).

Rule: gates hold now, on the connection that writes; the starter is no author; one rollout at a time in a space. What
the traffic cannot prove is said before anything starts. Fail mode: a Refusal with every reason; preflight, freeze,
target and drill are refused with a ledger entry, so that nobody can try until it works unseen.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from pilotage.control.flip_traffic import choose_target
from pilotage.control.instance import Instance
from pilotage.control.rollout_drills import drill_reasons
from pilotage.control.rollout_facts import freezes_of, quarantine_reasons
from pilotage.control.rollout_moves import Deed, Move, machine_deed, move_rollout, person_deed, record_entry
from pilotage.control.rollout_people import author_conflict
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.control.rollout_preflight import Asked, Foresight, foresee
from pilotage.control.rollout_traffic import place_candidate
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.rollout.critical import critical_cases
from pilotage.rollout.pairing import Label, at_once, phases_of
from pilotage.rollout.plan_form import plan_digest
from pilotage.rollout.states import State, WaveState
from pilotage.rollout.target import TargetKind
from pilotage.rollout.transitions import Event
from pilotage.space.settings import Tier
from pilotage.store.releases import StoredRelease, named_release
from pilotage.store.rollouts import (
    StoredRollout,
    StoredWave,
    add_rollout,
    attempts_before,
    find_rollout,
    holder_of,
    overtake,
    save_wave,
    waves_of,
)
from pilotage.store.routes import read_route
from pilotage.store.runs import request_run
from pilotage.workspace.plan import Approach, Plan
from pilotage.workspace.workflow import RiskTier

RUN_KIND = "rollout"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What is asked: the release (digest or prefix), its first space, the plan, `accepted` for `--yes`.

    `per_day`: requests per day expected in each space, for a space without history.
    """

    release: str
    space: str
    plan: str | None = None
    accepted: bool = False
    per_day: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The rollout and what preflight said of it; `against` is why it was refused, empty when it runs."""

    rollout: StoredRollout
    foresight: Foresight
    against: tuple[Reason, ...] = ()


def start_rollout(
    instance: Instance, ports: RolloutPorts, *, actor: Principal, request: StartRequest
) -> Started | Refusal:
    """Start a rollout, or refuse it with its reasons; a second start in the same space is ROLLOUT_ACTIVE."""
    space = instance.workspace.spaces.get(SpaceName(request.space))
    if space is None:
        known = ", ".join(sorted(instance.workspace.spaces))
        message = f"There is no space {request.space!r}."
        raise NotFound("SPACE_UNKNOWN", message, hint=f"Declared in spaces/: {known}.")
    refusal = may(actor.roles, Action.ROLLOUT_UP, within=space.tier.value)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        release = named_release(connection, request.release)
        plan = _plan(instance, release, request)
        if isinstance(plan, Refusal):
            return plan
        now = instance.clock.now()
        start = _Start(
            connection=connection,
            instance=instance,
            release=release,
            plan=plan,
            deed=person_deed(connection, actor, at=now),
        )
        reasons = (*author_conflict(connection, release.digest, actor), *start.against(ports))
        return Refusal(reasons=reasons) if reasons else start.run(request)


def _plan(instance: Instance, release: StoredRelease, request: StartRequest) -> Plan | Refusal:
    """Return the plan from the wanted space on."""
    workflow = instance.workspace.workflows.get(release.workflow)
    rollout = None if workflow is None else workflow.rollout
    if rollout is None:
        text = f"Workflow {release.workflow} declares no rollout plan; write `rollout:` in its workflow.yaml."
        return Refusal(reasons=(Reason(code="NO_PLAN", text=text),))
    name = request.plan or rollout.default_plan
    plan = rollout.plans.get(name)
    if plan is None:
        known = ", ".join(sorted(rollout.plans))
        raise NotFound("PLAN_UNKNOWN", f"There is no plan {name!r}.", hint=f"Declared: {known}.")
    numbers = [number for number, wave in enumerate(plan.waves) if wave.space == request.space]
    if not numbers:
        spaces = ", ".join(wave.space for wave in plan.waves)
        text = f"Plan {name} has no wave in {request.space}; it has {spaces}. Elsewhere a release is promoted."
        return Refusal(reasons=(Reason(code="NO_WAVE", text=text, where=request.space),))
    return at_once(replace(plan, waves=plan.waves[numbers[0] :]))


def _unprovable(connection: Connection, instance: Instance, release: StoredRelease, plan: Plan) -> list[Reason]:
    """Return why what the plan wants proven before its first user cannot be."""
    found: list[Reason] = []
    workflow, wanted = instance.workspace.workflows[release.workflow], phases_of(plan)
    is_flip = plan.approach is Approach.BLUE_GREEN
    goes_live = any(instance.workspace.spaces[wave.space].tier is Tier.PRODUCTION for wave in plan.waves)
    if workflow.risk_tier is RiskTier.HIGH and goes_live and Label.SHADOW not in wanted:
        text = f"{release.workflow} has risk_tier high: plan {plan.name} needs shadow: {{enabled: true}}."
        found.append(Reason(code="SHADOW_REQUIRED", text=text, where=plan.name))
    if is_flip and not wanted:
        text = f"Plan {plan.name} flips after a GO from shadow or replay and asks for neither."
        hint = "Write shadow: {replay_first: true}, or {enabled: true}."
        found.append(Reason(code="BLUE_GREEN_UNPROVEN", text=f"{text} {hint}", where=plan.name))
    if is_flip and len(plan.waves) > 1:
        text = f"Plan {plan.name} flips {len(plan.waves)} spaces, and only the first would be proven before its flip."
        hint = "Start one rollout a space, each with its own shadow or replay."
        found.append(Reason(code="BLUE_GREEN_UNPROVEN", text=f"{text} {hint}", where=plan.name))
    if is_flip and not critical_cases(workflow):
        text = f"Plan {plan.name} flips after its critical questions; mark golden cases of the workflow as must_pass."
        found.append(Reason(code="NO_CRITICAL_QUESTIONS", text=text, where=plan.name))
    space = plan.waves[0].space
    if wanted and read_route(connection, space, release.workflow).stable is None:
        text = f"Nothing serves {release.workflow} in {space}: there is no answer to compare with. Name a plan without"
        found.append(Reason(code="SHADOW_NO_STABLE", text=f"{text} shadow and replay.", where=space))
    return found


def _state(connection: Connection, release: StoredRelease, space: SpaceName) -> list[Reason]:
    found: list[Reason] = []
    if release.state is not ReleaseState.SEALED:
        text = f"Release {release.digest} is {release.state}; only a sealed one gets traffic."
        found.append(Reason(code=f"RELEASE_{release.state.value.upper()}", text=text, where=release.digest))
    found += quarantine_reasons(connection, release.workflow, release.digest)
    route = read_route(connection, space, release.workflow)
    if route.stable == release.digest:
        found.append(Reason(code="ALREADY_SERVED", text=f"{space} serves {release.digest} already.", where=space))
    return found


def _order(connection: Connection, instance: Instance, release: StoredRelease, plan: Plan) -> list[Reason]:
    """Return WAVE_ORDER: a later wave relaxes its limit only because the first proved the strict one before.

    An isolated space may come first with the strict limit.
    """
    workflow = instance.workspace.workflows[release.workflow]
    full = None if workflow.rollout is None else workflow.rollout.plans.get(plan.name)
    first = plan.waves[0]
    if full is None or full.waves[0].space == first.space:
        return []
    strict = min(step.limits.error_go for step in full.waves[0].steps)
    if first.isolated and all(step.limits.error_go <= strict for wave in plan.waves for step in wave.steps):
        return []
    route = read_route(connection, full.waves[0].space, release.workflow)
    if route.stable == release.digest:
        return []
    text = f"{first.space} comes after {full.waves[0].space}, which does not serve {release.digest} yet."
    if first.isolated:
        text = f"{text} Start there, or give {first.space} its strict error_go: {100 * strict:g} %."
    return [Reason(code="WAVE_ORDER", text=text, where=first.space)]


def _bound(instance: Instance, release: StoredRelease, plan: Plan) -> list[Reason]:
    """Return VOTE_STALE when production would see another plan than the one that the board's votes bind."""
    rollout = instance.workspace.workflows[release.workflow].rollout
    first = instance.workspace.spaces[plan.waves[0].space]
    if rollout is None or first.tier is not Tier.PRODUCTION:
        return []
    approved = rollout.plans[rollout.default_plan]
    if plan_digest(plan) == plan_digest(approved):
        return []
    text = f"The board decides on plan {approved.name}, the default; make {plan.name} the default and let it decide."
    return [Reason(code="VOTE_STALE", text=text, where=plan.name, observed=plan.name, limit=approved.name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """One start inside its transaction."""

    connection: Connection
    instance: Instance
    release: StoredRelease
    plan: Plan
    deed: Deed

    def against(self, ports: RolloutPorts) -> list[Reason]:
        """Return everything that forbids a row at all: the release's state, another rollout, its gates."""
        space, release = self.plan.waves[0].space, self.release
        reasons = _state(self.connection, release, space)
        for wave in self.plan.waves:
            holder = holder_of(self.connection, release.workflow, wave.space)
            if holder is not None:
                text = (
                    f"Rollout {holder} holds {release.workflow} in {wave.space}; finish, abort or roll it back first."
                )
                reasons.append(Reason(code="ROLLOUT_ACTIVE", text=text, where=wave.space, observed=holder))
        reasons += _unprovable(self.connection, self.instance, release, self.plan)
        reasons += _order(self.connection, self.instance, release, self.plan)
        reasons += _bound(self.instance, release, self.plan)
        reasons += ports.gate(self.connection, self.instance, release=release.digest, space=space, now=self.deed.at)
        return reasons

    def run(self, request: StartRequest) -> Started | Refusal:
        """Write the row, then either refuse it or give it to the reconciler."""
        space = self.plan.waves[0].space
        attempt = 1 + attempts_before(self.connection, self.release.workflow, space)
        declared = self.instance.workspace.workflows[self.release.workflow].expected_per_day
        asked = Asked(
            workflow=self.release.workflow,
            attempt=attempt,
            accepted=request.accepted,
            expected=declared if request.per_day is None else request.per_day,
        )
        foresight = foresee(self.connection, self.plan, asked, now=self.deed.at)
        stored = self._row(foresight, attempt)
        waves = tuple(
            StoredWave(
                rollout=stored.id,
                number=number,
                workflow=stored.workflow,
                space=wave.space,
                state=WaveState.WAITING,
            )
            for number, wave in enumerate(self.plan.waves)
        )
        if not add_rollout(self.connection, stored, waves):
            text = f"Another rollout of {stored.workflow} was started in {space} a moment ago."
            return Refusal(reasons=(Reason(code="ROLLOUT_ACTIVE", text=text, where=space),))
        stored = self._held(stored)
        self._planned(stored, waves, foresight, request)
        against = (*foresight.against, *self._not_ready(stored, space))
        if against:
            return self._refused(stored, foresight, against)
        place_candidate(self.connection, stored, space, machine_deed(self.deed.at))
        request_run(self.connection, kind=RUN_KIND, key=stored.id, due_at=self.deed.at)
        return Started(rollout=stored, foresight=foresight)

    def _planned(
        self, stored: StoredRollout, waves: tuple[StoredWave, ...], foresight: Foresight, request: StartRequest
    ) -> None:
        record_entry(
            self.connection,
            stored,
            EntryKind.ROLLOUT_PLANNED,
            self.deed,
            data={
                "workflow": stored.workflow,
                "release": stored.release,
                "plan": stored.plan_digest,
                "salt": stored.salt,
                "spaces": [wave.space for wave in waves],
                "attempt": stored.attempt,
                "preflight": foresight.digest,
                "accepted": request.accepted,
            },
        )

    def _row(self, foresight: Foresight, attempt: int) -> StoredRollout:
        preflight: dict[str, Any] = foresight.as_json()
        return StoredRollout(
            id=new_ulid(self.deed.at),
            workflow=self.release.workflow,
            release=Digest(self.release.digest),
            plan=self.plan,
            plan_digest=plan_digest(self.plan),
            salt=secrets.token_hex(8),
            state=State.PLANNED,
            state_at=self.deed.at,
            attempt=attempt,
            started_by=self.deed.person,
            preflight=preflight,
            created_at=self.deed.at,
        )

    def _held(self, stored: StoredRollout) -> StoredRollout:
        overtake(self.connection, stored.id)
        found = find_rollout(self.connection, stored.id, lock=True)
        return stored if found is None else found

    def _not_ready(self, stored: StoredRollout, space: SpaceName) -> tuple[Reason, ...]:
        """Return freeze, missing rollback target and missing drills."""
        found = list(freezes_of(self.connection, self.instance, stored, space, self.deed.at))
        route = read_route(self.connection, space, stored.workflow)
        target = choose_target(self.connection, route, away_from=stored.release)
        if target.kind is TargetKind.MAINTENANCE:
            text = f"There is nothing to roll back to in {space}: every earlier release was withdrawn."
            found.append(Reason(code="NO_ROLLBACK_TARGET", text=text, where=space))
        if target.kind is TargetKind.RELEASE:
            found += drill_reasons(self.connection, self.instance, stored, now=self.deed.at)
        return tuple(found)

    def _refused(self, stored: StoredRollout, foresight: Foresight, against: tuple[Reason, ...]) -> Started | Refusal:
        from_machine = machine_deed(self.deed.at)
        moved = move_rollout(
            self.connection, self.instance, stored, Move(event=Event.REFUSE, reasons=against), from_machine
        )
        if isinstance(moved, Refusal):
            return moved
        return Started(rollout=release_waves(self.connection, moved), foresight=foresight, against=against)


def release_waves(connection: Connection, stored: StoredRollout) -> StoredRollout:
    """Let go of every space of a rollout that never had traffic."""
    for wave in waves_of(connection, stored.id):
        save_wave(connection, replace(wave, state=WaveState.DONE))
    return stored
