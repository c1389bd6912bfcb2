"""What was decided at the gates of a release, and when: a gate is decided anew at every look, so what held may not now.

Rule: only what the records of an event say, whatever gates, roles and people are declared today. An event records every
gate on the way in; where traffic began, the gates held whose approvals bind that space. An emergency lets in past a
gate. Fail mode: nothing recorded is nothing told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pilotage.control.explain_gates import signers
from pilotage.core.ids import SpaceName
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.gates_then import GatesThen
from pilotage.store.passed_gates import Passed

_HELD: Final = GateStatus.APPROVED
"""What a gate that lets traffic in was when traffic began without an emergency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A person's last word in a role, before the event."""

    person: str
    role: str
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a gate was when the release entered `space` or its traffic began there. `by` did that."""

    gate: str
    status: GateStatus
    space: SpaceName
    at: datetime
    by: str
    signed: Sequence[Signer] = ()
    is_traffic: bool = False
    is_emergency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Where a release went through its gates, and how far. `in_traffic`: what lets traffic in is behind it too."""

    space: SpaceName
    in_traffic: bool


def decided_gates(found: GatesThen) -> Mapping[str, Sequence[Decided]]:
    """Return what events tell of each gate: newest first and one for each space."""
    newest: dict[tuple[str, SpaceName], Decided] = {}
    for event, is_emergency in _events(found.passed):
        for one in _told(found, event, is_emergency=is_emergency):
            if not (one.is_traffic and (one.gate, one.space) in newest):  # what is on record stands
                newest[one.gate, one.space] = one
    told: dict[str, list[Decided]] = {}
    for one in sorted(newest.values(), key=lambda one: one.at, reverse=True):
        told.setdefault(one.gate, []).append(one)
    return told


def entered_spaces(events: Sequence[Passed]) -> tuple[Entered, ...]:
    """Return the spaces that a release entered through their gates; where an emergency let it in, it went past them."""
    found: dict[SpaceName, bool] = {}
    for event, is_emergency in _events(events):
        if not is_emergency:
            found[event.space] = found.get(event.space, False) or event.basis == "traffic"
    return tuple(Entered(space=space, in_traffic=in_traffic) for space, in_traffic in found.items())


def _events(events: Sequence[Passed]) -> Iterator[tuple[Passed, bool]]:
    """Yield each event, oldest first, with whether an emergency had let the release in."""
    emergencies: dict[SpaceName, bool] = {}
    for event in events:
        if event.basis != "traffic":
            emergencies[event.space] = event.basis == "emergency"
        yield event, emergencies.get(event.space, False)


def _has_approval(votes: Sequence[Mapping[str, Any]]) -> bool:
    return any(vote["decision"] == "approve" for vote in votes)


def _told(found: GatesThen, event: Passed, *, is_emergency: bool) -> Iterator[Decided]:
    is_traffic = event.basis == "traffic"
    reports = {one["gate"]: GateStatus(one["status"]) for one in event.reports}
    if is_traffic and not is_emergency:
        bound = dict.fromkeys(vote["gate"] for vote in found.votes if vote["space"] == event.space)
        reports = dict.fromkeys((name for name in bound if _has_approval(signers(found, name, event))), _HELD)
    for name, status in reports.items():
        people = signers(found, name, event)
        yield Decided(
            gate=name,
            status=status,
            space=event.space,
            at=event.at,
            by=event.by,
            signed=[Signer(person=one["person"], role=one["role"], decision=one["decision"]) for one in people],
            is_traffic=is_traffic,
            is_emergency=is_emergency,
        )
