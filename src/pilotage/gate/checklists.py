"""How the checklists of a gate stand: each item with who answered it how, and whether its evidence is there.

Rule: an answer stands beside whoever gave it, in a vote that counts. Fail mode: an item nobody answered is open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.gate.records import GateInput, Vote
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.regulation import Regulation, RegulationItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemState:
    """One item. `answers` are the counting votes with what each says; `missing` the kinds that are not there."""

    item: RegulationItem
    answers: tuple[tuple[Vote, str], ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistState:
    """One checklist at a gate, and the role that answers it."""

    regulation: Regulation
    role: Role
    items: tuple[ItemState, ...]

    @property
    def open_items(self) -> int:
        """How many items nobody answered."""
        return sum(not one.answers for one in self.items)

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "checklist": self.regulation.name,
            "title": self.regulation.title,
            "source": self.regulation.source,
            "as_of": self.regulation.as_of,
            "role": self.role.value,
            "open": self.open_items,
            "items": [
                {
                    "item": self.regulation.key(one.item),
                    "text": one.item.text,
                    "cite": one.item.cite,
                    "evidence": list(one.item.evidence),
                    "missing": list(one.missing),
                    "answers": [
                        {"person": vote.person, "answer": answer, "at": to_text(vote.at)}
                        for vote, answer in one.answers
                    ],
                }
                for one in self.items
            ],
        }


def checklists_of(given: GateInput, report: GateReport, kinds: Collection[str]) -> tuple[ChecklistState, ...]:
    """Return the checklists that a gate's sign-offs name; `kinds` are those of the evidence that is current there."""
    counting = {(one.role, who) for one in report.signoffs for who in one.approved_by}
    votes = [
        vote
        for vote in given.votes
        if vote.attempt == report.attempt
        and vote.half is report.half
        and vote.decision is VoteDecision.APPROVE
        and (vote.role, vote.person) in counting
    ]
    return tuple(
        ChecklistState(
            regulation=regulation,
            role=signoff.role,
            items=tuple(_item(regulation, item, signoff.role, votes, kinds) for item in regulation.items),
        )
        for signoff in given.rules.signoffs
        for regulation in signoff.regulations
    )


def _item(
    regulation: Regulation, item: RegulationItem, role: Role, votes: Iterable[Vote], kinds: Collection[str]
) -> ItemState:
    key = regulation.key(item)
    newest = {vote.person: vote for vote in sorted(votes, key=lambda one: one.at) if vote.role is role}
    answers = tuple((vote, vote.checklist[key]) for vote in newest.values() if key in vote.checklist)
    return ItemState(item=item, answers=answers, missing=tuple(kind for kind in item.evidence if kind not in kinds))
