"""`pilotage golden accept | reject`: a steward decides about a candidate (evaluation.md 2.6).

Rule: the file's steward decides, where none is named whoever may edit golden sets; never who asked or brought the
candidate, in any account, and never an author of the workflow's prompt. The row, the line of the file and the ledger
entry come together: the line is written last, inside the transaction. Fail mode: a Refusal, or every mistake of the row
as `file:line`; nothing is written. A line whose transaction was lost is found again and not doubled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from pilotage.control.golden_candidates import known_workflow, persona_now
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import Conflict, NotFound, UsageError
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.located import Problems
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.candidate import Candidate, CandidateState
from pilotage.evaluation.digests import row_digest
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.authorship import persons
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.golden_candidates import (
    UNDECIDED,
    decide_candidate,
    find_candidate,
    lock_golden,
    unblock_candidate,
)
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.releases import authors_of_parts, releases_of
from pilotage.workspace.golden import GoldenCase, GoldenFile, Purpose
from pilotage.workspace.golden_file import parse_golden
from pilotage.workspace.workflow import Workflow

UNKNOWN_AUTHOR: Final = "unknown"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    """The golden files of a workflow as they are on disk now; each with its bytes and meta."""

    path: Path
    shown: str
    files: Mapping[str, tuple[bytes, bytes | None]]

    def parse(self, name: str, rows: bytes, problems: Problems) -> GoldenFile:
        return parse_golden(name, rows, self.files[name][1], file=f"{self.shown}/{name}.jsonl", problems=problems)


def accept_candidate(
    instance: Instance, *, actor: Principal, identifier: str, acceptance: Acceptance, redact: Callable[[str], str]
) -> Decided | Refusal:
    """Make a candidate a case: its line in the golden file, its row, its ledger entry."""
    _check_words(acceptance, redact)
    with instance.engine.begin() as connection:
        candidate = _undecided(connection, identifier)
        workflow = known_workflow(instance, candidate.workflow)
        folder = _folder(instance, workflow)
        name = _file_name(folder, acceptance.golden)
        refusal = _may_decide(instance, connection, actor, candidate, _steward(folder, name))
        if refusal is not None:
            return refusal
        if candidate.state is CandidateState.BLOCKED:
            persona = persona_now(connection, workflow, candidate)
            if persona is None:
                return Refusal(reasons=(_blocked(candidate),))
            candidate = unblock_candidate(connection, candidate, asker=persona)
        line = canonical_bytes(_row(candidate, acceptance, actor), form=Form.PLAIN)
        rows, case = _joined(folder, name, line, workflow)
        decided = Decided(candidate=candidate.id, state=CandidateState.ACCEPTED, case=case.id, golden=name)
        _decide(instance, connection, actor, candidate, decided, reason=acceptance.reason, row=row_digest(case))
        if rows is not None:
            _write(folder.path / f"{name}.jsonl", rows)
    return decided


def reject_candidate(instance: Instance, *, actor: Principal, identifier: str, reason: str) -> Decided | Refusal:
    """Decide that a candidate is no case, and say why."""
    if not reason.strip():
        raise UsageError("REASON_MISSING", "A rejection needs a reason.", hint="Write --reason TEXT.")
    with instance.engine.begin() as connection:
        candidate = _undecided(connection, identifier)
        folder = _folder(instance, known_workflow(instance, candidate.workflow))
        stewards = {_steward(folder, name) for name in folder.files}
        steward = stewards.pop() if len(stewards) == 1 else None
        refusal = _may_decide(instance, connection, actor, candidate, steward)
        if refusal is not None:
            return refusal
        decided = Decided(candidate=candidate.id, state=CandidateState.REJECTED)
        _decide(instance, connection, actor, candidate, decided, reason=reason, row="")
    return decided


def _undecided(connection: Connection, identifier: str) -> Candidate:
    found = find_candidate(connection, identifier, lock=True)
    if found is None:
        message = f"There is no candidate {identifier[:40]!r}."
        raise NotFound("CANDIDATE_UNKNOWN", message, hint="See `pilotage golden candidates`.")
    lock_golden(connection, found.workflow)
    if found.state not in UNDECIDED:
        message = f"The candidate {identifier} is {found.state.value}; a decision stands."
        raise Conflict("CANDIDATE_DECIDED", message, hint="Change its case in the golden file, if it has one.")
    return found


def _check_words(acceptance: Acceptance, redact: Callable[[str], str]) -> None:
    for text in (*acceptance.facts, *acceptance.citations, acceptance.reason):
        if redact(text) != text:
            message = "What you wrote holds personal data or hidden characters, which no golden set may hold."
            raise UsageError("CASE_HOLDS_PERSON", message, hint="Write the fact without names, numbers and addresses.")


def _may_decide(
    instance: Instance, connection: Connection, actor: Principal, candidate: Candidate, steward: str | None
) -> Refusal | None:
    me = PersonId(str(actor.person or actor.id))
    reasons: list[Reason] = []
    refusal = may(actor.roles, Action.EDIT_GOLDEN)
    if steward is not None and me != steward:
        text = f"{steward} is the steward of this golden file; only they decide about its cases."
        reasons.append(Reason(code="NOT_STEWARD", text=text, observed=str(me), limit=steward))
    elif steward is None and refusal is not None:
        reasons += refusal.reasons
    if _names_of(instance, connection, actor) & set(candidate.asked_by):
        text = "You asked the question or brought the case; somebody else decides about it."
        reasons.append(Reason(code="OWN_CANDIDATE", text=text, where=candidate.id))
    authors = _prompt_authors(connection, candidate.workflow)
    if me in authors:
        text = "You are an author of this workflow's prompt; whoever writes it does not choose what it is measured by."
        reasons.append(Reason(code="PROMPT_AUTHOR", text=text, where=candidate.workflow, observed=str(me)))
    elif UNKNOWN_AUTHOR in authors:
        text = "A prompt of this workflow has an author whose address belongs to nobody here."
        hint = "Add the address to that person in pilotage.yaml and seal again."
        reasons.append(Reason(code="PROMPT_AUTHOR_UNKNOWN", text=f"{text} {hint}", where=candidate.workflow))
    return Refusal(reasons=tuple(reasons)) if reasons else None


def _names_of(instance: Instance, connection: Connection, actor: Principal) -> set[str]:
    """Return every pseudonym of a person: that of each account they have."""
    accounts = {str(actor.id)}
    declared = instance.workspace.people.get(actor.person) if actor.person is not None else None
    if declared is not None:
        accounts |= {str(local_principal_id(declared.id)), *map(str, declared.accounts)}
    return {pseudonym_of(connection, one) for one in sorted(accounts)}


def _prompt_authors(connection: Connection, workflow: WorkflowName) -> frozenset[str]:
    prompts = {
        read_manifest(one.manifest, digest=one.digest).parts[PartKind.PROMPT]
        for one in releases_of(connection, workflow)
    }
    found = authors_of_parts(connection, sorted(prompts))
    return frozenset(str(person) for authors in found.values() for person in persons(authors))


def _blocked(candidate: Candidate) -> Reason:
    text = (
        "No persona may see exactly what the asker saw, so the case would ask something else. "
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


def _folder(instance: Instance, workflow: Workflow) -> _Folder:
    shown = f"workflows/{workflow.name}/golden"
    path = instance.root / shown
    files: dict[str, tuple[bytes, bytes | None]] = {}
    for file in sorted(path.glob("*.jsonl")):
        meta = file.with_suffix(".meta.yaml")
        files[file.stem] = (file.read_bytes(), meta.read_bytes() if meta.is_file() else None)
    return _Folder(path=path, shown=shown, files=files)


def _file_name(folder: _Folder, wanted: str | None) -> str:
    problems = Problems()
    names = [
        name
        for name, (rows, _) in folder.files.items()
        if folder.parse(name, rows, problems).purpose is Purpose.RELEASE
    ]
    problems.raise_if_any()
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in folder.files:
        known = ", ".join(sorted(folder.files)) or "none"
        message = "Several golden files could hold the case." if wanted is None else f"There is no {wanted[:80]!r}."
        raise UsageError("GOLDEN_UNKNOWN", message, hint=f"Name one with --golden: {known}.")
    return wanted


def _steward(folder: _Folder, name: str) -> str | None:
    return folder.parse(name, folder.files[name][0], Problems()).steward


def _joined(folder: _Folder, name: str, line: bytes, workflow: Workflow) -> tuple[bytes | None, GoldenCase]:
    """Return the file with the new line, and its case; None when the line is in it already."""
    before = folder.files[name][0]
    is_there = line in before.split(b"\n")
    rows = before if is_there else before + (b"" if not before or before.endswith(b"\n") else b"\n") + line + b"\n"
    problems = Problems()
    parsed = folder.parse(name, rows, problems)
    problems.raise_if_any()
    case = parsed.cases[-1]
    others = {one.id for other, (held, _) in folder.files.items() if other != name
              for one in folder.parse(other, held, Problems()).cases}  # fmt: skip
    others |= {one.id for one in parsed.cases[:-1]}
    if not is_there and case.id in others:
        message = f"The workflow has a case {case.id!r} already."
        raise Conflict("CASE_EXISTS", message, hint="Reject the candidate, or rename the other case.")
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


def _write(path: Path, data: bytes) -> None:
    """Put the whole file in place in one step, so that nobody ever reads half a line."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
