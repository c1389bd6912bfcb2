"""A rollout as its page shows it: where it stands, every verdict; and which commands one person may give and why not.

Rule: the view names no viewer, so one serves every live page; permissions and states are those of the commands
themselves, which check again. Fail mode: NotFound for an unknown id; a command that may not be given comes with its
reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.by_metric import Compared, standing_on
from pilotage.analysis.verdict import Judgement, Standing
from pilotage.control.decide_rollout import not_go, nothing_fixed
from pilotage.control.instance import Instance
from pilotage.control.overrule_rollout import against_overruling
from pilotage.control.rollout_arms import Arms, read_arms
from pilotage.control.rollout_desk import find_named
from pilotage.control.rollout_people import deciding_role, may_abort, may_pause, may_resume
from pilotage.control.shadow_status import PhaseView, view_phases
from pilotage.control.view_watches import WatchView, view_watches
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Actor, Event, transition
from pilotage.store.excuses import Excuse, excuses_of
from pilotage.store.incidents import StoredIncident, find_incident
from pilotage.store.rollout_history import PastVerdict, parts_of, verdict_history
from pilotage.store.rollout_verdicts import Signature, signatures_of
from pilotage.store.rollouts import StoredRollout, StoredStep, StoredWave, steps_of, waves_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Why each command may not be given now; empty: it may."""

    go: tuple[Reason, ...]
    pause: tuple[Reason, ...]
    resume: tuple[Reason, ...]
    abort: tuple[Reason, ...]
    extend: tuple[Reason, ...]
    overrule: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """What a page shows of one rollout to everybody."""

    stored: StoredRollout
    waves: tuple[StoredWave, ...]
    steps: tuple[StoredStep, ...]
    history: tuple[PastVerdict, ...]
    signed: tuple[Signature, ...]
    overrules: tuple[Signature, ...]
    incident: StoredIncident | None
    arms: Arms
    phases: tuple[PhaseView, ...] = ()
    watches: tuple[WatchView, ...] = ()
    excuses: tuple[Excuse, ...] = ()

    @property
    def verdict(self) -> PastVerdict | None:
        """The newest verdict, None before the first."""
        return self.history[-1] if self.history else None

    @property
    def standings(self) -> Mapping[Compared, Standing]:
        """Where the newest verdict stands on each metric."""
        tests = {} if self.verdict is None else json.loads(self.verdict.body).get("tests", {})
        return {metric: standing_on(metric, tests) for metric in Compared}


def view_rollout(instance: Instance, *, identifier: str) -> RolloutView:
    """Return the rollout; raise NotFound for an id that names none."""
    with instance.engine.connect() as connection:
        return read_view(connection, identifier, instance.clock.now())


def read_view(connection: Connection, identifier: str, now: datetime) -> RolloutView:
    """Return the rollout as this transaction sees it; raise NotFound for an id that names none."""
    stored = find_named(connection, identifier)
    signed = () if stored.decision is None else signatures_of(connection, stored.id, stored.decision)
    waves, parts = waves_of(connection, stored.id), parts_of(connection, stored.id)
    return RolloutView(
        stored=stored,
        waves=waves,
        steps=steps_of(connection, stored.id),
        history=verdict_history(connection, stored.id),
        signed=tuple(one for one in signed if one.kind == "go"),
        overrules=tuple(one for one in signed if one.kind == "overrule"),
        incident=None if stored.incident is None else find_incident(connection, stored.incident),
        arms=read_arms(connection, stored, waves),
        phases=view_phases(connection, stored, now) if parts.phases else (),
        watches=view_watches(connection, stored) if parts.watches else (),
        excuses=excuses_of(connection, stored.id) if parts.excuses else (),
    )


def commands_of(instance: Instance, view: RolloutView, *, actor: Principal) -> Commands:
    """Return which commands this person may give now."""
    with instance.engine.connect() as connection:
        return _commands(connection, instance, view, actor)


def _commands(connection: Connection, instance: Instance, view: RolloutView, actor: Principal) -> Commands:
    stored = view.stored
    space = instance.workspace.spaces.get(stored.space)
    tier = "production" if space is None else space.tier.value
    ending = Event.ABORT if stored.state.has_traffic else Event.CANCEL
    return Commands(
        go=_against_go(connection, instance, stored, actor, view.signed),
        pause=_reasons(may_pause(actor, tier)) or _from_here(stored, Event.PAUSE),
        resume=_reasons(may_resume(actor, tier)) or _from_here(stored, Event.RESUME),
        abort=_reasons(may_abort(actor, tier)) or _from_here(stored, ending),
        extend=_against_extending(connection, instance, stored, actor),
        overrule=against_overruling(connection, instance.workspace, stored, actor),
    )


def _against_go(
    connection: Connection, instance: Instance, stored: StoredRollout, actor: Principal, signed: tuple[Signature, ...]
) -> tuple[Reason, ...]:
    """Return what `sign_go` would refuse, in its order."""
    if stored.state is not State.DECIDING:
        return _from_here(stored, Event.DECIDE)
    if stored.decision is None or stored.decision_outcome is None:
        return nothing_fixed(stored).reasons
    decider = deciding_role(connection, instance.workspace, stored, actor, frozenset(Role(one.role) for one in signed))
    if isinstance(decider, Refusal) or stored.decision_outcome is Judgement.GO:
        return _reasons(decider)
    return not_go(stored.decision_outcome.value).reasons


def _against_extending(
    connection: Connection, instance: Instance, stored: StoredRollout, actor: Principal
) -> tuple[Reason, ...]:
    legal = _from_here(stored, Event.EXTEND)
    return legal or _reasons(deciding_role(connection, instance.workspace, stored, actor, frozenset()))


def _reasons(found: Role | Refusal | None) -> tuple[Reason, ...]:
    return found.reasons if isinstance(found, Refusal) else ()


def _from_here(stored: StoredRollout, event: Event) -> tuple[Reason, ...]:
    """Return why the machine would not do this from where the rollout stands."""
    found = transition(stored.state, event, Actor.PERSON)
    return found.reasons if isinstance(found, Refusal) else ()
