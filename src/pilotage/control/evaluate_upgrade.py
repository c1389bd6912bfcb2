"""The evaluation runs an upgrade of Pilotage asks for: of what serves, and of the newest release on its way.

Rule: each such release whose runs are all of another version gets one run per version, under its cost cap as any other;
a model that costs and has no cap is left to a person (gates.md 1.2). Fail mode: a run that cannot be asked for is told
to the owner with its reason, once, and ENGINE_CHANGED holds the release.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.control.instance import Instance
from pilotage.control.scheduled_runs import MACHINE, ask_for_run, tell_why
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.evidence.superseding import ENGINE
from pilotage.release.seal import ReleaseState
from pilotage.store.evaluation_runs import stable_release
from pilotage.store.evidence import evaluated_by
from pilotage.store.gate_facts import engine_runs, state_engine_run
from pilotage.store.releases import head_of


def evaluate_upgrade(connection: Connection, instance: Instance) -> tuple[Digest, ...]:
    """Ask for what is due; return the releases that got a run now."""
    due = dict(_releases(connection, instance))
    versions = evaluated_by(connection, due)
    known = engine_runs(connection, __version__)
    found: list[Digest] = []
    for release, (workflow, space) in due.items():
        made = versions.get(release, frozenset())
        if not made or __version__ in made or release in known:
            continue
        at = instance.clock.now()
        state_engine_run(connection, __version__, release, workflow=workflow, by_person=MACHINE, at=at)
        why = ask_for_run(connection, instance, release, space)
        if why is None:
            found.append(release)
        else:
            _tell(connection, instance, workflow, release, why)
    return tuple(found)


def _releases(
    connection: Connection, instance: Instance
) -> Iterator[tuple[Digest, tuple[WorkflowName, SpaceName | None]]]:
    """Yield the newest release of each workflow, then what serves it, with the last space that it serves in."""
    for workflow in instance.workspace.workflows:
        head = head_of(connection, workflow)
        if head is not None and head.state is ReleaseState.SEALED:
            yield head.digest, (workflow, None)
        for space in instance.workspace.spaces:
            stable = stable_release(connection, space, workflow)
            if stable is not None:
                yield stable, (workflow, space)


def _tell(connection: Connection, instance: Instance, workflow: str, release: Digest, why: str) -> None:
    title = f"{workflow}: a release waits for an evaluation run by Pilotage {__version__}"
    text = f"{why} Run `pilotage evaluate {release[:19]}`; 24 hours after the upgrade ENGINE_CHANGED holds it."
    tell_why(connection, instance, release, title=title, text=text, facts={ENGINE: __version__})
