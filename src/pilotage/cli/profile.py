"""`pilotage profile show | set`: how the console looks for the person who asks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.control.change_profile import Profile, change_profile, view_profile
from pilotage.core.reason import Refusal


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(app, "profile", "How the console looks for you: zone of times, shortcuts.", show=show, set=change)


def show(options: Options) -> None:
    """Show the zone in which the console tells you times, and whether its shortcuts are on."""
    with options.open("pilotage profile show") as instance:
        found = view_profile(instance, actor=options.actor(instance))
    options.show(found.as_json(), lambda out: _render(out, found))


def change(
    options: Options,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="ZONE", help="An IANA name; empty for the workspace's.")
    ] = None,
    shortcuts: Annotated[bool | None, typer.Option("--shortcuts/--no-shortcuts", help="Keys of the console.")] = None,
) -> None:
    """Choose the zone in which the console tells you times, and whether its shortcuts are on."""
    with options.open("pilotage profile set") as instance:
        done = change_profile(instance, actor=options.actor(instance), zone=zone, shortcuts=shortcuts)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render(out, done))


def _render(out: Console, found: Profile) -> None:
    zone = found.chosen.zone or f"{found.workspace_zone} (the workspace's)"
    out.print(f"Times: {escape(zone)}. Shortcuts: {'on' if found.chosen.shortcuts else 'off'}.")
