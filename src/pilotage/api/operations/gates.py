"""`/api/v1/releases/{digest}/gates`: where a release stands, votes, accepted risks and what stands around them."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.accept_risk import RiskText, accept_risk
from pilotage.control.gate_duties import Handing, StandAside, confirm_fact, delegate_role, recuse, reopen_gate
from pilotage.control.gate_status import gate_status
from pilotage.control.gate_withdrawals import revoke_named
from pilotage.control.sign_gate import Ballot, sign_gate
from pilotage.core.clock import to_text
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import parse_role


class Asking(Body):
    """`space` for a gate that runs once per space; `half` pre or post."""

    space: str | None = None
    half: Half = Half.PRE


class Signing(Body):
    """A decision in a role or seat. `bind` is what `gate status` showed; it is refused when it moved."""

    role: str
    decision: str
    bind: str
    comment: str = ""
    checklist: dict[str, str] = msgspec.field(default_factory=dict)
    space: str | None = None
    half: Half = Half.PRE
    nonce: str | None = None
    delegated_from: str | None = None


class AcceptingRisk(Body):
    """The risk file's text, as YAML."""

    risk: str


class Recusing(Body):
    """Who stands in, and why."""

    role: str
    alternate: str
    reason: str


class Reopening(Body):
    """Why a new attempt, or why something ends."""

    reason: str


class Delegating(Body):
    """Who votes instead, in which role, for how many days, at which gates (all when empty)."""

    to: str
    role: str
    reason: str
    days: int = 7
    gates: list[str] = msgspec.field(default_factory=list)


class Stating(Body):
    """alert_test: a test alert arrived; test_page: a page was acknowledged."""

    kind: str


def _all(call: Call) -> Result:
    found = gate_status(call.instance, call.params["digest"], space=call.fields.space, half=call.fields.half)
    return {"gates": [one.as_json() for one in found]}


def _one(call: Call) -> Result:
    (found,) = gate_status(
        call.instance,
        call.params["digest"],
        gate=call.params["gate"],
        space=call.fields.space,
        half=call.fields.half,
    )
    return found.as_json()


def _sign(call: Call) -> Result:
    asked: Signing = call.fields
    ballot = Ballot(
        gate=call.params["gate"],
        role=asked.role,
        decision=asked.decision,
        comment=asked.comment,
        checklist=asked.checklist,
        bind=asked.bind,
        half=asked.half,
        space=asked.space,
        nonce=asked.nonce,
        delegated_from=asked.delegated_from,
        login=call.login,
    )
    done = sign_gate(call.instance, actor=call.actor, release=call.params["digest"], ballot=ballot)
    return done if isinstance(done, Refusal) else done.as_json()


def _accept_risk(call: Call) -> Result:
    done = call.at_gate(
        accept_risk,
        text=RiskText(data=call.fields.risk.encode(), login=call.login),
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _recuse(call: Call) -> Result:
    asked: Recusing = call.fields
    aside = StandAside(
        gate=call.params["gate"], role=parse_role(asked.role), alternate=asked.alternate, reason=asked.reason
    )
    refusal = recuse(call.instance, actor=call.actor, release=call.params["digest"], aside=aside)
    return refusal or {"role": asked.role, "alternate": asked.alternate}


def _reopen(call: Call) -> Result:
    done = call.at_gate(
        reopen_gate,
        reason=call.fields.reason,
    )
    return done if isinstance(done, Refusal) else {"gate": call.params["gate"], "attempt": done.number}


def _delegate(call: Call) -> Result:
    asked: Delegating = call.fields
    until = call.instance.clock.now() + timedelta(days=asked.days)
    handing = Handing(
        to=asked.to, role=parse_role(asked.role), gates=frozenset(asked.gates), until=until, reason=asked.reason
    )
    done = delegate_role(call.instance, actor=call.actor, handing=handing)
    if isinstance(done, Refusal):
        return done
    return {"delegation": done.id, "to": done.to, "role": done.role.value, "until": to_text(done.until)}


def _state(call: Call) -> Result:
    done = confirm_fact(call.instance, actor=call.actor, workflow=call.params["workflow"], kind=call.fields.kind)
    return done if isinstance(done, Refusal) else {"fact": done, "kind": call.fields.kind}


def _revoke(call: Call) -> Result:
    name = call.params["id"]
    done = revoke_named(call.instance, actor=call.actor, name=name, reason=call.fields.reason)
    return done if isinstance(done, Refusal) else {"revoked": name, "kind": done}


_GATE = "/releases/{digest}/gates/{gate}"
OPERATIONS = (
    Operation(
        method="GET",
        path="/releases/{digest}/gates",
        command="gate status",
        summary="Show every gate of a release",
        gives="Reports in the order a release passes them.",
        run=_all,
        takes=Asking,
    ),
    Operation(
        method="GET",
        path=_GATE,
        command="gate status",
        variant="one",
        summary="Show one gate of a release",
        gives="Criteria, sign-offs, what is missing, and the bind a vote would carry.",
        run=_one,
        takes=Asking,
    ),
    Operation(
        method="POST",
        path=f"{_GATE}/votes",
        command="gate sign",
        summary="Decide about a release at a gate",
        gives="The vote and where the gate stands after it.",
        run=_sign,
        takes=Signing,
    ),
    Operation(
        method="POST",
        path=f"{_GATE}/risks",
        command="gate accept-risk",
        summary="Accept a documented risk, or join its acceptance",
        gives="The acceptance, and what it still lacks.",
        run=_accept_risk,
        takes=AcceptingRisk,
    ),
    Operation(
        method="POST",
        path=f"{_GATE}/recusals",
        command="gate recuse",
        summary="Stand aside for the registered alternate",
        gives="Who stands in.",
        run=_recuse,
        takes=Recusing,
    ),
    Operation(
        method="POST",
        path=f"{_GATE}/attempts",
        command="gate reopen",
        summary="Open the next attempt after a reject",
        gives="The attempt's number.",
        run=_reopen,
        takes=Reopening,
    ),
    Operation(
        method="POST",
        path="/delegations",
        command="gate delegate",
        summary="Let another person vote in a role you hold",
        gives="The delegation.",
        run=_delegate,
        takes=Delegating,
    ),
    Operation(
        method="POST",
        path="/gate-grants/{id}/revocation",
        command="gate revoke",
        summary="End a delegation or withdraw a risk acceptance",
        gives="Which of the two it was.",
        run=_revoke,
        takes=Reopening,
    ),
    Operation(
        method="POST",
        path="/workflows/{workflow}/facts",
        command="gate fact",
        summary="State that a test alert arrived or a test page was acknowledged",
        gives="The fact.",
        run=_state,
        takes=Stating,
    ),
)
