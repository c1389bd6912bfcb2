"""Every transition of a rollout as a table: sources, target, who may cause it, what is recorded, who hears of it.

The numbers are those of rollouts.md 7.2. Rule: what is not in the table is refused as ILLEGAL_TRANSITION, for every
actor. Fail mode: a Refusal that names the state and what could be done instead; the state is unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.reason import Reason, Refusal
from pilotage.rollout.states import PAUSABLE, WITH_TRAFFIC, State


class Actor(StrEnum):
    """Who causes a transition. `two_persons`: the second of two different people makes it happen."""

    PERSON = "person"
    TWO_PERSONS = "two_persons"
    ON_CALL = "on_call"
    MACHINE = "machine"


class Notify(StrEnum):
    """Who hears of it."""

    NOBODY = "nobody"
    STARTER = "starter"
    OWNER = "owner"
    ON_CALL = "on_call"
    PAGE = "page"
    DECIDERS = "deciders"
    BOARD = "board"
    STAKEHOLDERS = "stakeholders"
    WAR_ROOM = "war_room"


class Event(StrEnum):
    """What happens to a rollout."""

    REFUSE = "refuse"
    START_SHADOW = "start_shadow"
    START = "start"
    CONCLUDE = "conclude"
    HOLD = "hold"
    DECIDE = "decide"
    STEP = "step"
    EXTEND = "extend"
    OVERRULE = "overrule"
    RELEASE = "release"
    PAUSE = "pause"
    RESUME = "resume"
    TIME_OUT = "time_out"
    FILL = "fill"
    COMPLETE = "complete"
    ROLL_BACK = "roll_back"
    TRAFFIC_ZERO = "traffic_zero"
    VERIFY = "verify"
    FAIL = "fail"
    RETRY = "retry"
    CANCEL = "cancel"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One row of the table. `target` None: back to the state before the pause. `entry`: the ledger entry's kind."""

    number: int
    event: Event
    sources: frozenset[State]
    target: State | None
    actors: frozenset[Actor]
    entry: str
    notify: tuple[Notify, ...] = ()


def _row(
    number: int, event: Event, move: tuple[frozenset[State], State | None], by: tuple[Actor, ...], entry: str,
    *notify: Notify,
) -> Transition:  # fmt: skip
    return Transition(
        number=number, event=event, sources=move[0], target=move[1], actors=frozenset(by), entry=entry, notify=notify
    )


def _from(*states: State) -> frozenset[State]:
    return frozenset(states)


_S, _E, _N = State, Event, Notify
_PERSON, _MACHINE = (Actor.PERSON,), (Actor.MACHINE,)
_ANYBODY = tuple(Actor)

TABLE: tuple[Transition, ...] = (
    _row(2, _E.REFUSE, (_from(_S.PLANNED), _S.REFUSED), _MACHINE, "rollout.refused", _N.STARTER),
    _row(3, _E.START_SHADOW, (_from(_S.PLANNED), _S.SHADOWING), _MACHINE, "rollout.shadow_started", _N.ON_CALL),
    _row(4, _E.START, (_from(_S.PLANNED, _S.SHADOWING), _S.OBSERVING), _MACHINE, "rollout.started", _N.OWNER),
    _row(
        5,
        _E.CONCLUDE,
        (_from(_S.OBSERVING), _S.DECIDING),
        _MACHINE,
        "rollout.verdict",
        _N.DECIDERS,
        _N.OWNER,
    ),
    _row(6, _E.HOLD, (_from(_S.OBSERVING, _S.DECIDING), _S.HELD), _MACHINE, "rollout.held", _N.PAGE),
    # Deciders sign; where a step says `auto` the verdict itself decides.
    _row(7, _E.DECIDE, (_from(_S.DECIDING), _S.ADVANCING), (*_PERSON, *_MACHINE), "rollout.decided", _N.OWNER),
    _row(8, _E.STEP, (_from(_S.ADVANCING), _S.OBSERVING), _MACHINE, "rollout.step_started", _N.OWNER),
    _row(9, _E.EXTEND, (_from(_S.DECIDING), _S.OBSERVING), _PERSON, "rollout.extended", _N.OWNER),
    _row(
        10,
        _E.OVERRULE,
        (_from(_S.DECIDING, _S.HELD), _S.ADVANCING),
        (Actor.TWO_PERSONS,),
        "rollout.overruled",
        _N.BOARD,
        _N.OWNER,
    ),
    _row(11, _E.RELEASE, (_from(_S.HELD), _S.OBSERVING), _PERSON, "rollout.released", _N.ON_CALL),
    _row(12, _E.PAUSE, (PAUSABLE, _S.PAUSED), _PERSON, "rollout.paused", _N.OWNER),
    _row(13, _E.RESUME, (_from(_S.PAUSED), None), _PERSON, "rollout.resumed", _N.ON_CALL),
    _row(
        14,
        _E.TIME_OUT,
        (_from(_S.PAUSED, _S.HELD), _S.ROLLING_BACK),
        _MACHINE,
        "rollout.timed_out",
        _N.OWNER,
    ),
    _row(15, _E.FILL, (_from(_S.ADVANCING), _S.WATCHING), _MACHINE, "rollout.full", _N.STAKEHOLDERS),
    _row(16, _E.COMPLETE, (_from(_S.WATCHING), _S.COMPLETED), _MACHINE, "rollout.completed", _N.OWNER),
    _row(
        17,
        _E.ROLL_BACK,
        (WITH_TRAFFIC, _S.ROLLING_BACK),
        _ANYBODY,
        "rollback.started",
        _N.PAGE,
        _N.STAKEHOLDERS,
        _N.WAR_ROOM,
    ),
    _row(
        18,
        _E.TRAFFIC_ZERO,
        (_from(_S.ROLLING_BACK), _S.VALIDATING),
        _MACHINE,
        "rollback.traffic_zero",
        _N.WAR_ROOM,
    ),
    _row(
        19,
        _E.VERIFY,
        (_from(_S.VALIDATING), _S.ROLLED_BACK),
        _MACHINE,
        "rollback.verified",
        _N.STAKEHOLDERS,
    ),
    _row(
        20,
        _E.FAIL,
        (_from(_S.ROLLING_BACK, _S.VALIDATING), _S.ROLLBACK_FAILED),
        _MACHINE,
        "rollback.failed",
        _N.PAGE,
    ),
    _row(
        21,
        _E.RETRY,
        (_from(_S.ROLLBACK_FAILED), _S.VALIDATING),
        (Actor.ON_CALL,),
        "rollback.retried",
        _N.WAR_ROOM,
    ),
    _row(22, _E.CANCEL, (_from(_S.PLANNED, _S.SHADOWING), _S.ABORTED), _PERSON, "rollout.aborted", _N.OWNER),
    _row(23, _E.ABORT, (WITH_TRAFFIC, _S.ROLLING_BACK), _PERSON, "rollout.aborted", _N.OWNER),
)
"""All rows but the first (`- -> planned`), which makes the rollout."""

_CALLED = {
    _E.DECIDE: "decision to go on",
    _E.CANCEL: "abort",
    _E.ROLL_BACK: "rollback",
    _E.EXTEND: "extension",
    _E.OVERRULE: "overruling",
}
"""What people call an event that is no noun by itself."""

_BY_EVENT = {row.event: row for row in TABLE}


def transition(state: State, event: Event, actor: Actor) -> Transition | Refusal:
    """Return the transition, or ILLEGAL_TRANSITION with what is possible from here for this actor."""
    row = _BY_EVENT[event]
    if state in row.sources and actor in row.actors:
        return row
    able = sorted(one.event.value.replace("_", " ") for one in TABLE if state in one.sources and actor in one.actors)
    instead = f"From here: {', '.join(able)}." if able else "Nothing can be done to it any more."
    who, shown = actor.value.replace("_", " "), state.value.replace("_", " ")
    what = _CALLED.get(event, event.value.replace("_", " "))
    text = f"A rollout that is {shown} takes no {what} from a {who}. {instead}"
    limit = ", ".join(sorted(source.value for source in row.sources))
    return Refusal(reasons=(Reason(code="ILLEGAL_TRANSITION", text=text, observed=state.value, limit=limit),))


def target_of(row: Transition, before_pause: State | None) -> State:
    """Return the state a transition ends in; a resume goes back to where the pause began."""
    if row.target is not None:
        return row.target
    if before_pause is None or before_pause not in PAUSABLE:
        message = f"A pause that began in {before_pause!r} cannot be resumed."
        raise ValueError(message)
    return before_pause
