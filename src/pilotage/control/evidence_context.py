"""What a reader may compare a file with, from the declared workspace: people, licences, required sections, volumes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.evidence.records import Evidence, ReadContext
from pilotage.incident.duty import rota_people
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

_GITHUB = "github|"

REQUIRED_SECTIONS: dict[str, tuple[str, ...]] = {
    "architecture": ("Purpose", "Components", "Data flow"),
    "model-card": ("Owners", "Intended use", "Metrics", "Limitations"),
    "risk-assessment": ("Scope", "Method", "Result"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a file is about: its kind, who made the release, when the file came, and the evidence that is there."""

    kind: str
    received_at: datetime
    authors: frozenset[str] = frozenset()
    current: tuple[Evidence, ...] = ()


def read_context(workspace: Workspace, workflow: Workflow, about: About) -> ReadContext:
    """Return the context for one file; current tests give critical paths their passed and failed ones."""
    kind, current = about.kind, about.current
    people = {email.lower(): str(person.id) for person in workspace.people.values() for email in person.emails}
    people |= {str(person): str(person) for person in workspace.people}
    people |= {
        account.removeprefix(_GITHUB).lower(): str(person.id)
        for person in workspace.people.values()
        for account in person.accounts
        if account.startswith(_GITHUB)
    }
    tests = [item for item in current if item.kind.startswith("tests.")]
    expected = [item for item in current if item.kind == "load.expected"]
    rota = workspace.operations.rotas.get(workflow.on_call)
    required = frozenset() if rota is None else frozenset(str(who) for who in rota_people(rota))
    return ReadContext(
        must_include=workflow.must_include,
        critical_paths={path.id: (path.tests, path.files) for path in workflow.critical_paths if path.tests},
        denied_licences=workspace.denied_licences,
        people=people,
        profile_requests=int(expected[-1].claims["requests"])
        if expected and "requests" in expected[-1].claims
        else None,
        required_sections=_sections(kind),
        required_people=required,
        passed_tests=tuple(name for item in tests for name in item.names.get("passed_tests", ())),
        failed_tests=tuple(name for item in tests for name in item.names.get("failed_tests", ())),
        authors=about.authors,
        received_at=about.received_at,
    )


def _sections(kind: str) -> tuple[str, ...]:
    return REQUIRED_SECTIONS.get(kind.removeprefix("document."), ()) if kind.startswith("document.") else ()
