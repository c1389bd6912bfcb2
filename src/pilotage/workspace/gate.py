"""Gate definitions as frozen records: what must hold before a release enters a space (gates.md 3).

Rule: `accept: never` cannot be lowered by a file (gates.md 4.5). Fail mode: the parser refuses an unknown claim, kind,
role, document, gate or an `after` cycle; deciding is `gate/`'s work, with these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage.identity.roles import Role
from pilotage.workspace.regulation import Regulation


class Trust(StrEnum):
    """Who stands behind a piece of evidence, weakest first."""

    CLAIMED = "claimed"
    PUSHED = "pushed"
    ATTESTED = "attested"

    @property
    def rank(self) -> int:
        """0 for claimed to 2 for attested."""
        return _TRUST_ORDER[self]


_TRUST_ORDER: Final = {trust: place for place, trust in enumerate(Trust)}


class Accept(StrEnum):
    """The lowest authority that may accept the criterion's failure as a risk; `never` is nobody."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    NEVER = "never"


class Operator(StrEnum):
    """How a claim is compared with its limit."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Binding(StrEnum):
    """What votes bind beyond release, evidence and policy."""

    PLAN = "plan"
    SPACE_CONFIG = "space_config"
    CAB_PACK = "cab_pack"


class BoardRule(StrEnum):
    """How a board decides."""

    UNANIMOUS_OR_RISK_ACCEPTED = "unanimous_or_risk_accepted"


class Via(StrEnum):
    """How a sign-off may be given: a vote here, or an approval in the code review."""

    VOTE = "vote"
    REVIEW_CODE = "review.code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`claim OP limit`: a number, or a `path` into the workflow or the space (`workflow.sla.p95_ms`)."""

    claim: str
    operator: Operator
    limit: float | None = None
    path: str | None = None

    def __str__(self) -> str:
        """Return the condition as the file writes it."""
        right = f"@{self.path}" if self.path is not None else f"{self.limit:g}"
        return f"{self.claim} {self.operator} {right}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """Conditions over the current evidence of each kind in `of`. `when` names a workflow switch that turns it on."""

    id: str
    of: tuple[str, ...]
    all: tuple[Condition, ...]
    accept: Accept = Accept.MEDIUM
    trust: Trust
    when: str | None = None
    first_release_absolute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signoff:
    """`count` different people in the role approve, each answering the checklist and those of the regulations."""

    role: Role
    count: int = 1
    via: tuple[Via, ...] = (Via.VOTE,)
    checklist: tuple[str, ...] = ()
    after_board: bool = False
    regulations: tuple[Regulation, ...] = ()

    @property
    def questions(self) -> dict[str, tuple[str, ...]]:
        """Return every item that is answered, as answers name it, with the kinds of evidence that a yes rests on."""
        plain: dict[str, tuple[str, ...]] = dict.fromkeys(self.checklist, ())
        return plain | {one.key(item): item.evidence for one in self.regulations for item in one.items}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Seats that vote; `quorum` approvals are needed before a risk acceptance may stand in for the rest."""

    seats: tuple[Role, ...]
    rule: BoardRule
    quorum: int
    must_vote: tuple[Role, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateHalf:
    """One half of a gate: most gates have only `pre`. Times in seconds; None: no limit."""

    criteria: tuple[Criterion, ...]
    documents: tuple[str, ...] = ()
    signoffs: tuple[Signoff, ...] = ()
    board: Board | None = None
    ttl_s: int | None = None
    machine_within_s: int | None = None
    confirm_within_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate. `guards` is a space, a tier or a step; `space` the space its evidence must come from."""

    name: str
    guards: str
    after: tuple[str, ...] = ()
    space: str | None = None
    trust: Trust
    binds: tuple[Binding, ...] = ()
    pre: GateHalf
    post: GateHalf | None = None
