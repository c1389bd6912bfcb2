"""What waits for a person: one list for the inbox and for the count in every page's header.

Rule: a task stands here exactly when its command would let this person act. Fail mode: a source that cannot be read
raises; the frame then shows the count as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.corpus_duties import may_accept
from pilotage.control.gate_case import Chain, open_chains
from pilotage.control.gate_chain import is_reached, report_of
from pilotage.control.gate_status import ordered_gates, space_for
from pilotage.control.instance import Instance
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.gate.report import SignoffResult
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.store.releases import heads_of
from pilotage.store.waiting_versions import WaitingVersion, waiting_versions
from pilotage.workspace.gate import Gate

_OPEN = frozenset({GateStatus.READY, GateStatus.IN_REVIEW, GateStatus.STALE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sentence, where it is done, since when it waits, and why it is this person's."""

    sentence: str
    path: str
    since: datetime
    why: str
    minutes: int


def tasks_of(connection: Connection, instance: Instance, actor: Principal) -> tuple[Task, ...]:
    """Return the person's tasks, oldest first."""
    found = [_review(instance, version, actor) for version in waiting_versions(connection)]
    tasks = [task for task in found if task is not None]
    workflows = _signed_by(instance, actor)
    if workflows and actor.person is not None:
        heads = heads_of(connection, workflows)
        for chain in open_chains(connection, instance, heads, instance.clock.now()):
            tasks += _votes(chain, actor.person)
    return tuple(sorted(tasks, key=lambda task: task.since))


def _signed_by(instance: Instance, actor: Principal) -> list[WorkflowName]:
    """Return the workflows whose gates ask for a role this person holds; for everybody else nothing is read."""
    asked = {role for gate in instance.workspace.gates.values() for role in _roles_of(gate)}
    return sorted(instance.workspace.workflows) if asked & actor.roles else []


def _roles_of(gate: Gate) -> set[Role]:
    halves = [half for half in (gate.pre, gate.post) if half is not None]
    seats = {role for half in halves if half.board is not None for role in half.board.seats}
    return seats | {one.role for half in halves for one in half.signoffs}


def _votes(chain: Chain, person: PersonId) -> list[Task]:
    """Return the gates of the workflow's newest release that wait for this person's decision."""
    found: list[Task] = []
    for gate in ordered_gates(chain.instance):
        space = space_for(chain.instance, gate, None)
        if not is_reached(chain, gate, space=space):
            continue  # `blocked`, which is not open: nothing of it needs to be read
        report = report_of(chain, gate, space=space)
        roles = [one.role for one in report.signoffs if _waits_for(one, person)]
        if report.status not in _OPEN or not roles:
            continue
        digest = chain.stored.digest.removeprefix("sha256:")[:12]
        found.append(
            Task(
                sentence=f"Decide about release {digest} at gate {gate}",
                path=f"/releases/{digest}/gates/{gate}",
                since=chain.stored.sealed_at,
                why=f"Its criteria hold, and it waits for you as {roles[0].value}.",
                minutes=15,
            )
        )
    return found


def _waits_for(one: SignoffResult, person: PersonId) -> bool:
    voted = {*one.approved_by, *one.rejected_by, *one.abstained_by}
    return not one.is_complete and person in one.eligible and person not in voted


def _review(instance: Instance, version: WaitingVersion, actor: Principal) -> Task | None:
    settings = instance.workspace.corpora.get(version.corpus)
    if settings is None or may_accept(settings, actor, triggered_by=version.created_by) is not None:
        return None
    role = "steward" if actor.person == settings.steward else "owner"
    return Task(
        sentence=f"Review version {version.number} of {version.corpus}",
        path=f"/corpora/{version.corpus}/versions/{version.number}",
        since=version.created_at,
        why=f"You are the {role} of this corpus, and somebody else refreshed it.",
        minutes=10,
    )
