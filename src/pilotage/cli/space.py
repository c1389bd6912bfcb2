"""`pilotage space status | fail-back`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.cli.shown import Listing, minute
from pilotage.control.fail_back import fail_back
from pilotage.control.space_status import health_json, space_status
from pilotage.core.reason import Refusal

_COLOURS = {"healthy": "green", "unhealthy": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    summary = "Spaces: their health, and where their askers are."
    add_group(app, "space", summary, status=status, fail_back=bring_home)


def status(options: Options) -> None:
    """Show the health of every routed space, and who answers for it."""
    with options.open("pilotage space status") as instance:
        found = space_status(instance)
    options.show({"spaces": found}, lambda out: _render(out, found))


def bring_home(
    options: Options,
    space: Annotated[str, typer.Argument(metavar="SPACE", help="Space that is healthy again.")],
) -> None:
    """Bring the askers of a healthy space home from its partner, before the 15 minutes are over."""
    with options.open("pilotage space fail-back") as instance:
        done = fail_back(instance, actor=options.actor(instance), space=space)
        if isinstance(done, Refusal):
            options.refuse(done)
        found: list[Any] = [health_json(instance, done)]
    options.show(found[0], lambda out: _render(out, found))


def _render(out: Console, found: list[Any]) -> None:
    table = Listing("space", "state!", "since!", "answered by")
    for one in found:
        colour = _COLOURS.get(one["state"], "yellow")
        table.add_row(
            escape(one["space"]),
            f"[{colour}]{one['state']}[/{colour}]",
            minute(one["since"]),
            escape(one["failover"] or one["space"]),
        )
    out.print(table)
    for one in found:
        for reason in one["reasons"]:
            out.print(f"[red]{escape(reason['code'])}[/red] {escape(one['space'])}: {escape(reason['text'])}")
