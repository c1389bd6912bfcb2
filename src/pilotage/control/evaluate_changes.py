"""The evaluation runs that a change under a release asks for: documents, guard, price, an incident.

Rule: looked at every ten minutes, of workflows that declare a schedule; all that changed since the look before becomes
one run of each release that serves (evaluation.md 8), and an incident that a run led to, or asked for one, asks for
none: so does another model, which watch_models.py sees. Fail mode: the first look only notes; a run that cannot be
asked for is told to the owner, once a change.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.evaluation_alerts import CAUSE as WORSE
from pilotage.control.instance import Instance
from pilotage.control.permission_finish import CAUSE as LEAK
from pilotage.control.scheduled_runs import MACHINE, ask_for_run, serving, tell_why
from pilotage.control.watch_models import CAUSE as MODEL_CHANGED
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import CorpusName, SpaceName, WorkflowName
from pilotage.corpus.version import VersionState
from pilotage.evaluation.changes import InForce, changes
from pilotage.monitoring.held import Part
from pilotage.release.content import ReleaseContent
from pilotage.store.corpora import newest_version
from pilotage.store.drift import open_drift
from pilotage.store.evaluation_changes import last_in_force, state_in_force
from pilotage.store.incidents import list_incidents
from pilotage.store.releases import load_release
from pilotage.workspace.workflow import Workflow

LOOK_EVERY: Final = timedelta(minutes=10)
_NEWEST: Final = 50
_PARTS: Final = frozenset({Part.GUARD, Part.MODEL})
_ASKED: Final = (WORSE, LEAK, MODEL_CHANGED)
"""Beginnings of the causes of incidents that a run led to, or that have asked for one."""


def evaluate_changes(connection: Connection, instance: Instance) -> tuple[Digest, ...]:
    """Ask for what is due; return the releases that get a run."""
    found: list[Digest] = []
    for workflow in instance.workspace.workflows.values():
        places = serving(connection, instance, workflow.name)
        if workflow.evaluation.schedule is None or not places:
            continue
        now = instance.clock.now()
        seen = _in_force(connection, workflow, places)
        before = last_in_force(connection, workflow.name)
        if seen != before:
            state_in_force(connection, workflow.name, seen, by_person=MACHINE, at=now)
        said = () if before is None else changes(before, seen)
        if said:
            found += _ask(connection, instance, workflow.name, places, said)
    return tuple(found)


def _ask(
    connection: Connection,
    instance: Instance,
    workflow: WorkflowName,
    places: dict[Digest, SpaceName],
    said: tuple[str, ...],
) -> list[Digest]:
    found: list[Digest] = []
    for release, space in places.items():
        why = ask_for_run(connection, instance, release, space)
        if why is None:
            found.append(release)
            continue
        title = f"{workflow}: what serves waits for an evaluation run, since {said[0]}"
        text = f"{why} Run `pilotage evaluate {release[:19]} --space {space}`. What changed: {'; '.join(said)}."
        tell_why(connection, instance, release, title=title, text=text)
    return found


def _in_force(connection: Connection, workflow: Workflow, places: dict[Digest, SpaceName]) -> InForce:
    contents = {release: found for release in places if (found := _content(connection, release)) is not None}
    names = sorted({pin.name for content in contents.values() for pin in content.corpora.values()})
    newest = {name: newest_version(connection, CorpusName(name), VersionState.ACCEPTED) for name in names}
    drifts = open_drift(connection)
    return InForce(
        corpora={name: version.number for name, version in newest.items() if version is not None},
        prices={release: _price(content, workflow) for release, content in contents.items()},
        drifts={
            release: frozenset(row.part.value for row in drifts if row.release == release and row.part in _PARTS)
            for release in contents
        },
        incidents=frozenset(
            incident.id
            for incident in list_incidents(connection, workflow=workflow.name, most=_NEWEST)
            if not incident.is_drill and not incident.cause.startswith(_ASKED)
        ),
    )


def _content(connection: Connection, release: Digest) -> ReleaseContent | None:
    try:
        return load_release(connection, release)
    except PilotageError:
        return None  # the detector of hard events speaks of releases that do not verify


def _price(content: ReleaseContent, workflow: Workflow) -> str:
    prices = content.prices_by(workflow.model)
    return "" if prices is None else json.dumps(prices.as_row(), sort_keys=True)
