"""`pilotage inbox list | snooze`: what waits for the person who asks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.shown import minute
from pilotage.control.inbox import Tasks, list_tasks, snooze_task
from pilotage.core.clock import to_text
from pilotage.core.reason import Refusal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="What waits for you: reviews, gates, steps, incidents.")
    group.command("list")(command(list_all))
    group.command("snooze")(command(snooze))
    app.add_typer(group, name="inbox")


def list_all(options: Options) -> None:
    """List what waits for you, what is due first."""
    with options.open("pilotage inbox list") as instance:
        found = list_tasks(instance, options.actor(instance))
    options.show(found.as_json(), lambda out: _render(out, found))


def _render(out: Console, found: Tasks) -> None:
    for one in found.tasks:
        due = f", due {minute(to_text(one.due))}" if one.due else ""
        out.print(f"[bold]{escape(one.sentence)}[/bold]")
        out.print(f"    {escape(one.why)} Since {minute(to_text(one.since))}{due}.")
        out.print(f"    [dim]{escape(one.key)}[/dim]", soft_wrap=True)
    for one in found.put_off:
        out.print(f"[dim]put off: {escape(one.sentence)}[/dim]")
    for name in found.unread:
        out.print(f"[red]could not be read: {escape(name)}[/red]")
    if not found.tasks and not found.unread:
        out.print("Nothing waits for you.")


def snooze(
    options: Options, task: Annotated[str, typer.Argument(metavar="TASK", help="As `pilotage inbox list` names it.")]
) -> None:
    """Put a task off for a day; it stays yours, and others see it as before."""
    with options.open("pilotage inbox snooze") as instance:
        done = snooze_task(instance, actor=options.actor(instance), task=task)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"Put off for a day: {escape(done.sentence)}."))
