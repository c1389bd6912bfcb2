"""`/api/v1/corpora/{name}/takedowns`: hide a document now, and what a person does about it later."""

from __future__ import annotations

from collections.abc import Callable

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.follow_takedown import (
    Follow,
    confirm_purge,
    end_hold,
    hold_takedown,
    lift_block,
    takedown_as_json,
)
from pilotage.control.take_down import TakedownRequest, take_down
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.store.takedowns import StoredTakedown


class TakingDown(Body):
    """What to take down and why. `hold` keeps the bytes, hidden: legal hold."""

    document: str
    reason: str
    wait: bool = False
    include_duplicates: bool = False
    hold: bool = False


class Following(Body):
    """The document that was taken down, and why; the reason is kept outside the ledger."""

    document: str
    reason: str


def _take_down(call: Call) -> Result:
    wanted: TakingDown = call.fields
    request = TakedownRequest(
        corpus=CorpusName(call.params["name"]),
        document=wanted.document,
        reason=wanted.reason,
        wait=wanted.wait,
        include_duplicates=wanted.include_duplicates,
        hold=wanted.hold,
    )
    done = take_down(call.instance, actor=call.actor, request=request)
    return done if isinstance(done, Refusal) else done.as_json()


def _following(act: Callable[..., StoredTakedown | Refusal]) -> Callable[[Call], Result]:
    def run(call: Call) -> Result:
        wanted: Following = call.fields
        follow = Follow(corpus=CorpusName(call.params["name"]), document=wanted.document, reason=wanted.reason)
        done = act(call.instance, actor=call.actor, follow=follow)
        return done if isinstance(done, Refusal) else takedown_as_json(done)

    return run


_TAKEDOWNS = "/corpora/{name}/takedowns"
OPERATIONS = (
    Operation(
        method="POST",
        path=_TAKEDOWNS,
        command="corpus takedown",
        summary="Hide a document from every version at once, then erase it",
        gives="Where the takedown stands, with its proof when waited for.",
        run=_take_down,
        takes=TakingDown,
    ),
    Operation(
        method="POST",
        path=f"{_TAKEDOWNS}/hold",
        command="corpus hold",
        summary="Keep the bytes of a hidden document: legal hold",
        gives="Where the takedown stands.",
        run=_following(hold_takedown),
        takes=Following,
    ),
    Operation(
        method="POST",
        path=f"{_TAKEDOWNS}/hold/end",
        command="corpus unhold",
        summary="End a legal hold; the purge goes on",
        gives="Where the takedown stands.",
        run=_following(end_hold),
        takes=Following,
    ),
    Operation(
        method="POST",
        path=f"{_TAKEDOWNS}/confirmation",
        command="corpus confirm",
        summary="Confirm that no backup or replica holds a purged document",
        gives="Where the takedown stands, with its proof.",
        run=_following(confirm_purge),
        takes=Following,
    ),
    Operation(
        method="POST",
        path=f"{_TAKEDOWNS}/lift",
        command="corpus lift",
        summary="Let the next refresh bring a document back (its steward)",
        gives="Where the takedown stands.",
        run=_following(lift_block),
        takes=Following,
    ),
)
