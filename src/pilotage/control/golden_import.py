"""`pilotage golden import | export`: cases from other tools as candidates, and golden cases for other tools.

Rule: a file is parsed and never run; every case in it is accounted for. What comes in is a candidate, redacted, asked
by the persona that was named, and decided by somebody else than the declared person who brought it. Cases are compared
before the lock that feedback waits for is taken; under it only with what came in meanwhile. Fail mode: a UsageError for
a file that is not of its format; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pilotage.control.golden_candidates import known_workflow
from pilotage.control.golden_folder import GoldenFolder, open_folder
from pilotage.control.golden_people import undeclared
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import WorkflowName, new_ulid
from pilotage.core.located import did_you_mean
from pilotage.core.reason import Refusal
from pilotage.evaluation.candidate import Candidate, CandidateState, Origin
from pilotage.evaluation.imports.export import (
    Exported,
    export_deepeval,
    export_mlflow,
    export_promptfoo,
    export_ragas,
)
from pilotage.evaluation.imports.promptfoo import import_promptfoo
from pilotage.evaluation.imports.record import Account, ImportedCase, identity_of
from pilotage.evaluation.imports.tables import import_deepeval, import_mlflow, import_openai, import_ragas
from pilotage.evaluation.twins import Twins
from pilotage.guard.redact import took_out
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.golden_candidates import UNDECIDED, add_candidates, list_candidates, lock_golden
from pilotage.store.pseudonyms import pseudonym_of

MAX_IMPORTED = 5_000


class ImportFormat(StrEnum):
    """Formats that are read."""

    PROMPTFOO = "promptfoo"
    RAGAS = "ragas"
    MLFLOW = "mlflow"
    DEEPEVAL = "deepeval"
    OPENAI_EVALS = "openai-evals"


class ExportFormat(StrEnum):
    """Formats that are written."""

    PROMPTFOO = "promptfoo"
    RAGAS = "ragas"
    MLFLOW = "mlflow"
    DEEPEVAL = "deepeval"


_READERS: Mapping[ImportFormat, Callable[[bytes], Account]] = {
    ImportFormat.PROMPTFOO: import_promptfoo,
    ImportFormat.RAGAS: import_ragas,
    ImportFormat.MLFLOW: import_mlflow,
    ImportFormat.DEEPEVAL: import_deepeval,
    ImportFormat.OPENAI_EVALS: import_openai,
}
_WRITERS = {
    ExportFormat.PROMPTFOO: export_promptfoo,
    ExportFormat.RAGAS: export_ragas,
    ExportFormat.MLFLOW: export_mlflow,
    ExportFormat.DEEPEVAL: export_deepeval,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A file of cases: whose they become, how it is written, and the persona that asks what names no asker."""

    workflow: str
    form: ImportFormat
    asker: str
    data: bytes


def import_refused(actor: Principal) -> Refusal | None:
    """Return why this person or service imports no cases, whatever the file holds; asked before it is read."""
    return may(actor.roles, Action.EDIT_GOLDEN) or undeclared(actor)


def import_cases(
    instance: Instance, *, actor: Principal, brought: Brought, redact: Callable[[str], str]
) -> dict[str, Any] | Refusal:
    """Make candidates of a file's cases; return the account of every case in it."""
    refusal = import_refused(actor)
    if refusal is not None:
        return refusal
    workflow = known_workflow(instance, brought.workflow)
    personas = sorted(workflow.evaluation.personas)
    if brought.asker not in personas:
        hint = did_you_mean(brought.asker, personas, instead="Declared personas")
        raise UsageError("PERSONA_UNKNOWN", f"There is no persona {brought.asker[:80]!r} to ask as.", hint=hint)
    account = _READERS[brought.form](brought.data)
    if account.read > MAX_IMPORTED:
        message = f"The file holds {account.read:,} cases."
        raise UsageError("IMPORT_TOO_LARGE", message, hint=f"Import at most {MAX_IMPORTED:,} at a time.")
    account.cases[:] = [_asked_as(_redacted(one, redact), brought.asker, personas) for one in account.cases]
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        by = pseudonym_of(connection, actor.id)
        before = list_candidates(connection, workflow.name, UNDECIDED)
    made = _candidates(brought, account, by=by, at=now)
    made = _not_held(account, made, open_folder(instance, workflow))
    fresh = _unasked(account, made, Twins(before, made))
    with instance.engine.begin() as connection:
        lock_golden(connection, workflow.name)
        known = {one.id for one in before}
        arrived = [one for one in list_candidates(connection, workflow.name, UNDECIDED) if one.id not in known]
        fresh = _unasked(account, fresh, Twins(arrived))
        add_candidates(connection, fresh)
        data: dict[str, Json] = {
            "format": brought.form.value,
            "file": digest_of(brought.data),
            "read": account.read,
            "candidates": len(fresh),
            "skipped": len(account.skipped),
        }
        record(connection, EntryKind.EVALUATION_CASES_IMPORTED, actor=by, at=now, subject=workflow.name, data=data)
    return {"workflow": workflow.name, "format": brought.form.value, "candidates": len(fresh), **account.as_json()}


def _candidates(brought: Brought, account: Account, *, by: str, at: datetime) -> list[Candidate]:
    """Return one candidate for each case of the account, in its order."""
    origin: dict[str, Json] = {"origin": "imported", "source": brought.form.value, "date": f"{at:%Y-%m-%d}"}
    return [
        Candidate(
            id=new_ulid(at),
            workflow=WorkflowName(brought.workflow),
            state=CandidateState.OPEN,
            origin=Origin.IMPORTED,
            row={**one.row, "provenance": origin},
            sources=(f"{brought.form.value}:{one.row['id']}",),
            asked_by=(by,),
            at=at,
        )
        for one in account.cases
    ]


def _not_held(account: Account, made: Sequence[Candidate], folder: GoldenFolder) -> list[Candidate]:
    """Return the candidates that no golden case asks, by the files as they are now; account for the others."""
    held = {(case.question, case.asker) for file in folder.golden.values() for case in file.cases}
    return _kept(account, made, lambda one: "a golden case" if (one.question, one.row["as"]) in held else "")


def _unasked(account: Account, made: Sequence[Candidate], twins: Twins) -> list[Candidate]:
    """Return the candidates that nothing waiting and none of them before asks; account for the others."""

    def known(one: Candidate) -> str:
        twin = twins.find(one)
        if twin is None:
            twins.let_in(one)
            return ""
        return f"the candidate {twin.id}"

    return _kept(account, made, known)


def _kept(account: Account, made: Sequence[Candidate], known: Callable[[Candidate], str]) -> list[Candidate]:
    """Return the candidates that nothing known asks; the account keeps their cases and tells of the others."""
    kept: list[Candidate] = []
    cases: list[ImportedCase] = []
    for one, case in zip(made, account.cases, strict=True):
        already = known(one)
        if already:
            account.skip(str(one.row["id"]), f"It asks the same as {already}.")
        else:
            kept.append(one)
            cases.append(case)
    account.cases[:] = cases
    return kept


def _asked_as(case: ImportedCase, asker: str, personas: Collection[str]) -> ImportedCase:
    """Return the case with an asker of this workflow: its own when it names one, else the one that was named."""
    if case.row.get("as") in personas:
        return case
    lossy = (*case.lossy, "asker") if "as" in case.row else case.lossy
    return replace(case, row={**case.row, "as": asker}, lossy=lossy)


def _redacted(case: ImportedCase, redact: Callable[[str], str]) -> ImportedCase:
    """Return the case without personal data, its id too; what was taken out is a loss."""
    row = {name: _clean(value, redact) for name, value in case.row.items()}
    named = case.named or str(case.row["question"])
    if took_out(redact(named)) or row["id"] != case.row["id"]:
        row["id"] = identity_of(str(row["question"]))
    lossy = case.lossy if row == case.row else (*case.lossy, "personal data")
    return replace(case, row=row, lossy=lossy)


def _clean(value: Json, redact: Callable[[str], str]) -> Json:
    """Return a value with its texts redacted; an entry whose name holds personal data is left out."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _clean(one, redact) for name, one in value.items() if not took_out(redact(name))}
    return [_clean(one, redact) for one in value] if isinstance(value, list | tuple) else value


def export_cases(
    instance: Instance, *, actor: Principal, workflow: str, form: ExportFormat, golden: str | None = None
) -> Exported | Refusal:
    """Return a workflow's golden cases in another tool's format, to who works with them or audits them."""
    refusal = may(actor.roles, Action.EDIT_GOLDEN)
    if refusal is not None and not any(may(actor.roles, one) is None for one in (Action.TRIAGE, Action.AUDIT)):
        return refusal
    declared = known_workflow(instance, workflow)
    files = [one for one in declared.golden if golden is None or one.name == golden]
    if not files:
        known = ", ".join(one.name for one in declared.golden) or "none"
        raise NotFound("GOLDEN_UNKNOWN", f"{workflow} has no golden file {golden!r}.", hint=f"It has {known}.")
    return _WRITERS[form]([case for one in files for case in one.cases])
