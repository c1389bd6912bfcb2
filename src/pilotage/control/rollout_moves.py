"""Moving a rollout: its new state, ledger entry and messages, inside the caller's transaction.

Rule: nothing changes a rollout but `move_rollout`, and it follows the table of transitions. Fail mode: a Refusal for
what is not in the table, LeaseLost when another writer took over; either way nothing is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Actor, Event, target_of, transition
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.rollouts import StoredRollout, save_rollout

MACHINE = "system:rollout"
_MOST_REASONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who moves it: the ledger's name, the person (empty for the machine), as what, and when. `note` is free text."""

    actor: str
    person: str = ""
    kind: Actor = Actor.MACHINE
    at: datetime
    note: str = ""


def machine_deed(at: datetime) -> Deed:
    """Return the deed of the reconciler."""
    return Deed(actor=MACHINE, at=at)


def person_deed(
    connection: Connection, actor: Principal, *, at: datetime, kind: Actor = Actor.PERSON, note: str = ""
) -> Deed:
    """Return the deed of a person."""
    return Deed(
        actor=pseudonym_of(connection, actor.id),
        person=str(actor.person or actor.id),
        kind=kind,
        at=at,
        note=note,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What happens and why. `changes` are further fields of the row, `data` further fields of the entry.

    `is_told`: an incident of the same transaction has told people of it already.
    """

    event: Event
    reasons: tuple[Reason, ...] = ()
    changes: Mapping[str, Any] | None = None
    data: Mapping[str, Json] | None = None
    is_told: bool = False


def move_rollout(
    connection: Connection, instance: Instance, stored: StoredRollout, move: Move, deed: Deed
) -> StoredRollout | Refusal:
    """Move a rollout whose row is locked and whose token is the caller's; return it as it is now."""
    row = transition(stored.state, move.event, deed.kind)
    if isinstance(row, Refusal):
        return row
    state = target_of(row, stored.state_before)
    changes = dict(move.changes or {})
    if move.event is Event.PAUSE:
        changes["state_before"] = stored.state
    after = replace(
        stored,
        state=state,
        state_at=deed.at,
        why=move.reasons,
        ended_at=deed.at if state.is_over else None,
        **changes,
    )
    save_rollout(connection, after)
    record_entry(connection, after, EntryKind(row.entry), deed, data=_data(stored.state, after, move))
    if move.is_told:
        return after
    notice = Notice(
        title=f"{after.workflow}: rollout {move.event.value.replace('_', ' ')}",
        text=_sentence(after, move.reasons),
        links={"rollout": after.id},
        facts={"workflow": after.workflow, "space": after.space, "release": after.release, "state": state.value},
    )
    send(connection, instance, row.notify, notice, at=deed.at)
    return after


def record_entry(
    connection: Connection,
    stored: StoredRollout,
    kind: EntryKind,
    deed: Deed,
    *,
    data: Mapping[str, Json],
) -> None:
    """Append one entry about a rollout; a person's words go in as a commitment."""
    opened = disclosures_of({"note": deed.note}, entropy=secrets.token_bytes) if deed.note else ()
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=kind,
        at=deed.at,
        actor=deed.actor,
        subject=stored.id,
        space=stored.space,
        data=data,
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)


def reasons_json(reasons: Iterable[Reason]) -> list[Json]:
    """Return reasons for a ledger entry: at most 20, which say what the others say."""
    listed = list(reasons)[:_MOST_REASONS]
    return [dict(reason.as_json()) for reason in listed]


def _data(before: State, after: StoredRollout, move: Move) -> dict[str, Json]:
    return {
        "workflow": after.workflow,
        "release": after.release,
        "plan": after.plan_digest,
        "from": before.value,
        "to": after.state.value,
        "wave": after.place.wave,
        "step": after.place.step,
        "fence": after.fence,
        "reasons": reasons_json(move.reasons),
        **(move.data or {}),
    }


def _sentence(after: StoredRollout, reasons: tuple[Reason, ...]) -> str:
    why = " ".join(reason.text for reason in reasons[:3])
    step = after.place.of(after.plan)
    return (
        f"Rollout {after.id} of {after.release[:19]} in {after.space}, step {step.name}: {after.state}. {why}".strip()
    )
