"""`pilotage release seal | list | show | diff | verify`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pilotage.cli.options import NO, Options, command
from pilotage.control.release_reports import diff_named, list_releases, show_release
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.verify_release import verify_release
from pilotage.core.reason import Refusal

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Digest, or at least 8 of its hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Immutable, content-addressed releases.")
    for name, function in (
        ("seal", seal),
        ("list", list_all),
        ("show", show),
        ("diff", diff),
        ("verify", verify),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="release")


def seal(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    note: Annotated[str, typer.Option()] = "",
) -> None:
    """Seal the workflow as declared now into a release."""
    with options.open("pilotage release seal") as instance:
        done = seal_release(instance, actor=options.actor(instance.workspace), workflow=workflow, note=note)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_sealed(out, done))


def _render_sealed(out: Console, done: Sealed) -> None:
    out.print(
        f"[bold]{done.digest}[/bold]" + ("" if done.created else " (the newest release already holds this content)")
    )
    for kind, digest in done.parts.items():
        out.print(f"  {kind:10} {digest[:19]}")
    for space in done.serving:
        out.print(f"Served in {space}.")
    for note in done.notes:
        out.print(f"[yellow]{escape(note.text)}[/yellow]")


def list_all(options: Options, workflow: Annotated[str | None, typer.Argument(metavar="[WORKFLOW]")] = None) -> None:
    """List releases, newest first."""
    with options.open("pilotage release list") as instance:
        found = list_releases(instance, workflow=workflow)

    def render(out: Console) -> None:
        table = Table("release", "workflow", "state", "sealed by", "at", "note", box=None)
        for one in found:
            table.add_row(
                str(one["digest"])[:19],
                *(escape(str(one[key])) for key in ("workflow", "state", "sealed_by", "sealed_at", "note")),
            )
        out.print(table)

    options.show({"releases": found}, render)


def show(options: Options, digest: Digest) -> None:
    """Show a release: parts, authors, seal."""
    with options.open("pilotage release show") as instance:
        found = show_release(instance, digest)
    options.show(found, lambda out: out.print_json(data=found))


def diff(options: Options, before: Digest, after: Digest) -> None:
    """Compare two releases part by part."""
    with options.open("pilotage release diff") as instance:
        found = diff_named(instance, before, after)

    def render(out: Console) -> None:
        for part in found.parts:
            out.print(f"{part.kind:10} {'same' if part.is_same else '[bold]changed[/bold]'}")
            for line in part.detail:
                out.print(f"    {escape(line)}")
        for flag in found.flags:
            out.print(f"[yellow]{flag}[/yellow]")

    options.show(found.as_json(), render)


def verify(options: Options, digest: Digest) -> None:
    """Recompute every digest, the signature and the ledger inclusion of a release."""
    with options.open("pilotage release verify") as instance:
        found = verify_release(instance, digest)

    def render(out: Console) -> None:
        for check in found.checks:
            out.print(f"{check.name:10} {'ok' if check.reason is None else f'[red]{escape(check.reason.text)}[/red]'}")
        out.print("[green]verified[/green]" if found.is_verified else "[red]not verified[/red]")

    options.show(found.as_json(), render)
    if not found.is_verified:
        raise SystemExit(NO)
