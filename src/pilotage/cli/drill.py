"""`pilotage drill rollback | failover`: rehearsals with measured times."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.console import Console

from pilotage.cli.options import NO, Options, command
from pilotage.control.drill_failover import drill_failover
from pilotage.control.drill_rollback import DrillRequest, drill_rollback
from pilotage.core.reason import Refusal
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.store.drills import StoredDrill


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Rehearsals on real processes, as evidence.")
    group.command("rollback")(command(rollback))
    group.command("failover")(command(failover))
    app.add_typer(group, name="drill")


def rollback(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    space: Annotated[str, typer.Option("--space", help="Space to rehearse in; users' traffic stays where it is.")],
    release: Annotated[
        str | None, typer.Option("--release", help="Release to rehearse with (default: the newest sealed one).")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Send users to the release before and back, instead of an arm of its own.")
    ] = False,
) -> None:
    """Rehearse a rollback in every serving process, and attach the measured times as evidence."""
    with options.open("pilotage drill rollback") as instance:
        done = drill_rollback(
            instance,
            rollout_ports(),
            actor=options.actor(instance),
            request=DrillRequest(workflow=workflow, space=space, release=release, full=full),
            sleep=time.sleep,
        )
    _show(options, done)


def failover(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    space: Annotated[str, typer.Option("--space", help="Space whose loss is rehearsed; users stay at home.")],
) -> None:
    """Rehearse the loss of a region: how soon it is found, and that its partner answers, in every process."""
    with options.open("pilotage drill failover") as instance:
        done = drill_failover(
            instance,
            rollout_ports(),
            actor=options.actor(instance),
            workflow=workflow,
            space=space,
            sleep=time.sleep,
        )
    _show(options, done)


def _show(options: Options, done: StoredDrill | Refusal) -> None:
    """Print a drill; one that failed exits 1."""
    if isinstance(done, Refusal):
        options.refuse(done)
    body = done.as_json()
    options.show(body, lambda out: _render(out, done, body))
    if done.state != "passed":
        raise SystemExit(NO)


def _render(out: Console, done: StoredDrill, body: dict[str, Any]) -> None:
    colour = "green" if done.state == "passed" else "red"
    out.print(f"[{colour}]Drill {done.id}: {done.state}[/{colour}]")
    for name, value in body.items():
        if name.startswith("seconds_to_"):
            out.print(f"  {name.replace('_', ' ')}: {'never' if value is None else f'{value:.3f}'}")
        elif name.endswith("_answers"):
            out.print(f"  {name.replace('_', ' ')}: {'none seen' if value is None else value}")
    for reason in body["against"]:
        out.print(f"  [red]{reason}[/red]")
