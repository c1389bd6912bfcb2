"""`pilotage inbox list | snooze | hand-over`: what waits for the person who asks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.cli.shown import minute
from pilotage.control.hand_over_task import hand_over_task
from pilotage.control.inbox import Tasks, list_tasks, snooze_task
from pilotage.core.clock import to_text
from pilotage.core.reason import Refusal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    summary = "What waits for you: reviews, gates, steps, incidents."
    add_group(app, "inbox", summary, list=list_all, snooze=snooze, hand_over=hand_over)


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
        if one.command:
            out.print(f"    {escape(one.command)}", soft_wrap=True)
        out.print(f"    [dim]{escape(one.key)}[/dim]", soft_wrap=True)
    for one in found.put_off:
        out.print(f"[dim]put off: {escape(one.sentence)}[/dim]")
    for one, taker in found.handed:
        out.print(f"[dim]handed to {escape(taker)}: {escape(one.sentence)}[/dim]")
    for name in found.unread:
        out.print(f"[red]could not be read: {escape(name)}[/red]")
    if not found.tasks and not found.unread:
        out.print("Nothing waits for you.")


_Task = Annotated[str, typer.Argument(metavar="TASK", help="As `pilotage inbox list` names it.")]


def snooze(options: Options, task: _Task) -> None:
    """Put a task off for a day; it stays yours, and others see it as before."""
    with options.open("pilotage inbox snooze") as instance:
        done = snooze_task(instance, actor=options.actor(instance), task=task)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"Put off for a day: {escape(done.sentence)}."))


def hand_over(
    options: Options,
    task: _Task,
    to: Annotated[str, typer.Option("--to", metavar="PERSON", help="Who is to do it: it must wait for them too.")],
) -> None:
    """Hand a task to somebody for whom it waits as well; it is back with you when it is due, or after 7 days."""
    with options.open("pilotage inbox hand-over") as instance:
        done = hand_over_task(instance, actor=options.actor(instance), task=task, to=to)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"Handed to {escape(to)}: {escape(done.sentence)}."))
