"""`pilotage channel test`: whether a notification channel reaches anybody."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.control.reach_channel import try_channel
from pilotage.core.reason import Refusal


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_group(app, "channel", "Notification channels: try one.", test=test)


def test(
    options: Options, name: Annotated[str, typer.Argument(metavar="CHANNEL", help="As pilotage.yaml names it.")]
) -> None:
    """Send a channel one message that says it is a test, with the address this shell's environment gives it."""
    with options.open("pilotage channel test") as instance:
        done = try_channel(instance, actor=options.actor(instance), name=name)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"channel": done.name, "taken": True}, lambda out: out.print(f"{escape(done.name)} took it."))
