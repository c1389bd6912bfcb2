"""`pilotage mitigation change`: another owner or another day for a mitigation that is not closed, with the reason.

Rule: whoever opens or closes mitigations changes them; its owner alone only names an earlier day, and who ever put it
off, as the ledger says, does not become its owner. Row and ledger entry commit together. Fail mode: a Refusal with
every reason; nothing changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from pilotage.control.declared_person import person_problem
from pilotage.control.instance import Instance
from pilotage.control.mitigate import day_of, open_one, owner_problems
from pilotage.control.record_entry import record
from pilotage.control.typed_text import checked_text
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.evaluation.mitigation import Mitigation, change_problems, taker_problem
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.ledger_said import Said, said_about
from pilotage.store.mitigations import change_mitigation as write_change

_DAYS: Final = frozenset({EntryKind.EVALUATION_MITIGATION_OPENED, EntryKind.EVALUATION_MITIGATION_CHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class MitigationChange:
    """Who does it by when from now on, and why; None leaves one as it is. `due` is YYYY-MM-DD."""

    reason: str
    owner: str | None = None
    due: str | None = None


def change_mitigation(
    instance: Instance, *, actor: Principal, name: str, change: MitigationChange
) -> Mitigation | Refusal:
    """Give a mitigation another owner or day."""
    checked_text(change.reason, "reason")
    refusal = may(actor.roles, Action.MITIGATE)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        one, now = open_one(instance, connection, name), instance.clock.now()
        owner = one.owner if change.owner is None else PersonId(change.owner)
        due = one.due if change.due is None else day_of(change.due)
        nobody = person_problem(actor, "changes a mitigation")
        person = PersonId(str(actor.person))
        taker = taker_problem(one, owner, postponers(said_about(connection, [one.id]).get(one.id, ())))
        reasons = (
            *(() if nobody is None else (nobody,)),
            *owner_problems(instance, owner),
            *change_problems(one, person, owner=owner, due=due, reason=change.reason, today=now.date()),
            *(() if taker is None else (taker,)),
        )
        if reasons:
            return Refusal(reasons=reasons)
        write_change(connection, one.id, owner=owner, due=due)
        record(
            connection,
            EntryKind.EVALUATION_MITIGATION_CHANGED,
            actor=actor,
            at=now,
            subject=one.id,
            data={"due": due.isoformat()},
            opened={"owner": owner, "person": person, "reason": change.reason.strip()},
        )
        return replace(one, owner=owner, due=due)


def postponers(said: Iterable[Said]) -> frozenset[PersonId | None]:
    """Return who gave a mitigation a later day, by its entries in ledger order; None where an entry names nobody."""
    days = [(str(one.data["due"]), one.opened.get("person")) for one in said if one.kind in _DAYS]
    later = [person for (before, _), (due, person) in pairwise(days) if due > before]
    return frozenset(None if person is None else PersonId(person) for person in later)
