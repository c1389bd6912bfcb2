"""`pilotage rollback`: back to the release before, measured and verified."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import NO, Options, command
from pilotage.control.follow_rollback import follow_rollback, rollback_json, zero_json
from pilotage.control.instance import Instance
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.core.reason import Refusal
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.rollout.states import State
from pilotage.store.rollouts import StoredRollout


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rollback")(command(rollback))


def rollback(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the rollback.")],
    space: Annotated[str | None, typer.Option("--space", help="Only this space; everywhere without.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DIGEST", help="An earlier release of these spaces, or maintenance.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to follow it for.")] = 150.0,
) -> None:
    """Go back to the release before, in every space or one, and follow it until verified."""
    with options.open("pilotage rollback") as instance:
        actor = options.actor(instance)
        request = RollbackRequest(workflow=workflow, reason=reason, space=space, to=to)
        moved = roll_back(instance, actor=actor, request=request)
        if isinstance(moved, Refusal):
            options.refuse(moved)
        done = tuple(followed(instance, one, wait) for one in moved)
    body = rollback_json(done[0]) if len(done) == 1 else {"rollbacks": [rollback_json(one) for one in done]}
    options.show(body, lambda out: render(out, done))
    if any(one.state is not State.ROLLED_BACK for one in done):
        raise SystemExit(NO)


def followed(instance: Instance, stored: StoredRollout, wait: float) -> StoredRollout:
    """Follow a rollback for so many seconds."""
    return follow_rollback(instance, rollout_ports(), stored.id, wait=timedelta(seconds=wait), sleep=time.sleep)


def render(out: Console, done: tuple[StoredRollout, ...]) -> None:
    """Print rollbacks for people."""
    for one in done:
        colour = "green" if one.state is State.ROLLED_BACK else "yellow"
        out.print(
            f"[{colour}]{one.state}[/{colour}] {one.release[:19]} left {', '.join(one.flipped)}; "
            f"back on {one.target or 'a closed door'}; {zero_words(zero_json(one))}; incident {one.incident or 'none'}"
        )
        for why in one.why:
            out.print(f"    {escape(why.code)}: {escape(why.text)}")


def zero_words(measured: Mapping[str, Any]) -> str:
    """Return the times that `zero_json` tells, in words."""
    traffic, streams = measured["seconds_to_zero_traffic"], measured["seconds_to_zero_streams"]
    words = "not yet zero" if traffic is None else f"zero traffic after {traffic:.3f} s"
    words += "" if streams is None else f", zero streams after {streams:.3f} s"
    offset = measured["clock_uncertainty_s"]
    return words if offset is None else f"{words} (clocks are off by up to {offset:.3f} s)"
