"""Evaluation runs that the product asks for by itself: of which releases, under which cap, and who hears of a refusal.

Rule: a run that nobody began yet is the run: none is asked for beside it. Fail mode: why there is none, as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from pilotage.control.evaluate_release import EvaluationRequest, start_on
from pilotage.control.instance import Instance
from pilotage.control.sealed_golden import sealed_golden
from pilotage.control.send_messages import Notice, send
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import Cause, RunKind, RunState
from pilotage.release.model import Provider
from pilotage.rollout.transitions import Notify
from pilotage.store.evaluation_runs import runs_of, stable_release
from pilotage.store.releases import load_release

MACHINE: Final = "system:evaluation"
_NEWEST: Final = 10


def serving(connection: Connection, instance: Instance, workflow: WorkflowName) -> dict[Digest, SpaceName]:
    """Return every release that serves a workflow, with the first space that it serves in."""
    found: dict[Digest, SpaceName] = {}
    for space in instance.workspace.spaces:
        stable = stable_release(connection, space, workflow)
        if stable is not None:
            found.setdefault(stable, space)
    return found


def ask_for_run(connection: Connection, instance: Instance, release: Digest, space: SpaceName | None) -> str | None:
    """Ask for a run of a release whose model costs nothing or is held by a cap; return why there is none."""
    try:
        sealed = load_release(connection, release)
        cap = sealed_golden(connection, release).settings.cost_cap_nano
    except PilotageError as error:
        return f"{error.code}: {error.message}"
    if sealed.model.provider is not Provider.EXTRACTIVE and cap is None:
        return "Its model costs and evaluation.yaml sets no cost_cap."
    return ask_uncapped(connection, instance, release, space)


def ask_uncapped(connection: Connection, instance: Instance, release: Digest, space: SpaceName | None) -> str | None:
    """Ask for a run that people ordered, with or without a cap; return why there is none."""
    newest = runs_of(connection, release=release, kind=RunKind.EVALUATION, limit=_NEWEST)
    if any(run.state is RunState.QUEUED and run.cause is Cause.SCHEDULE for run in newest):
        return None
    request = EvaluationRequest(release=release, space=space, cause=Cause.SCHEDULE)
    try:
        with connection.begin_nested():
            done = start_on(connection, instance, actor=None, request=request)
    except PilotageError as error:
        return f"{error.code}: {error.message}"
    return done.reasons[0].text if isinstance(done, Refusal) else None


def tell_why(
    connection: Connection,
    instance: Instance,
    release: Digest,
    *,
    title: str,
    text: str,
    facts: Mapping[str, Json] | None = None,
) -> None:
    """Tell the owner that there is no run."""
    notice = Notice(title=title, text=text, links={"release": release}, facts=facts or {})
    send(connection, instance, (Notify.OWNER,), notice, at=instance.clock.now())
