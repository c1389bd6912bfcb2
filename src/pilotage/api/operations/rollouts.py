"""`/api/v1/rollouts` and `/api/v1/rollbacks`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.decide_rollout import extend_step, release_hold, sign_go
from pilotage.control.excuse_window import ExcuseRequest, excuse_window
from pilotage.control.follow_rollback import rollback_json
from pilotage.control.overrule_rollout import overrule_rollout
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.read_pairs import read_pairs
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.rollout_status import list_status, rollout_status, summary
from pilotage.control.start_rollout import StartRequest, start_rollout
from pilotage.core.reason import Refusal
from pilotage.store.rollouts import RolloutFilter, StoredRollout


class Starting(Body):
    """What starts where. `accepted`: start although a step is unlikely to prove its limits."""

    release: str
    space: str
    plan: str | None = None
    accepted: bool = False
    per_day: float | None = None


class ListingRollouts(Body):
    """Only this workflow's, or those with a wave in this space. `page`: the key that the page before ended with."""

    workflow: str | None = None
    space: str | None = None
    page: str | None = None


class ReadingPairs(Body):
    """Only pairs with this result for the candidate: worse, better, tie; at most so many."""

    result: str | None = None
    most: int = 50


class Noting(Body):
    """Why; kept with the decision."""

    note: str = ""


class Pausing(Body):
    """`zero` also sends everybody back to stable until it is resumed."""

    zero: bool = False
    note: str = ""


class Going(Body):
    """`verdict` is the digest the signer read; refused when another is to be decided about."""

    verdict: str


class Extending(Body):
    """How many seconds more, and why."""

    seconds: int
    note: str


class Overruling(Body):
    """The risk acceptance, exactly these texts; the second person sends the same ones."""

    verdict: str
    release: str
    space: str
    step: str
    bound: str
    owner: str
    severity: str
    reason: str
    expires_at: str


class Excusing(Body):
    """A window that counts for neither arm, the incident that says so, and why; the second person sends the same one.

    `space` null: where the rollout stands.
    """

    start: Annotated[datetime, msgspec.Meta(tz=True)]
    end: Annotated[datetime, msgspec.Meta(tz=True)]
    incident: str
    reason: str
    space: str | None = None


class RollingBack(Body):
    """The workflow, one space or every one, and why.

    `to`: an earlier release of these spaces, instead of the last; after a rollback that failed also `maintenance`.
    """

    workflow: str
    reason: str
    space: str | None = None
    to: str | None = None


def _start(call: Call) -> Result:
    asked: Starting = call.fields
    request = StartRequest(
        release=asked.release, space=asked.space, plan=asked.plan, accepted=asked.accepted, per_day=asked.per_day
    )
    done = start_rollout(call.instance, call.services.ports, actor=call.actor, request=request)
    if isinstance(done, Refusal):
        return done
    return {**summary(done.rollout), "preflight": done.foresight.as_json()}


def _list(call: Call) -> Result:
    asked: ListingRollouts = call.fields
    return list_status(call.instance, RolloutFilter(workflow=asked.workflow, space=asked.space, before=asked.page))


def _show(call: Call) -> Result:
    return rollout_status(call.instance, call.params["rollout"])


def _pairs(call: Call) -> Result:
    asked: ReadingPairs = call.fields
    done = read_pairs(
        call.instance, actor=call.actor, rollout=call.params["rollout"], result=asked.result, most=asked.most
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _moved(done: StoredRollout | Refusal) -> Result:
    return done if isinstance(done, Refusal) else summary(done)


def _pause(call: Call) -> Result:
    rollout, asked = call.params["rollout"], call.fields
    return _moved(pause_rollout(call.instance, actor=call.actor, rollout=rollout, zero=asked.zero, note=asked.note))


def _resume(call: Call) -> Result:
    rollout = call.params["rollout"]
    return _moved(
        resume_rollout(call.instance, call.services.ports, actor=call.actor, rollout=rollout, note=call.fields.note)
    )


def _go(call: Call) -> Result:
    rollout = call.params["rollout"]
    return _moved(
        sign_go(call.instance, call.services.ports, actor=call.actor, rollout=rollout, verdict=call.fields.verdict)
    )


def _abort(call: Call) -> Result:
    return _moved(abort_rollout(call.instance, actor=call.actor, rollout=call.params["rollout"], note=call.fields.note))


def _extend(call: Call) -> Result:
    rollout, asked = call.params["rollout"], call.fields
    return _moved(extend_step(call.instance, actor=call.actor, rollout=rollout, seconds=asked.seconds, note=asked.note))


def _release(call: Call) -> Result:
    rollout = call.params["rollout"]
    return _moved(
        release_hold(call.instance, call.services.ports, actor=call.actor, rollout=rollout, note=call.fields.note)
    )


def _overrule(call: Call) -> Result:
    acceptance = msgspec.to_builtins(call.fields)
    done = overrule_rollout(
        call.instance, call.services.ports, actor=call.actor, rollout=call.params["rollout"], acceptance=acceptance
    )
    if isinstance(done, Refusal):
        return done
    waits = {"waits_for": "a second person"} if done.waits else {}
    return {**summary(done.rollout), **waits}


def _excuse(call: Call) -> Result:
    asked: Excusing = call.fields
    request = ExcuseRequest(
        start=asked.start, end=asked.end, incident=asked.incident, reason=asked.reason, space=asked.space
    )
    done = excuse_window(call.instance, actor=call.actor, rollout=call.params["rollout"], request=request)
    return done if isinstance(done, Refusal) else done.as_json()


def _roll_back(call: Call) -> Result:
    asked: RollingBack = call.fields
    request = RollbackRequest(workflow=asked.workflow, reason=asked.reason, space=asked.space, to=asked.to)
    done = roll_back(call.instance, actor=call.actor, request=request)
    return done if isinstance(done, Refusal) else {"rollbacks": [rollback_json(one) for one in done]}


_ROLLOUT = "/rollouts/{rollout}"
OPERATIONS = (
    Operation(
        method="GET",
        path="/rollouts",
        command="rollout status",
        variant="all",
        summary="List rollouts",
        gives="A page of rollouts, newest first, and the key of the next.",
        run=_list,
        takes=ListingRollouts,
    ),
    Operation(
        method="POST",
        path="/rollouts",
        command="rollout start",
        summary="Say what the traffic can prove, then start",
        gives="The rollout with its preflight.",
        run=_start,
        takes=Starting,
    ),
    Operation(
        method="GET",
        path=_ROLLOUT,
        command="rollout status",
        summary="Show one rollout with the verdict's numbers",
        gives="State, verdict, waves and, after a rollback, its measured seconds.",
        run=_show,
    ),
    Operation(
        method="GET",
        path=f"{_ROLLOUT}/pairs",
        command="rollout pairs",
        summary="Read what shadow and replay kept of a rollout",
        gives="Question and both answers, redacted, of pairs of which the reader may read every document.",
        run=_pairs,
        takes=ReadingPairs,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/pause",
        command="rollout pause",
        summary="Stop a rollout where it stands",
        gives="The rollout.",
        run=_pause,
        takes=Pausing,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/resumption",
        command="rollout resume",
        summary="Go on where the pause began",
        gives="The rollout.",
        run=_resume,
        takes=Noting,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/signatures",
        command="rollout go",
        summary="Sign the verdict of a step",
        gives="The rollout.",
        run=_go,
        takes=Going,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/abort",
        command="rollout abort",
        summary="Abort, and take the release back when askers may have met it",
        gives="The rollout.",
        run=_abort,
        takes=Noting,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/extensions",
        command="rollout extend",
        summary="Give a step more time",
        gives="The rollout.",
        run=_extend,
        takes=Extending,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/overrules",
        command="rollout overrule",
        summary="Accept a risk that the statistic did not clear, as one of two persons",
        gives="The rollout, and whether a second person has to sign the same acceptance.",
        run=_overrule,
        takes=Overruling,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/excuses",
        command="rollout excuse",
        summary="Leave a window out for both arms, as one of two persons",
        gives="The window, whether it is excused or waits for a second person, and the attempt GO is judged as.",
        run=_excuse,
        takes=Excusing,
    ),
    Operation(
        method="POST",
        path=f"{_ROLLOUT}/release",
        command="rollout release",
        summary="Let a held rollout observe again",
        gives="The rollout.",
        run=_release,
        takes=Noting,
    ),
    Operation(
        method="POST",
        path="/rollbacks",
        command="rollback",
        summary="Go back to the release before",
        gives="One rollback per space, under way; follow them with their rollout.",
        run=_roll_back,
        takes=RollingBack,
    ),
)
