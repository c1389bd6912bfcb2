"""Emergency changes, the look back at them, the confirmation after the first traffic, and decisions to take along."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.confirm_go_live import confirm_go_live
from pilotage.control.emergency_change import EmergencyRequest, declare_emergency, review_emergency
from pilotage.control.emergency_reports import emergency_report
from pilotage.control.export_decision import export_decision
from pilotage.core.canonical import parse_json
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import Half


class Declaring(Body):
    """The open incident it is for, the spaces it may enter, and why it cannot wait."""

    incident: str
    spaces: list[str]
    reason: str


class LookingBack(Body):
    """What was found, in at least ten characters."""

    notes: str


class Listing(Body):
    """One workflow; all without."""

    workflow: str | None = None


class Exporting(Body):
    """`space` for a gate that runs once per space; `half` pre or post."""

    space: str | None = None
    half: Half = Half.PRE


class Confirming(Body):
    """What was seen. `bind` is what the post half of `gate status` showed; it is refused when it moved."""

    bind: str
    comment: str = ""
    space: str | None = None


def _confirm(call: Call) -> Result:
    asked: Confirming = call.fields
    done = call.at_gate(
        confirm_go_live,
        space=asked.space,
        comment=asked.comment,
        bind=asked.bind,
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _declare(call: Call) -> Result:
    asked: Declaring = call.fields
    request = EmergencyRequest(incident=asked.incident, spaces=tuple(asked.spaces), reason=asked.reason)
    done = declare_emergency(call.instance, actor=call.actor, release=call.params["digest"], request=request)
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _review(call: Call) -> Result:
    done = review_emergency(call.instance, actor=call.actor, name=call.params["id"], notes=call.fields.notes)
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _list(call: Call) -> Result:
    return emergency_report(call.instance, workflow=call.fields.workflow).as_json()


def _export(call: Call) -> Result:
    done = call.at_gate(
        export_decision,
        space=call.fields.space,
        half=call.fields.half,
    )
    return done if isinstance(done, Refusal) else {**done.as_json(), "bundle": parse_json(done.document)}


OPERATIONS = (
    Operation(
        method="GET",
        path="/releases/{digest}/gates/{gate}/export",
        command="gate export",
        summary="Take a decision along, signed, to check and replay offline",
        gives="What it says and the bundle, which `pilotage release verify --bundle` reads from a file.",
        run=_export,
        takes=Exporting,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/gates/{gate}/confirmation",
        command="gate confirm",
        summary="Confirm the post half of go-live",
        gives="The vote and where the post half stands after it.",
        run=_confirm,
        takes=Confirming,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/emergencies",
        command="gate emergency",
        summary="Open an emergency change, or confirm the one another person opened",
        gives="The emergency: waiting for its second person, or open until its end.",
        run=_declare,
        takes=Declaring,
    ),
    Operation(
        method="POST",
        path="/emergencies/{id}/review",
        command="gate emergency-review",
        summary="Record the look back at an emergency",
        gives="The emergency with who looked back.",
        run=_review,
        takes=LookingBack,
    ),
    Operation(
        method="GET",
        path="/emergencies",
        command="gate emergencies",
        summary="List emergency changes and their rate over 90 days",
        gives="Emergencies, newest first, with what is due; and the rate with its limit.",
        run=_list,
        takes=Listing,
    ),
)
