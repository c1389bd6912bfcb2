"""`pilotage golden accept | reject`: a steward decides about a candidate (evaluation.md 2.6).

Rule: who may decide stands in `golden_people`. The row, the line of the file and the ledger entry come together: the
line is written last, inside the transaction. Fail mode: a Refusal, or every mistake of the row as `file:line`; nothing
is written. A line whose transaction was lost is found again and not doubled; another decision than the one that wrote
it has to remove it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.adapters.files import put_file
from pilotage.control.golden_candidates import known_workflow, persona_now
from pilotage.control.golden_folder import GoldenFolder, file_name, open_folder, require_no_line
from pilotage.control.golden_people import may_decide
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import Conflict, NotFound, UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.candidate import TAKEN_DOWN, Candidate, CandidateState, Origin
from pilotage.evaluation.digests import row_digest
from pilotage.evaluation.imports.record import identity_of
from pilotage.guard.redact import took_out
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.golden_candidates import (
    UNDECIDED,
    decide_candidate,
    find_candidate,
    lock_golden,
    unblock_candidate,
)
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the steward adds to the row: the file it joins (None: the only release file), and what code can check."""

    golden: str | None = None
    facts: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()
    refuse: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that stands. `case` and `golden` are empty for a rejection."""

    candidate: str
    state: CandidateState
    case: str = ""
    golden: str = ""


def accept_candidate(
    instance: Instance, *, actor: Principal, identifier: str, acceptance: Acceptance, redact: Callable[[str], str]
) -> Decided | Refusal:
    """Make a candidate a case: its line in the golden file, its row, its ledger entry."""
    _check_words(acceptance, redact)
    with instance.engine.begin() as connection:
        candidate = _undecided(connection, identifier)
        workflow = known_workflow(instance, candidate.workflow)
        folder = open_folder(instance, workflow)
        name = file_name(folder, acceptance.golden)
        refusal = may_decide(instance, connection, actor, candidate, folder.stewards(name))
        if refusal is not None:
            return refusal
        if candidate.state is CandidateState.BLOCKED:
            gone = candidate.blocked_by == TAKEN_DOWN
            persona = None if gone else persona_now(connection, workflow, candidate)
            if persona is None:
                return Refusal(reasons=(_blocked(candidate),))
            candidate = unblock_candidate(connection, candidate, asker=persona)
        row = _row(candidate, acceptance, actor)
        _check_row(row, candidate, redact)
        rows, case = _joined(folder, name, candidate, row, workflow)
        decided = Decided(candidate=candidate.id, state=CandidateState.ACCEPTED, case=case.id, golden=name)
        _decide(instance, connection, actor, candidate, decided, reason=acceptance.reason, row=row_digest(case))
        if rows is not None:
            put_file(folder.path / f"{name}.jsonl", rows)
    return decided


def reject_candidate(instance: Instance, *, actor: Principal, identifier: str, reason: str) -> Decided | Refusal:
    """Decide that a candidate is no case, and say why."""
    if not reason.strip():
        raise UsageError("REASON_MISSING", "A rejection needs a reason.", hint="Write --reason TEXT.")
    with instance.engine.begin() as connection:
        candidate = _undecided(connection, identifier)
        folder = open_folder(instance, known_workflow(instance, candidate.workflow))
        refusal = may_decide(instance, connection, actor, candidate, folder.stewards())
        if refusal is not None:
            return refusal
        require_no_line(folder, candidate)
        decided = Decided(candidate=candidate.id, state=CandidateState.REJECTED)
        _decide(instance, connection, actor, candidate, decided, reason=reason, row="")
    return decided


def _undecided(connection: Connection, identifier: str) -> Candidate:
    """Return a candidate that waits, locked: its workflow first and then its row, as feedback does."""
    seen = find_candidate(connection, identifier)
    if seen is not None:
        lock_golden(connection, seen.workflow)
    found = None if seen is None else find_candidate(connection, identifier, lock=True)
    if found is None:
        message = f"There is no candidate {identifier[:40]!r}."
        raise NotFound("CANDIDATE_UNKNOWN", message, hint="See `pilotage golden candidates`.")
    if found.state not in UNDECIDED:
        message = f"The candidate {identifier} is {found.state.value}; a decision stands."
        raise Conflict("CANDIDATE_DECIDED", message, hint="Change its case in the golden file, if it has one.")
    return found


def _check_words(acceptance: Acceptance, redact: Callable[[str], str]) -> None:
    for text in (*acceptance.facts, *acceptance.citations, acceptance.reason):
        if redact(text) != text:
            message = "What you wrote holds personal data or hidden characters, which no golden set may hold."
            raise UsageError("CASE_HOLDS_PERSON", message, hint="Write the fact without names, numbers and addresses.")


def _check_row(row: Mapping[str, Json], candidate: Candidate, redact: Callable[[str], str]) -> None:
    """Refuse a row that holds personal data in any text or name of it; an id that we made ourselves is none."""
    made = {identity_of(candidate.question)}
    if candidate.origin is Origin.FEEDBACK:
        made |= {f"feedback-{candidate.id.lower()}", *candidate.sources}
    for text in _texts({name: value for name, value in row.items() if name != "provenance"}):
        if text not in made and took_out(redact(text)):
            message = f"The candidate {candidate.id} holds personal data, which no golden set may hold."
            raise UsageError("CASE_HOLDS_PERSON", message, hint="Reject it, and bring it again without.")


def _texts(value: Json) -> Iterator[str]:
    """Yield every text in a value, names of mappings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _texts(one)


def _blocked(candidate: Candidate) -> Reason:
    text = (
        "Its words quoted a document that was taken down, and are gone. Reject the candidate."
        if candidate.blocked_by == TAKEN_DOWN
        else "No persona may see exactly what the asker saw, so the case would ask something else. "
        "Declare such a persona in evaluation.yaml, then accept again; or reject the candidate."
    )
    return Reason(code=candidate.blocked_by.upper(), text=text, where=candidate.id)


def _row(candidate: Candidate, acceptance: Acceptance, actor: Principal) -> dict[str, Json]:
    row = dict(candidate.row)
    before = row.get("expect")
    expect: dict[str, Json] = dict(before) if isinstance(before, Mapping) else {}
    for key, added in (("facts", acceptance.facts), ("citations", acceptance.citations)):
        held = expect.get(key)
        if added:
            expect[key] = [*(held if isinstance(held, Sequence) and not isinstance(held, str) else ()), *added]
    if acceptance.refuse:
        expect["refuse"] = True
    origin = row.get("provenance")
    provenance: dict[str, Json] = dict(origin) if isinstance(origin, Mapping) else {}
    return {**row, "expect": expect, "provenance": {**provenance, "reviewer": str(actor.person or actor.id)}}


def _joined(
    folder: GoldenFolder, name: str, candidate: Candidate, row: Mapping[str, Json], workflow: Workflow
) -> tuple[bytes | None, GoldenCase]:
    """Return the file with the new line, and its case; None when the line is in it already."""
    line = canonical_bytes(row, form=Form.PLAIN)
    require_no_line(folder, candidate, but=(name, line))
    before = folder.files[name][0]
    is_there = line in before.split(b"\n")
    rows = before if is_there else before + (b"" if not before or before.endswith(b"\n") else b"\n") + line + b"\n"
    files = {**folder.golden, name: folder.joined(name, rows)}
    same = [case for one in files.values() for case in one.cases if case.id == row["id"]]
    if len(same) > 1:
        message = f"The workflow has a case {row['id']!r} already."
        raise Conflict("CASE_EXISTS", message, hint="Reject the candidate, or rename the other case.")
    [case] = same
    if case.asker not in workflow.evaluation.personas:
        known = ", ".join(sorted(workflow.evaluation.personas)) or "none"
        message = f"The case asks as {case.asker!r}, which is no persona of evaluation.yaml."
        raise UsageError("PERSONA_UNKNOWN", message, hint=f"Declare it, or import again as one of: {known}.")
    return (None if is_there else rows), case


def _decide(  # noqa: PLR0913 - one decision, everywhere it is written
    instance: Instance,
    connection: Connection,
    actor: Principal,
    candidate: Candidate,
    decided: Decided,
    *,
    reason: str,
    row: str,
) -> None:
    now = instance.clock.now()
    by = pseudonym_of(connection, actor.id)
    decide_candidate(
        connection, candidate.id, decided.state, by=by, at=now, reason=reason.strip(), golden=decided.golden
    )
    data: dict[str, Json] = {
        "decision": decided.state.value,
        "workflow": candidate.workflow,
        "origin": candidate.origin.value,
        "case": decided.case,
        "golden": decided.golden,
        "row": row,
    }
    record(connection, EntryKind.EVALUATION_CASE_DECIDED, actor=by, at=now, subject=candidate.id, data=data)
