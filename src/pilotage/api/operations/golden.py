"""`/api/v1/golden`: what feedback and imports propose for golden sets, and the steward's decisions."""

from __future__ import annotations

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.golden_candidates import candidates_of
from pilotage.control.golden_import import (
    Brought,
    ExportFormat,
    ImportFormat,
    export_cases,
    import_cases,
    import_refused,
)
from pilotage.control.golden_review import Acceptance, Decided, accept_candidate, reject_candidate
from pilotage.control.golden_sets import diff_golden, lint_golden, list_leaks
from pilotage.control.sign_weakening import sign_weakening
from pilotage.core.reason import Refusal


class CandidateListing(Body):
    """Whose candidates: of every workflow unless named; decided ones instead of those that wait."""

    workflow: str | None = None
    decided: bool = False


class CaseAccepting(Body):
    """The golden file the case joins (the only one unless named), and what code can check."""

    golden: str | None = None
    facts: list[str] = msgspec.field(default_factory=list)
    citations: list[str] = msgspec.field(default_factory=list)
    refuse: bool = False
    reason: str = ""


class CaseRejecting(Body):
    """Why the candidate is no case."""

    reason: str


class WeakeningSignOff(Body):
    """Which cases may be easier than in the last approved release, and why; the reason is kept with the sign-off."""

    cases: list[str]
    reason: str


class CaseImport(Body):
    """How the uploaded file is written, and the persona that asks its cases."""

    workflow: str
    form: ImportFormat
    asker: str


class CaseExport(Body):
    """Which cases, and in which format: of every golden file unless one is named."""

    workflow: str
    form: ExportFormat
    golden: str | None = None


def _lint(call: Call) -> Result:
    return lint_golden(call.instance.workspace, call.params["workflow"]).as_json()


def _diff(call: Call) -> Result:
    return diff_golden(call.instance, call.params["digest"], call.params["other"])


def _leaks(call: Call) -> Result:
    return list_leaks(call.instance, call.params["digest"])


def _import(call: Call) -> Result:
    asked: CaseImport = call.fields
    brought = Brought(workflow=asked.workflow, form=asked.form, asker=asked.asker, data=call.data)
    return import_cases(call.instance, actor=call.actor, brought=brought, redact=call.services.redact)


def _export(call: Call) -> Result:
    asked: CaseExport = call.fields
    found = export_cases(call.instance, actor=call.actor, workflow=asked.workflow, form=asked.form, golden=asked.golden)
    if isinstance(found, Refusal):
        return found
    return {"text": found.data.decode(), "lossy": [{"case": case, "lost": what} for case, what in found.lossy]}


def _list(call: Call) -> Result:
    asked: CandidateListing = call.fields
    return candidates_of(call.instance, actor=call.actor, workflow=asked.workflow, decided=asked.decided)


def _accept(call: Call) -> Result:
    asked: CaseAccepting = call.fields
    acceptance = Acceptance(
        golden=asked.golden,
        facts=tuple(asked.facts),
        citations=tuple(asked.citations),
        refuse=asked.refuse,
        reason=asked.reason,
    )
    return _record(
        accept_candidate(
            call.instance,
            actor=call.actor,
            identifier=call.params["candidate"],
            acceptance=acceptance,
            redact=call.services.redact,
        )
    )


def _reject(call: Call) -> Result:
    identifier, reason = call.params["candidate"], call.fields.reason
    return _record(reject_candidate(call.instance, actor=call.actor, identifier=identifier, reason=reason))


def _sign_off(call: Call) -> Result:
    asked: WeakeningSignOff = call.fields
    done = sign_weakening(
        call.instance, actor=call.actor, release=call.params["digest"], cases=asked.cases, reason=asked.reason
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _record(done: Decided | Refusal) -> Result:
    if isinstance(done, Refusal):
        return done
    return {"candidate": done.candidate, "state": done.state.value, "case": done.case, "golden": done.golden}


OPERATIONS = (
    Operation(
        method="GET",
        path="/workflows/{workflow}/golden/lint",
        command="golden lint",
        summary="Check the declared golden files",
        gives="Cases by file, tags below their minimum, margins no set can show.",
        run=_lint,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/golden/diff/{other}",
        command="golden diff",
        summary="Compare the golden sets of two releases",
        gives="Cases added, removed and changed; what became easier to pass stands apart.",
        run=_diff,
    ),
    Operation(
        method="GET",
        path="/releases/{digest}/golden/leaks",
        command="golden leaks",
        summary="Find golden cases that leaked into prompt, documents or another split",
        gives="The cases, and whether there are too many to gate.",
        run=_leaks,
    ),
    Operation(
        method="GET",
        path="/golden/candidates",
        command="golden candidates",
        summary="List proposed cases",
        gives="Candidates, oldest first, redacted; nobody who asked is in them.",
        run=_list,
        takes=CandidateListing,
    ),
    Operation(
        method="POST",
        path="/golden/candidates/{candidate}/acceptance",
        command="golden accept",
        summary="Make a candidate a case",
        gives="The case and its golden file.",
        run=_accept,
        takes=CaseAccepting,
    ),
    Operation(
        method="POST",
        path="/golden/candidates/{candidate}/rejection",
        command="golden reject",
        summary="Decide that a candidate is no case",
        gives="The decision.",
        run=_reject,
        takes=CaseRejecting,
    ),
    Operation(
        method="POST",
        path="/golden/imports",
        command="golden import",
        summary="Make candidates of another tool's test cases",
        gives="The account of every case of the file: imported, converted, skipped, unsupported, lost.",
        run=_import,
        takes=CaseImport,
        uploads=import_refused,
    ),
    Operation(
        method="GET",
        path="/golden/export",
        command="golden export",
        summary="Write golden cases for another tool",
        gives="The file's text and what its format cannot hold.",
        run=_export,
        takes=CaseExport,
    ),
    Operation(
        method="POST",
        path="/releases/{digest}/golden/sign-offs",
        command="golden sign-off",
        summary="Sign off that golden cases are easier than approved",
        gives="The cases, with the approved release they were held against.",
        run=_sign_off,
        takes=WeakeningSignOff,
    ),
)
