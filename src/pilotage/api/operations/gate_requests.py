"""What people at a gate want changed, and how its checklists of regulations stand."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.preview_vote import view_gate
from pilotage.control.request_changes import Wish, close_request, list_request_page, request_changes
from pilotage.core.reason import Refusal


class Wishing(Body):
    """What is to be changed, in at least ten characters, and the role or seat in which it is asked."""

    role: str
    change: str
    space: str | None = None


class ClosingRequest(Body):
    """Why it ends without another release."""

    reason: str


class ListingRequests(Body):
    """One gate; all without. `page`: the key that the page before ended with."""

    gate: str | None = None
    page: str | None = None


class LookingAtChecklists(Body):
    """`space` for a gate that runs once per space."""

    space: str | None = None


def _checklists(call: Call) -> Result:
    view = call.at_gate(view_gate, space=call.fields.space)
    return {"checklists": [one.as_json() for one in view.checklists]}


def _request(call: Call) -> Result:
    asked: Wishing = call.fields
    wish = Wish(gate=call.params["gate"], role=asked.role, text=asked.change, space=asked.space)
    done = request_changes(call.instance, actor=call.actor, release=call.params["digest"], wish=wish)
    return done if isinstance(done, Refusal) else done.as_json()


def _close(call: Call) -> Result:
    done = close_request(call.instance, actor=call.actor, request=call.params["id"], reason=call.fields.reason)
    return done if isinstance(done, Refusal) else done.as_json()


def _list(call: Call) -> Result:
    asked: ListingRequests = call.fields
    found = list_request_page(call.instance, release=call.params["digest"], gate=asked.gate, after=asked.page)
    return found.as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/releases/{digest}/change-requests",
        command="gate requests",
        summary="List what people at gates want changed about a release",
        gives="A page of requests, oldest first, each open, closed or answered by a newer release; the next one's key.",
        run=_list,
        takes=ListingRequests,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/gates/{gate}/change-requests",
        command="gate request-changes",
        summary="Ask the release's authors for a change",
        gives="The request. It decides nothing; the next release of other content answers it.",
        run=_request,
        takes=Wishing,
    ),
    Operation(
        method="POST",
        path="/change-requests/{id}/closure",
        command="gate close-request",
        summary="Close a request for changes that the caller made",
        gives="The request.",
        run=_close,
        takes=ClosingRequest,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/gates/{gate}/checklists",
        command="gate checklists",
        summary="Show the checklists of regulations at a gate",
        gives="Checklists with source and date; their items with evidence, and who answered how.",
        run=_checklists,
        takes=LookingAtChecklists,
    ),
)
