"""`pilotage golden import | export`: cases from other tools as candidates, and golden cases for other tools.

Rule: a file is parsed and never run; every case in it is accounted for. What comes in is a candidate, redacted, asked
by the persona that was named, and decided by somebody else than who brought it. Fail mode: a UsageError for a file that
is not of its format; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from pilotage.control.golden_candidates import known_workflow
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import WorkflowName, new_ulid
from pilotage.core.located import did_you_mean
from pilotage.core.reason import Refusal
from pilotage.evaluation.candidate import Candidate, CandidateState, Origin, twin_of
from pilotage.evaluation.imports.export import (
    Exported,
    export_deepeval,
    export_mlflow,
    export_promptfoo,
    export_ragas,
)
from pilotage.evaluation.imports.promptfoo import import_promptfoo
from pilotage.evaluation.imports.record import Account, ImportedCase
from pilotage.evaluation.imports.tables import import_deepeval, import_mlflow, import_openai, import_ragas
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.golden_candidates import UNDECIDED, add_candidate, list_candidates, lock_golden
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.workspace.workflow import Workflow

MAX_IMPORTED = 10_000


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


def import_cases(
    instance: Instance, *, actor: Principal, brought: Brought, redact: Callable[[str], str]
) -> dict[str, Any] | Refusal:
    """Make candidates of a file's cases; return the account of every case in it."""
    refusal = may(actor.roles, Action.EDIT_GOLDEN)
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
    account.cases[:] = [_redacted(one, redact) for one in account.cases]
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        lock_golden(connection, workflow.name)
        by = pseudonym_of(connection, actor.id)
        added = _add(instance, connection, workflow, brought, account, by)
        data: dict[str, Json] = {
            "format": brought.form.value,
            "file": digest_of(brought.data),
            "read": account.read,
            "candidates": added,
            "skipped": len(account.skipped),
        }
        record(connection, EntryKind.EVALUATION_CASES_IMPORTED, actor=by, at=now, subject=workflow.name, data=data)
    return {"workflow": workflow.name, "format": brought.form.value, "candidates": added, **account.as_json()}


def _add(
    instance: Instance, connection: Connection, workflow: Workflow, brought: Brought, account: Account, by: str
) -> int:
    """Add one candidate for each case that nothing undecided and no golden case asks already."""
    waiting = list(list_candidates(connection, workflow.name, UNDECIDED))
    held = {(case.question, case.asker) for file in workflow.golden for case in file.cases}
    fresh: list[ImportedCase] = []
    now = instance.clock.now()
    for one in account.cases:
        row = {"as": brought.asker, **one.row}
        twin = twin_of(str(row["question"]), row["as"], waiting)
        if twin is not None or (row["question"], row["as"]) in held:
            known = "a golden case" if twin is None else f"the candidate {twin.id}"
            account.skip(str(row["id"]), f"It asks the same as {known}.")
            continue
        candidate = Candidate(
            id=new_ulid(now),
            workflow=WorkflowName(workflow.name),
            state=CandidateState.OPEN,
            origin=Origin.IMPORTED,
            row={**row, "provenance": {"origin": "imported", "source": brought.form.value, "date": f"{now:%Y-%m-%d}"}},
            sources=(f"{brought.form.value}:{row['id']}",),
            asked_by=(by,),
            at=now,
        )
        add_candidate(connection, candidate)
        waiting.append(candidate)
        fresh.append(one)
    account.cases[:] = fresh
    return len(fresh)


def _redacted(case: ImportedCase, redact: Callable[[str], str]) -> ImportedCase:
    """Return the case without personal data; what was taken out is a loss."""
    row = {name: value if name == "id" else _clean(value, redact) for name, value in case.row.items()}
    lossy = case.lossy if row == case.row else (*case.lossy, "personal data")
    return ImportedCase(row=row, lossy=lossy)


def _clean(value: Json, redact: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _clean(one, redact) for name, one in value.items()}
    return [_clean(one, redact) for one in value] if isinstance(value, list | tuple) else value


def export_cases(instance: Instance, *, workflow: str, form: ExportFormat, golden: str | None = None) -> Exported:
    """Return a workflow's golden cases in another tool's format."""
    declared = known_workflow(instance, workflow)
    files = [one for one in declared.golden if golden is None or one.name == golden]
    if not files:
        known = ", ".join(one.name for one in declared.golden) or "none"
        raise NotFound("GOLDEN_UNKNOWN", f"{workflow} has no golden file {golden!r}.", hint=f"It has {known}.")
    return _WRITERS[form]([case for one in files for case in one.cases])
