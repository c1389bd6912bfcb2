"""What shadow and replay kept of a rollout's pairs: question and both answers, for those who review them (spec 9).

Reviewers and auditors read; each sees only pairs of which they may read every document themselves, today. Rule: each
reading leaves a ledger entry in its own transaction, with counts and no text; only an auditor learns how many pairs are
hidden. Fail mode: a Refusal without the role, NotFound for an unknown rollout; texts that were erased do not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.rollout_desk import find_named
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import UsageError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, acl_names
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.pairing import Result
from pilotage.store.pair_texts import PairReader, PairText, hidden_texts, pair_texts
from pilotage.store.pseudonyms import pseudonym_of

MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReading:
    """The pairs a person may read, those the candidate lost first. `hidden` is None for everybody but auditors."""

    rollout: str
    pairs: tuple[PairText, ...]
    hidden: int | None

    def as_json(self) -> dict[str, Json]:
        """Return the reading for command line and API."""
        shown: list[Json] = [
            {
                "label": one.label.value,
                "interaction": one.interaction,
                "result": one.result.value,
                "is_swapped": one.is_swapped,
                "question": one.question,
                "stable": one.stable,
                "candidate": one.candidate,
                "documents": list(one.documents),
                "at": to_text(one.at),
            }
            for one in self.pairs
        ]
        return {"rollout": self.rollout, "pairs": shown, "hidden": self.hidden}


def read_pairs(
    instance: Instance, *, actor: Principal, rollout: str, result: str | None = None, most: int = 50
) -> PairReading | Refusal:
    """Return the kept texts of a rollout's pairs, at most `most` of them; raise UsageError for what is no result."""
    wanted = _parsed(result)
    if not 0 < most <= MOST:
        raise UsageError("LIMIT", f"{most} pairs cannot be shown at once.", hint=f"Ask for 1 to {MOST}.")
    is_auditor = may(actor.roles, Action.AUDIT) is None
    refused = None if is_auditor else may(actor.roles, Action.TRIAGE)
    if refused is not None:
        return refused
    with instance.engine.begin() as connection:
        stored = find_named(connection, rollout)
        reader = PairReader(names=acl_names(actor), confirmed_since=_confirmed_since(instance))
        found = pair_texts(connection, stored.id, reader=reader, result=wanted, most=most)
        hidden = hidden_texts(connection, stored.id, reader=reader, result=wanted) if is_auditor else None
        record(
            connection,
            EntryKind.ROLLOUT_PAIRS_READ,
            actor=pseudonym_of(connection, actor.id),
            at=instance.clock.now(),
            subject=stored.id,
            space=stored.space,
            data={"pairs": len(found), "result": None if wanted is None else wanted.value},
        )
    return PairReading(rollout=stored.id, pairs=found, hidden=hidden)


def _confirmed_since(instance: Instance) -> dict[CorpusName, datetime]:
    now = instance.clock.now()
    found = {name: settings.confirmed_since(now) for name, settings in instance.workspace.corpora.items()}
    return {name: since for name, since in found.items() if since is not None}


def _parsed(result: str | None) -> Result | None:
    try:
        return None if result is None else Result(result)
    except ValueError as error:
        known = ", ".join(one.value for one in Result)
        raise UsageError("PAIR_RESULT", f"{result!r:.40} is no result of a pair.", hint=f"Write {known}.") from error
