"""What the machine does next with a rollout, from facts alone (rollouts.md 7.2): `next_action(facts, now)`.

Order: taking the candidate out comes first, then holding, then going on; so a trip at the moment of a decision wins.
Rule: traffic goes up only with a GO on the counts as of now, the gate holding and no freeze. Fail mode: what is unknown
(no verdict, no answer of the gate) never goes up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pilotage.analysis.verdict import Code, Effect, Judgement, Verdict
from pilotage.core.reason import Reason
from pilotage.identity.roles import Role
from pilotage.rollout.pairing import phases_of
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Event
from pilotage.rollout.validation import VALID_LIMIT, ZERO_LIMIT
from pilotage.workspace.plan import Plan, Step

DECISION_LIMIT = timedelta(hours=72)
_HOLDING = frozenset({Code.SAMPLE_RATIO.value, Code.OBSERVATION_GAP.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in its plan a rollout stands; both numbers count from 0."""

    wave: int = 0
    step: int = 0

    def of(self, plan: Plan) -> Step:
        """Return the step."""
        return plan.waves[self.wave].steps[self.step]

    def is_last_step(self, plan: Plan) -> bool:
        """Whether the wave has no further step."""
        return self.step == len(plan.waves[self.wave].steps) - 1

    def after(self, plan: Plan) -> Place | None:
        """Return the next step or the first one of the next wave; None after the last."""
        if not self.is_last_step(plan):
            return Place(wave=self.wave, step=self.step + 1)
        return Place(wave=self.wave + 1) if self.wave + 1 < len(plan.waves) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a decision may look at. None means unknown, which never goes up.

    `gate`: reasons against the gate of the next space or step, empty when it holds. `frozen`: freezes of that space.
    `incidents`: open SEV1 or SEV2 about the candidate or its space. `unfit`: the space is unhealthy, failed over or
    drifted; `unseen`: nobody knows whether it is. `trips`: hard events and guards that take out.
    `shadow_done`: the plan's shadow and replay said GO, and the critical questions passed; True without any.
    `signed`: roles that signed the decision verdict's digest; `decision`: the outcome that was fixed for signing.
    `is_loaded`: every live process of the space acknowledged a row that names both releases. `is_zero`: every live
    process acknowledged the flip or fenced itself. `unverified`: what rollouts.md 8.4 still misses, None: not looked.
    """

    state: State
    plan: Plan
    place: Place
    state_at: datetime
    step_at: datetime | None = None
    extended_s: int = 0
    preflight: tuple[Reason, ...] = ()
    is_loaded: bool = False
    shadow_done: bool = True
    verdict: Verdict | None = None
    decision: Judgement | None = None
    gate: tuple[Reason, ...] | None = None
    frozen: tuple[Reason, ...] = ()
    incidents: tuple[Reason, ...] = ()
    unfit: tuple[Reason, ...] = ()
    unseen: tuple[Reason, ...] = ()
    trips: tuple[Reason, ...] = ()
    signed: frozenset[Role] = frozenset()
    post_confirmed: bool = True
    flipped_at: datetime | None = None
    is_zero: bool = False
    unverified: tuple[Reason, ...] | None = None

    @property
    def step(self) -> Step:
        """The step it stands at."""
        return self.place.of(self.plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do now, and why."""

    event: Event
    reasons: tuple[Reason, ...] = ()


def next_action(facts: Facts, now: datetime) -> Action | None:
    """Return the one thing to do now, or None to wait."""
    if facts.state.has_traffic and (taken := _trips(facts)):
        return Action(event=Event.ROLL_BACK, reasons=taken)
    look = _LOOKS.get(facts.state)
    return None if look is None else look(facts, now)


def _trips(facts: Facts) -> tuple[Reason, ...]:
    if facts.trips:
        return facts.trips
    verdict = facts.verdict
    return verdict.reasons if verdict is not None and verdict.effect is Effect.ROLLBACK else ()


def _planned(facts: Facts, _now: datetime) -> Action | None:
    against = (*facts.preflight, *facts.frozen)
    if against:
        return Action(event=Event.REFUSE, reasons=against)
    if not _may_start(facts):
        return None
    return Action(event=Event.START_SHADOW if phases_of(facts.plan) else Event.START)


def _may_start(facts: Facts) -> bool:
    return facts.is_loaded and not facts.unfit and not facts.unseen


def _shadowing(facts: Facts, _now: datetime) -> Action | None:
    is_open = _may_start(facts) and not facts.frozen and not facts.incidents
    return Action(event=Event.START) if facts.shadow_done and is_open else None


def _observing(facts: Facts, now: datetime) -> Action | None:
    if against := _holds(facts):
        return Action(event=Event.HOLD, reasons=against)
    verdict = facts.verdict
    if verdict is None or facts.step_at is None:
        return None
    passed = now - facts.step_at
    if verdict.outcome is Judgement.GO and passed >= timedelta(seconds=facts.step.bake_s):
        return Action(event=Event.CONCLUDE, reasons=verdict.reasons)
    longest = facts.step.max_s if facts.step.max_s is not None else 2 * facts.step.bake_s
    if passed >= timedelta(seconds=longest + facts.extended_s) and verdict.outcome is Judgement.INCONCLUSIVE:
        return Action(event=Event.CONCLUDE, reasons=verdict.reasons)
    return None


def _holds(facts: Facts) -> tuple[Reason, ...]:
    found = [*facts.incidents, *facts.unfit, *(facts.gate or ())]
    verdict = facts.verdict
    if verdict is not None:
        if verdict.effect is Effect.HOLD:
            found += verdict.reasons
        else:
            found += [reason for reason in verdict.reasons if reason.code in _HOLDING]
    return tuple(found)


def _deciding(facts: Facts, now: datetime) -> Action | None:
    if against := _holds(facts):
        return Action(event=Event.HOLD, reasons=against)
    verdict = facts.verdict
    is_signed = frozenset(facts.step.decide) <= facts.signed
    if verdict is not None and verdict.outcome is Judgement.GO and facts.decision is Judgement.GO and is_signed:
        return Action(event=Event.DECIDE, reasons=verdict.reasons)
    if now - facts.state_at >= DECISION_LIMIT:
        text = "72 hours passed in deciding without a decision. Nobody said GO, so the weight is held."
        return Action(event=Event.HOLD, reasons=(Reason(code="UNDECIDED", text=text, limit="72 h"),))
    return None


def _advancing(facts: Facts, _now: datetime) -> Action | None:
    if facts.place.after(facts.plan) is None:
        return Action(event=Event.FILL) if facts.post_confirmed else None
    if facts.gate is None or standing_against(facts):
        return None
    return Action(event=Event.STEP)


def standing_against(facts: Facts) -> tuple[Reason, ...]:
    """Return why an advancing rollout waits, for status and page."""
    if facts.gate is None:
        return (Reason(code="GATE_NOT_MET", text="The gates could not be evaluated; traffic does not go up."),)
    return (*facts.gate, *facts.frozen, *facts.incidents, *facts.unfit, *facts.unseen, *_changed(facts))


def _changed(facts: Facts) -> tuple[Reason, ...]:
    """Return that the verdict is not what was decided on: a wait may have lasted for days."""
    found = None if facts.verdict is None else facts.verdict.outcome
    if found is Judgement.GO or (found is not None and found is facts.decision):
        return ()
    now = "unknown" if found is None else found.value
    fixed = "unknown" if facts.decision is None else facts.decision.value
    text = f"The verdict was {fixed} when it was decided on and is {now} on the counts as of now; the weight stays."
    return (Reason(code="STALE_VERDICT", text=text, observed=now, limit=fixed),)


def _waiting(facts: Facts, now: datetime) -> Action | None:
    if now - facts.state_at < timedelta(seconds=facts.plan.pause_limit_s):
        return None
    hours = facts.plan.pause_limit_s // 3600
    text = f"The rollout was {facts.state} for {hours} h, the plan's limit; the candidate is taken out."
    return Action(event=Event.TIME_OUT, reasons=(Reason(code="PAUSE_LIMIT", text=text, limit=f"{hours} h"),))


def _watching(facts: Facts, now: datetime) -> Action | None:
    is_over = now - facts.state_at >= timedelta(seconds=facts.plan.watch_s)
    return Action(event=Event.COMPLETE) if is_over else None


def _rolling_back(facts: Facts, now: datetime) -> Action | None:
    if facts.is_zero:
        return Action(event=Event.TRAFFIC_ZERO)
    if facts.flipped_at is not None and now - facts.flipped_at >= ZERO_LIMIT:
        text = "A process still serves the withdrawn release 300 s after the flip."
        return Action(event=Event.FAIL, reasons=(Reason(code="NOT_ZERO", text=text, limit="300 s"),))
    return None


def _validating(facts: Facts, now: datetime) -> Action | None:
    if facts.unverified == ():
        return Action(event=Event.VERIFY)
    if now - max(facts.state_at, facts.flipped_at or facts.state_at) >= VALID_LIMIT:
        reasons = facts.unverified or (Reason(code="NOT_LOOKED", text="The rollback could not be looked at."),)
        return Action(event=Event.FAIL, reasons=reasons)
    return None


_LOOKS: Mapping[State, Callable[[Facts, datetime], Action | None]] = {
    State.PLANNED: _planned,
    State.SHADOWING: _shadowing,
    State.OBSERVING: _observing,
    State.DECIDING: _deciding,
    State.ADVANCING: _advancing,
    State.PAUSED: _waiting,
    State.HELD: _waiting,
    State.WATCHING: _watching,
    State.ROLLING_BACK: _rolling_back,
    State.VALIDATING: _validating,
}
"""States that are not here wait for people, or are over."""
