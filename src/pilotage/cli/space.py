"""`pilotage space status | diff | fail-back | render`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.cli.shown import Listing, minute
from pilotage.cli.space_render import render
from pilotage.control.fail_back import fail_back
from pilotage.control.space_diff import diff_spaces
from pilotage.control.space_status import health_json, space_status
from pilotage.core.reason import Refusal
from pilotage.gate.pack_layout import text_of

_COLOURS = {"healthy": "green", "unhealthy": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    summary = "Spaces: their health, where their askers are, and what runs them."
    add_group(app, "space", summary, status=status, diff=diff, fail_back=bring_home, render=render)


def status(options: Options) -> None:
    """Show the health of every routed space, and who answers for it."""
    with options.open("pilotage space status") as instance:
        found = space_status(instance)
    options.show({"spaces": found}, lambda out: _render(out, found))


def diff(
    options: Options,
    space: Annotated[str, typer.Argument(metavar="SPACE", help="Space that a release enters.")],
    against: Annotated[
        str | None, typer.Option("--against", metavar="SPACE", help="Compared with this space; the one before without.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="DIGEST", help="As it was recorded when this release entered.")
    ] = None,
) -> None:
    """Show which settings change for a release that goes from one space into the next."""
    with options.open("pilotage space diff") as instance:
        found = diff_spaces(instance, space=space, against=against, release=release)
    options.show(found, lambda out: _render_diff(out, found))


def _render_diff(out: Console, found: dict[str, Any]) -> None:
    out.print(f"From {escape(str(found['before']))} into [bold]{escape(found['space'])}[/bold]:")
    table = Listing("setting!", "before", "after")
    for one in found["changes"]:
        table.add_row(escape(one["key"]), escape(text_of(one["before"])), escape(text_of(one["after"])))
    out.print(table if found["changes"] else "No setting changes.")


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
