"""What waits for a person: one list for the inbox and for the count in every page's header.

Rule: a task stands here exactly when its command would let this person act. Fail mode: a source that cannot be read
raises; the frame then shows the count as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.corpus_duties import may_accept
from pilotage.control.instance import Instance
from pilotage.identity.principal import Principal
from pilotage.store.waiting_versions import WaitingVersion, waiting_versions


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
    return tuple(sorted((task for task in found if task is not None), key=lambda task: task.since))


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
