"""A rollout as a page shows it to one person: where it stands, every verdict, and which commands are open and why not.

Rule: the permissions and states are those of the commands themselves, which check again. Fail mode: NotFound for an
unknown id; a command that may not be given comes with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_desk import find_named
from pilotage.control.rollout_people import deciding_role, may_abort, may_pause, may_resume
from pilotage.control.shadow_status import PhaseView, view_phases
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.rollout.states import BACKING_OUT, PAUSABLE, State
from pilotage.store.incidents import StoredIncident, find_incident
from pilotage.store.rollout_history import PastVerdict, verdict_history
from pilotage.store.rollout_verdicts import Signature, signatures_of
from pilotage.store.rollouts import StoredRollout, StoredStep, StoredWave, steps_of, waves_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Why each command may not be given now; empty: it may."""

    go: tuple[Reason, ...]
    pause: tuple[Reason, ...]
    resume: tuple[Reason, ...]
    abort: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """Everything a page shows of one rollout."""

    stored: StoredRollout
    waves: tuple[StoredWave, ...]
    steps: tuple[StoredStep, ...]
    history: tuple[PastVerdict, ...]
    signed: tuple[Signature, ...]
    incident: StoredIncident | None
    commands: Commands
    phases: tuple[PhaseView, ...] = ()

    @property
    def verdict(self) -> PastVerdict | None:
        """The newest verdict, None before the first."""
        return self.history[-1] if self.history else None


def view_rollout(instance: Instance, *, actor: Principal, identifier: str) -> RolloutView:
    """Return the rollout; raise NotFound for an id that names none."""
    with instance.engine.connect() as connection:
        stored = find_named(connection, identifier)
        signed = () if stored.decision is None else signatures_of(connection, stored.id, stored.decision, kind="go")
        return RolloutView(
            stored=stored,
            waves=waves_of(connection, stored.id),
            steps=steps_of(connection, stored.id),
            history=verdict_history(connection, stored.id),
            signed=signed,
            incident=None if stored.incident is None else find_incident(connection, stored.incident),
            commands=_commands(connection, instance, stored, actor, signed),
            phases=view_phases(connection, stored, instance.clock.now()),
        )


def _commands(
    connection: Connection,
    instance: Instance,
    stored: StoredRollout,
    actor: Principal,
    signed: tuple[Signature, ...],
) -> Commands:
    space = instance.workspace.spaces.get(stored.space)
    tier = "production" if space is None else space.tier.value
    if stored.state.is_over or stored.state in BACKING_OUT:
        text = f"The rollout is {stored.state.value.replace('_', ' ')}."
        over = (Reason(code="ROLLOUT_STATE", text=text, observed=stored.state.value),)
        return Commands(go=over, pause=over, resume=over, abort=over)
    decider = deciding_role(connection, stored, actor, frozenset(Role(one.role) for one in signed))
    return Commands(
        go=_needs(stored, State.DECIDING, "Nothing is to be decided now") or _reasons(decider),
        pause=_unless_pausable(stored) or _reasons(may_pause(actor, tier)),
        resume=_needs(stored, State.PAUSED, "It is not paused") or _reasons(may_resume(actor, tier)),
        abort=_reasons(may_abort(actor, tier)),
    )


def _reasons(found: Role | Refusal | None) -> tuple[Reason, ...]:
    return found.reasons if isinstance(found, Refusal) else ()


def _needs(stored: StoredRollout, state: State, words: str) -> tuple[Reason, ...]:
    if stored.state is state:
        return ()
    text = f"{words}: the rollout is {stored.state.value.replace('_', ' ')}."
    return (Reason(code="ROLLOUT_STATE", text=text, observed=stored.state.value, limit=state.value),)


def _unless_pausable(stored: StoredRollout) -> tuple[Reason, ...]:
    if stored.state in PAUSABLE:
        return ()
    text = f"A rollout that is {stored.state.value.replace('_', ' ')} cannot be paused."
    return (Reason(code="ROLLOUT_STATE", text=text, observed=stored.state.value),)
