"""What a reader may compare a file with: people, licences, sections and volumes, and evidence that is current.

Rule: a pass counts for a critical path where it is at least as trusted as the file, a failure whoever brings it. Fail
mode: a path nobody proved is not covered; it stays declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from glob import escape

from pilotage.core.ids import SpaceName
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence, ReadContext
from pilotage.evidence.superseding import current_items
from pilotage.identity.roles import Role
from pilotage.incident.duty import rota_people
from pilotage.workspace.gate import Trust
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

_GITHUB = "github|"
_TAG = "golden-tag|"
OPERATORS = (Role.OPERATIONS_MANAGER, Role.SUPPORT_ENGINEER, Role.ON_CALL)
"""Roles that run the service, whose people must be trained (gates.md 2.7)."""

REQUIRED_SECTIONS: dict[str, tuple[str, ...]] = {
    "architecture": ("Purpose", "Components", "Data flow"),
    "model-card": ("Owners", "Intended use", "Metrics", "Limitations"),
    "risk-assessment": ("Scope", "Method", "Result"),
    "incident-response": ("Severities", "Roles", "Communication"),
    "rollback-procedure": ("When", "Who", "Steps"),
}
REQUIRED_COMMAND = {"rollback-procedure": "rollback", "runbook": ""}
"""What a document's `pilotage` blocks must call; empty: anything, so that its steps can be carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a file is about: its kind, trust and space, who made the release, when the file came, and what is there.

    `current` is all evidence about the release; `tags` are those of its sealed golden cases, by case id.
    """

    kind: str
    received_at: datetime
    trust: Trust = Trust.CLAIMED
    space: SpaceName | None = None
    authors: frozenset[str] = frozenset()
    current: tuple[Evidence, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_context(workspace: Workspace, workflow: Workflow, about: About) -> ReadContext:
    """Return the context for one file; current tests and cases give critical paths their passed and failed ones."""
    people = {email.lower(): str(person.id) for person in workspace.people.values() for email in person.emails}
    people |= {str(person): str(person) for person in workspace.people}
    people |= {
        account.removeprefix(_GITHUB).lower(): str(person.id)
        for person in workspace.people.values()
        for account in person.accounts
        if account.startswith(_GITHUB)
    }
    now = about.received_at
    fresh = [
        item
        for item in current_items(about.current, now)
        if age_of(item, now) <= window_of(item.kind) and changed_reason(item) is None
    ]
    return ReadContext(
        must_include=workflow.must_include,
        critical_paths={
            path.id: ((*path.tests, *(escape(_TAG + tag) for tag in path.cases)), path.files)
            for path in workflow.critical_paths
        },
        denied_licences=workspace.denied_licences,
        people=people,
        profile_requests=_profile(fresh, about.space),
        required_sections=_sections(about.kind),
        required_command=REQUIRED_COMMAND.get(about.kind.removeprefix("document.")),
        required_people=operators(workspace, workflow),
        passed_tests=tuple(
            _named("passed", (item for item in fresh if item.trust.rank >= about.trust.rank), about.tags)
        ),
        failed_tests=tuple(_named("failed", fresh, about.tags)),
        authors=about.authors,
        received_at=now,
        integrations=frozenset(one.id for one in workflow.integrations),
    )


def _named(outcome: str, items: Iterable[Evidence], tags: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the tests with this outcome, and the tags of the golden cases with it."""
    for item in items:
        if item.kind.startswith("tests."):
            yield from item.names.get(f"{outcome}_tests", ())
        elif item.kind == "evaluation":
            yield from (_TAG + tag for case in item.names.get(f"{outcome}_cases", ()) for tag in tags.get(case, ()))


def _profile(items: Iterable[Evidence], space: SpaceName | None) -> int | None:
    """Return the requests of the largest expected load in the space: what a stress load is held against."""
    found = [item.claims["requests"] for item in items if (item.kind, item.space) == ("load.expected", space)]
    return int(max(found)) if found else None


def operators(workspace: Workspace, workflow: Workflow) -> frozenset[str]:
    """Return who must be trained: the workflow's on-call rota, and whoever holds a role that runs the service."""
    rota = workspace.operations.rotas.get(workflow.on_call)
    on_call = () if rota is None else rota_people(rota)
    return frozenset(
        str(who) for who in (*on_call, *(one for role in OPERATORS for one in workspace.roster.get(role, ())))
    )


def _sections(kind: str) -> tuple[str, ...]:
    return REQUIRED_SECTIONS.get(kind.removeprefix("document."), ()) if kind.startswith("document.") else ()
