"""What was decided at the gates of a release, and when: a gate is decided anew at every look, so what held may not now.

Rule: only what the records of an event say. A gate that comes before an approved one held then too, as none is
approved before those it comes after; where traffic began, the gates of every production space did. An emergency lets in
past a gate: then nothing is said of those before it. Fail mode: nothing recorded is nothing told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pilotage.core.ids import SpaceName
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.passed_gates import Passed
from pilotage.workspace.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a gate was when the release entered `space` or its traffic began there. `by` did that.

    `through` is the later gate whose approval tells it; None where the gate itself is on record.
    """

    gate: str
    status: GateStatus
    space: SpaceName
    at: datetime
    by: str
    through: str | None = None
    is_traffic: bool = False
    is_emergency: bool = False


def decided_gates(events: Sequence[Passed], gates: Mapping[str, Gate]) -> Mapping[str, Sequence[Decided]]:
    """Return what events, oldest first, tell of each gate: newest first and one for each space."""
    newest: dict[tuple[str, SpaceName], Decided] = {}
    emergencies: dict[SpaceName, bool] = {}
    for event in events:
        if event.basis != "traffic":
            emergencies[event.space] = event.basis == "emergency"
        for one in _told(event, gates, is_emergency=emergencies.get(event.space, False)):
            known = newest.get((one.gate, one.space))
            if known is None or known.through is not None or one.through is None:
                newest[one.gate, one.space] = one  # a record of its own stands before what a later gate tells
    found: dict[str, list[Decided]] = {}
    for one in sorted(newest.values(), key=lambda one: one.at, reverse=True):
        found.setdefault(one.gate, []).append(one)
    return found


def _told(event: Passed, gates: Mapping[str, Gate], *, is_emergency: bool) -> Iterator[Decided]:
    """Yield what an event tells: of gates before others first, so that a gate's own record stands."""
    reports = {one["gate"]: GateStatus(one["status"]) for one in event.reports}
    is_traffic = event.basis == "traffic"
    if is_traffic and not is_emergency:
        reports = {name: GateStatus.APPROVED for name, gate in gates.items() if gate.guards == "production"}
    before = {
        earlier: name
        for name, status in reports.items()
        if status.is_approved and not is_emergency
        for earlier in _before(name, gates)
    }
    for name in (*before.keys() - reports.keys(), *reports):
        yield Decided(
            gate=name,
            status=reports.get(name, GateStatus.APPROVED),
            space=event.space,
            at=event.at,
            by=event.by,
            through=before.get(name) if name not in reports else None,
            is_traffic=is_traffic,
            is_emergency=is_emergency,
        )


def _before(name: str, gates: Mapping[str, Gate]) -> frozenset[str]:
    """Return every gate that comes before one, near and far."""
    found: set[str] = set()
    open_ = [name]
    while open_:
        gate = gates.get(open_.pop())
        new = set() if gate is None else set(gate.after) - found
        found |= new
        open_ += new
    return frozenset(found)
