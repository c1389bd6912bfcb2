"""`pilotage rollout overrule`: two persons accept a risk that the statistic did not clear (rollouts.md 7.3).

Each signs the same file. Rule: the first signature waits, the second one advances the rollout; both are judged
together, on the verdict as it is now. Fail mode: a Refusal with every reason; nothing was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from pilotage.analysis.counters import Counters, Metric
from pilotage.control.decide_rollout import nothing_fixed
from pilotage.control.instance import Instance
from pilotage.control.rollout_desk import Desk, at_desk
from pilotage.control.rollout_facts import Seen, read_facts
from pilotage.control.rollout_moves import Move, record_entry
from pilotage.control.rollout_people import is_author
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.canonical import Json
from pilotage.core.clock import from_text
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, grant_for
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.overrule import Acceptance, Signer, TripCounts, overrule, people_problems
from pilotage.rollout.transitions import Actor, Event, transition
from pilotage.store.rollout_verdicts import Signature, add_signature, signatures_of
from pilotage.store.rollouts import StoredRollout
from pilotage.workspace.principals import roles_of
from pilotage.workspace.records import Workspace

_FIELDS = frozenset({"verdict", "release", "space", "step", "bound", "owner", "severity", "reason", "expires_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overruled:
    """The rollout, and whether it waits for the second person."""

    rollout: StoredRollout
    waits: bool


def read_acceptance(value: Mapping[str, Any]) -> Acceptance:
    """Return the acceptance a file holds; raise UsageError that says what is missing."""
    if value.keys() != _FIELDS or not all(isinstance(one, str) for one in value.values()):
        message = f"A risk acceptance holds exactly these texts: {', '.join(sorted(_FIELDS))}."
        raise UsageError("ACCEPTANCE", message, hint="`pilotage rollout status ID` shows verdict, release and step.")
    try:
        expires_at = from_text(value["expires_at"])
    except ValueError as error:
        raise UsageError("ACCEPTANCE", f"expires_at: {error}") from error
    return Acceptance(
        verdict=Digest(value["verdict"]),
        release=Digest(value["release"]),
        owner=PersonId(value["owner"]),
        expires_at=expires_at,
        **{name: value[name] for name in ("space", "step", "bound", "severity", "reason")},
    )


def overrule_rollout(
    instance: Instance, ports: RolloutPorts, *, actor: Principal, rollout: str, acceptance: Mapping[str, Any]
) -> Overruled | Refusal:
    """Sign an acceptance; with the second person's signature the rollout advances."""
    read = read_acceptance(acceptance)
    with at_desk(instance, rollout, actor, kind=Actor.TWO_PERSONS) as desk:
        against = against_overruling(desk.connection, desk.instance.workspace, desk.rollout, actor)
        if against:
            return Refusal(reasons=against)
        seen = read_facts(desk.connection, desk.instance, ports, desk.rollout, desk.deed.at)
        fixed = seen.facts.verdict
        if fixed is None:
            return Refusal(reasons=(Reason(code="NO_VERDICT", text="There is no verdict to overrule."),))
        if desk.rollout.decision is not None and fixed.outcome is not desk.rollout.decision_outcome:
            text = f"The verdict is {fixed.outcome} on the counts as of now."
            return Refusal(reasons=(Reason(code="STALE_VERDICT", text=text, observed=fixed.outcome.value),))
        return _signed(desk, seen, read, acceptance, actor)


def _signed(
    desk: Desk, seen: Seen, read: Acceptance, plain: Mapping[str, Any], actor: Principal
) -> Overruled | Refusal:
    decision = desk.rollout.decision
    if decision is None or seen.facts.verdict is None or read.verdict != decision:
        text = f"The acceptance is for {read.verdict}; the verdict to overrule is {decision}."
        return Refusal(reasons=(Reason(code="STALE_VERDICT", text=text, observed=read.verdict, limit=decision),))
    workspace = desk.instance.workspace
    earlier = [one for one in _signatures(desk, decision) if one.acceptance == dict(plain)]
    signers = [_signer(desk.connection, workspace, desk.rollout, PersonId(one.person)) for one in earlier]
    mine = _signer(desk.connection, workspace, desk.rollout, actor.person or PersonId(actor.id))
    everybody = tuple({who.person: who for who in (*signers, mine)}.values())
    refusal = overrule(
        seen.facts.verdict,
        read,
        everybody,
        now=desk.deed.at,
        fixed=decision,
        trip_counts=_counts(seen, desk.rollout),
    )
    others = () if refusal is None else tuple(one for one in refusal.reasons if one.code not in _SECOND)
    if others:
        return Refusal(reasons=others)
    _sign(desk, decision, plain, actor)
    if len(everybody) < 2:  # the first of two waits
        return Overruled(rollout=desk.rollout, waits=True)
    if refusal is not None:
        return refusal
    overruled: list[str] = list(desk.rollout.latched)
    data: dict[str, Json] = {"verdict": decision, "severity": read.severity, "guards": list(overruled)}
    move = Move(event=Event.OVERRULE, changes={"latched": ()}, data=data)
    moved = desk.move(move)
    return moved if isinstance(moved, Refusal) else Overruled(rollout=moved, waits=False)


def against_overruling(
    connection: Connection, workspace: Workspace, stored: StoredRollout, actor: Principal
) -> tuple[Reason, ...]:
    """Return what an overrule by this person is refused for before its words are read: who they are, then when."""
    mine = _signer(connection, workspace, stored, actor.person or PersonId(actor.id))
    people = tuple(one for one in people_problems((mine,)) if one.code not in _SECOND)
    if people:
        return people
    legal = transition(stored.state, Event.OVERRULE, Actor.TWO_PERSONS)
    if isinstance(legal, Refusal):
        return legal.reasons
    return nothing_fixed(stored).reasons if stored.decision is None else ()


_SECOND = frozenset({"TWO_PERSONS", "AUTHORITY"})
"""What only the second signature can bring."""


def _signatures(desk: Desk, decision: Digest) -> tuple[Signature, ...]:
    return signatures_of(desk.connection, desk.rollout.id, decision, kind="overrule")


def _sign(desk: Desk, decision: Digest, plain: Mapping[str, Any], actor: Principal) -> None:
    signature = Signature(
        rollout=desk.rollout.id,
        verdict=decision,
        kind="overrule",
        role=",".join(sorted(role.value for role in actor.roles)),
        person=desk.deed.person,
        acceptance=dict(plain),
        at=desk.deed.at,
    )
    if add_signature(desk.connection, signature):
        data = {"verdict": decision, "role": "overrule", "workflow": desk.rollout.workflow}
        record_entry(desk.connection, desk.rollout, EntryKind.ROLLOUT_SIGNED, desk.deed, data=data)


def _signer(connection: Connection, workspace: Workspace, stored: StoredRollout, person: PersonId) -> Signer:
    roles = roles_of(workspace, person)
    return Signer(
        person=person,
        is_author=is_author(connection, stored.release, person),
        is_starter=str(person) == stored.started_by,
        authority=_authority(roles),
        may_decide=grant_for(roles, Action.DECIDE_STEP) is not None or _authority(roles) is not None,
    )


def _authority(roles: frozenset[Role]) -> str | None:
    """Return the highest severity these roles may accept."""
    able = [level for level in ("low", "medium", "high") if grant_for(roles, Action.ACCEPT_RISK, within=level)]
    return able[-1] if able else None


def _counts(seen: Seen, stored: StoredRollout) -> TripCounts:
    counters = Counters() if seen.observed is None else seen.observed.counters
    limits = stored.place.of(stored.plan).limits
    error, stalled = counters.metric(Metric.ERROR).go, counters.metric(Metric.STALLED).go
    return TripCounts(
        error=(error.n, error.x),
        stalled=(stalled.n, stalled.x),
        error_trip=limits.error_trip,
        slow=round(1.0 - limits.latency_quantile, 9),
    )
