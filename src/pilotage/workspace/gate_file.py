"""Reads `gates/*.yaml` (gates.md 3): one or several gates per file.

Rule: `all` holds `claim OP limit`, the limit a number or `@path`; `accept: never` cannot be lowered. Fail mode: an
unknown key, kind, claim, path, role, a criterion id used twice, or a weakened never criterion refuses the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from pilotage.core.fields import BOOLEAN, TEXT, Fields, Reader, choice, integer, list_of, matching, record
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.readers import SECONDS, SLUG_TEXT
from pilotage.identity.roles import DERIVED_ROLES, Role
from pilotage.workspace.evidence_kinds import (
    KINDS,
    NEVER_CLAIMS,
    NEVER_CRITERIA,
    SPACE_PATHS,
    SWITCHES,
    TARGET_METRICS,
    WORKFLOW_PATHS,
)
from pilotage.workspace.gate import (
    Accept,
    Binding,
    Board,
    BoardRule,
    Condition,
    Criterion,
    Gate,
    GateHalf,
    Operator,
    Signoff,
    Trust,
    Via,
)
from pilotage.workspace.regulation import Regulation

_CONDITION = re.compile(r"([a-z][a-z0-9_]*) *(!=|<=|>=|=|<|>) *(?:(-?[0-9]+(?:\.[0-9]+)?)|@([a-z0-9_.]+))")
_CRITERION_ID = matching(re.compile(r"[a-z0-9][a-z0-9-]{0,59}"), "a name of lower-case letters, digits and hyphens")
_DOCUMENT = SLUG_TEXT
_SWITCH = matching(re.compile("|".join(map(re.escape, sorted(SWITCHES)))), f"one of: {', '.join(sorted(SWITCHES))}")
_HALF_KEYS = ("criteria", "documents", "signoffs", "board", "ttl")


def _read_role(at: Located, problems: Problems) -> Role:
    role = choice(Role).read(at, problems)
    if role in DERIVED_ROLES:
        problems.add(at, f"The role {role.value!r} cannot sign", "Name a role that people hold.")
    return role


ROLE: Reader[Role] = Reader(read=_read_role, stand_in=lambda: Role.AUDITOR)


Regulations = Mapping[str, Regulation]


def parse_gate(fields: Fields, *, regulations: Regulations | None = None) -> Gate:
    """Read one gate; references to spaces, gates and documents are checked by the workspace as a whole."""
    name = fields.need("gate", SLUG_TEXT)
    trust = fields.need("trust", choice(Trust))
    half = partial(_half, trust=trust, regulations=regulations or {})
    halved = fields.has("pre") or fields.has("post")
    pre = fields.need("pre", record(half)) if halved else half(fields)
    gate = Gate(
        name=name,
        guards=fields.need("guards", _GUARDED),
        after=fields.get("after", list_of(_AFTER, or_one=True), ()),
        space=fields.get("space", _SPACE_NAME, None),
        trust=trust,
        binds=fields.get("binds", list_of(choice(Binding), or_one=True), ()),
        pre=pre,
        post=fields.get("post", record(half), None),
    )
    _check_never(gate, fields)
    return gate


def _referring(kind: str) -> Reader[str]:
    def read(at: Located, problems: Problems) -> str:
        name = TEXT.read(at, problems)
        if name.strip():
            problems.refer(kind, name, at)
        return name

    return Reader(read=read, stand_in=str)


_GUARDED = _referring("guarded place")
_AFTER = _referring("gate")
_SPACE_NAME = _referring("space")


def _half(fields: Fields, *, trust: Trust, regulations: Regulations) -> GateHalf:
    half = GateHalf(
        criteria=fields.get("criteria", list_of(record(partial(_criterion, trust=trust))), ()),
        documents=fields.get("documents", list_of(_DOCUMENT, or_one=True), ()),
        signoffs=fields.get("signoffs", list_of(record(partial(_signoff, regulations=regulations))), ()),
        board=fields.get("board", record(_board), None),
        ttl_s=fields.get("ttl", SECONDS, None),
        machine_within_s=fields.get("machine_within", SECONDS, None),
        confirm_within_s=fields.get("confirm_within", SECONDS, None),
    )
    ids = [criterion.id for criterion in half.criteria]
    twice = sorted({name for name in ids if name and ids.count(name) > 1})
    for name in twice:
        fields.problem("criteria", f"Two criteria have the id {name!r}", "Give each criterion an id of its own.")
    if half.board is None and any(signoff.after_board for signoff in half.signoffs):
        fields.problem(
            "signoffs", "A sign-off waits for a board and the gate has none", "Add a board, or drop after_board."
        )
    _check_regulations(half, fields)
    if not (half.criteria or half.documents or half.signoffs or half.board):
        fields.problem("criteria", "The gate asks for nothing", "Write criteria, documents, signoffs or a board.")
    return half


def _criterion(fields: Fields, *, trust: Trust) -> Criterion:
    kinds = fields.need("of", list_of(_KIND, or_one=True, at_least=1))
    conditions = fields.need("all", list_of(_CONDITION_READER, or_one=True, at_least=1))
    declared = fields.get("accept", choice(Accept), None)
    criterion = Criterion(
        id=fields.need("id", _CRITERION_ID),
        of=kinds,
        all=conditions,
        accept=declared or Accept.MEDIUM,
        trust=fields.get("trust", choice(Trust), trust),
        when=fields.get("when", _SWITCH, None),
        first_release_absolute=fields.get("first_release", _FIRST_RELEASE, default=False),
    )
    _check_claims(criterion, fields)
    never = sorted({c.claim for kind in kinds for c in conditions if c.claim in NEVER_CLAIMS.get(kind, ())})
    if never and declared not in {None, Accept.NEVER}:
        what = f"The claim {never[0]!r} may never be accepted as a risk, and accept says {declared}"
        fields.problem("accept", what, "Write accept: never, or put the claim into a criterion of its own.")
    return _forced_never(criterion) if never else criterion


def _forced_never(criterion: Criterion) -> Criterion:
    return Criterion(
        id=criterion.id,
        of=criterion.of,
        all=criterion.all,
        accept=Accept.NEVER,
        trust=criterion.trust,
        when=criterion.when,
        first_release_absolute=criterion.first_release_absolute,
    )


def _check_claims(criterion: Criterion, fields: Fields) -> None:
    for kind in criterion.of:
        known = KINDS.get(kind)
        for condition in criterion.all if known is not None else ():
            if condition.claim and condition.claim not in (known or ()):
                what = f"Evidence of kind {kind!r} has no claim {condition.claim!r}"
                fields.problem("all", what, did_you_mean(condition.claim, sorted(known or ()), instead="Known claims"))


def _read_kind(at: Located, problems: Problems) -> str:
    kind = TEXT.read(at, problems)
    if kind and kind not in KINDS:
        problems.add(
            at, f"{kind[:60]!r} is not a kind of evidence", did_you_mean(kind, sorted(KINDS), instead="Write one of")
        )
    return kind


_KIND: Reader[str] = Reader(read=_read_kind, stand_in=str)
_NO_CONDITION = Condition(claim="", operator=Operator.EQ, limit=0.0)


def _read_condition(at: Located, problems: Problems) -> Condition:
    text = TEXT.read(at, problems)
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        hint = 'Write a claim, one of = != < <= > >=, and a number or @path: "line_rate >= 0.90".'
        problems.add(at, f"{text[:80]!r} is not a condition", hint)
        return _NO_CONDITION
    if match[4] is not None:
        _check_path(match[4], at, problems)
    return Condition(
        claim=match[1],
        operator=Operator(match[2]),
        limit=float(match[3]) if match[3] is not None else None,
        path=match[4],
    )


_CONDITION_READER: Reader[Condition] = Reader(read=_read_condition, stand_in=lambda: _NO_CONDITION)


def _check_path(path: str, at: Located, problems: Problems) -> None:
    known = sorted(
        {f"workflow.{name}" for name in WORKFLOW_PATHS}
        | {f"space.{name}" for name in SPACE_PATHS}
        | {f"workflow.targets.{name}" for name in TARGET_METRICS}
    )
    if path not in known:
        problems.add(at, f"The path @{path} leads nowhere", did_you_mean(path, known, instead="Write one of"))
    else:
        problems.refer("path", path, at)


def _read_first_release(at: Located, problems: Problems) -> bool:
    if at.node != "absolute":
        problems.add(at, f"first_release cannot be {at.plain()!r}", "Write absolute, or remove the key.")
    return True


_FIRST_RELEASE: Reader[bool] = Reader(read=_read_first_release, stand_in=bool)


def _signoff(fields: Fields, *, regulations: Regulations) -> Signoff:
    return Signoff(
        role=fields.need("role", ROLE),
        count=fields.get("count", integer(1, 20), 1),
        via=fields.get("via", list_of(choice(Via), or_one=True, at_least=1), (Via.VOTE,)),
        checklist=fields.get("checklist", list_of(TEXT, or_one=True), ()),
        after_board=fields.get("after_board", BOOLEAN, default=False),
        regulations=_named_regulations(fields, regulations),
    )


def _named_regulations(fields: Fields, known: Regulations) -> tuple[Regulation, ...]:
    """Return the checklists that a sign-off names, each once."""
    names = fields.get("regulations", list_of(SLUG_TEXT, or_one=True), ())
    for name in dict.fromkeys(names):
        if name not in known:
            hint = did_you_mean(name, sorted(known), instead="Checklists of regulations/")
            fields.problem("regulations", f"There is no checklist {name!r}", hint)
    return tuple(known[name] for name in dict.fromkeys(names) if name in known)


def _check_regulations(half: GateHalf, fields: Fields) -> None:
    """Refuse an item that rests on evidence the gate does not ask for: no vote would be bound to it."""
    asked = {kind for one in half.criteria for kind in one.of if not kind.startswith("fact.")}
    asked |= {f"document.{name}" for name in half.documents}
    for regulation in dict.fromkeys(one for signoff in half.signoffs for one in signoff.regulations):
        for item in regulation.items:
            for kind in sorted(set(item.evidence) - asked):
                what = f"The item {regulation.key(item)!r} rests on {kind!r}, which the gate does not ask for"
                fields.problem("signoffs", what, "Add a criterion or a document to the gate, or name other evidence.")


def _board(fields: Fields) -> Board:
    board = Board(
        seats=fields.need("seats", list_of(ROLE, at_least=1)),
        rule=fields.need("rule", choice(BoardRule)),
        quorum=fields.need("quorum", integer(1, 50)),
        must_vote=fields.get("must_vote", list_of(ROLE, or_one=True), ()),
    )
    if len(set(board.seats)) != len(board.seats):
        fields.problem("seats", "A seat stands twice", "Write each seat once.")
    if board.quorum > len(board.seats) > 0:
        fields.problem("quorum", f"A quorum of {board.quorum} from {len(board.seats)} seats", "Write a smaller number.")
    for role in board.must_vote:
        if role not in board.seats:
            fields.problem(
                "must_vote", f"{role.value!r} must vote and has no seat", "Add the seat, or remove the name."
            )
    return board


def _check_never(gate: Gate, fields: Fields) -> None:
    """Refuse a gate of the default pipeline that lost or loosened a criterion marked never (POLICY_NEVER)."""
    criteria = {c.id: c for half in (gate.pre, gate.post) if half is not None for c in half.criteria}
    for (name, identity), wanted in NEVER_CRITERIA.items():
        if name != gate.name:
            continue
        criterion = criteria.get(identity)
        have = {str(condition) for condition in criterion.all} if criterion else set()
        missing = [text for text in wanted if text not in have]
        if missing or (criterion and criterion.accept is not Accept.NEVER):
            what = f"The gate {name!r} weakens {identity!r}, which may never be accepted as a risk (POLICY_NEVER)"
            hint = f"Keep a criterion with id: {identity}, accept: never and {'; '.join(wanted)}."
            fields.problems.add(fields.place("gate"), what, hint)
