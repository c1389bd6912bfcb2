"""`pilotage release seal | list | show | diff | verify | deprecate | quarantine | lift | revoke | price`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pilotage.cli.options import NO, Options, command
from pilotage.cli.shown import Listing, minute, print_record, short
from pilotage.control.change_release_state import (
    StateChange,
    deprecate_release,
    quarantine_release,
    revoke_release,
)
from pilotage.control.embed_passages import EmbedTools
from pilotage.control.lift_quarantine import Lifted, LiftRequest, lift_quarantine
from pilotage.control.price_release import price_release
from pilotage.control.release_reports import diff_named, list_releases, show_release
from pilotage.control.replay_decision import replay_decision
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.verify_release import verify_release
from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Digest, or at least 8 of its hex digits.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept with the release.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Immutable, content-addressed releases.")
    for name, function in (
        ("seal", seal),
        ("list", list_all),
        ("show", show),
        ("diff", diff),
        ("verify", verify),
        ("deprecate", deprecate),
        ("quarantine", quarantine),
        ("lift", lift),
        ("revoke", revoke),
        ("price", price),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="release")


def seal(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    note: Annotated[str, typer.Option()] = "",
    expects: Annotated[str | None, typer.Option(metavar="DIGEST", help="Seal only what gets this digest.")] = None,
) -> None:
    """Seal the workflow as declared now into a release."""
    with options.open("pilotage release seal") as instance, _embedding(options) as progress:
        done = seal_release(
            instance,
            actor=options.actor(instance),
            workflow=workflow,
            note=note,
            expects=expects,
            tools=EmbedTools(progress=progress),
        )
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_sealed(out, done))


@contextmanager
def _embedding(options: Options) -> Iterator[Callable[[str, int, int], None]]:
    """Show how many passages are embedded, once there are any to embed."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=options.err, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def told(corpus: str, done: int, total: int) -> None:
            if corpus not in tasks:
                tasks[corpus] = bar.add_task(f"Embedding {corpus}", total=total)
            bar.update(tasks[corpus], completed=done)

        yield told


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
        table = Listing("release!", "workflow", "state", "sealed by", "at!", "note")
        for one in found:
            table.add_row(
                str(one["digest"])[:19],
                *(escape(minute(str(one[key]))) for key in ("workflow", "state", "sealed_by", "sealed_at", "note")),
            )
        out.print(table)

    options.show({"releases": found}, render)


def show(options: Options, digest: Digest) -> None:
    """Show a release: parts, authors, seal."""
    with options.open("pilotage release show") as instance:
        found = show_release(instance, digest)
    options.show(found, lambda out: render_release(out, found))


def render_release(out: Console, found: Mapping[str, Any]) -> None:
    """Print a release for a person: where it stands, its parts and who made them."""
    out.print(f"[bold]{found['digest']}[/bold]", soft_wrap=True)
    out.print(f"  {escape(str(found['workflow']))}, {found['state']}: {escape(str(found['note'] or 'no note'))}")
    out.print(f"  sealed by {escape(str(found['sealed_by']))} at {minute(found['sealed_at'])} UTC")
    out.print(f"  parent {short(str(found['parent'] or 'none: a first release'))}")
    table = Listing("part!", "digest!", "made by")
    for kind, part in found["parts"].items():
        authors = dict.fromkeys(f"{one['person']} ({one['how']})" for one in part["authors"])
        table.add_row(kind, short(part["digest"]), escape(", ".join(authors) or "nobody known"))
    out.print(table)
    print_record(out, {key: value for key, value in found.items() if key not in _SHOWN})


_SHOWN = frozenset(
    {"digest", "workflow", "state", "note", "sealed_by", "sealed_at", "parent", "parts", "parts_digest", "seal"}
)


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


def verify(
    options: Options,
    digest: Annotated[str | None, typer.Argument(metavar="[DIGEST]", help="Release, or --bundle FILE.")] = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Exported decision, replayed without the database.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="BASE64", help="The instance's public key, got from its people.")
    ] = None,
) -> None:
    """Recompute every digest, the signature and the ledger inclusion of a release, or replay an exported decision."""
    if bundle is not None:
        _verify_bundle(options, bundle, key)
        return
    if digest is None:
        raise UsageError("RELEASE_MISSING", "Nothing is named.", hint="Write a release's digest, or --bundle FILE.")
    with options.open("pilotage release verify") as instance:
        found = verify_release(instance, digest)

    def render(out: Console) -> None:
        for check in found.checks:
            out.print(f"{check.name:10} {'ok' if check.reason is None else f'[red]{escape(check.reason.text)}[/red]'}")
        out.print("[green]verified[/green]" if found.is_verified else "[red]not verified[/red]")

    options.show(found.as_json(), render)
    if not found.is_verified:
        raise SystemExit(NO)


def deprecate(options: Options, digest: Digest, reason: Why) -> None:
    """Let nothing promote a release any more; where it is live it stays."""
    _change(options, "deprecate", deprecate_release, digest, reason)


def quarantine(options: Options, digest: Digest, reason: Why) -> None:
    """Take a release, and every other of the same content, out of all traffic at once."""
    _change(options, "quarantine", quarantine_release, digest, reason)


def revoke(options: Options, digest: Digest, reason: Why) -> None:
    """Revoke a release for good; it takes two persons, who both give this command."""
    _change(options, "revoke", revoke_release, digest, reason)


def lift(
    options: Options,
    digest: Digest,
    reason: Why,
    space: Annotated[str | None, typer.Option("--space", help="Only its quarantine in this space.")] = None,
) -> None:
    """End a quarantine; it takes new evidence and two persons, who both give this command."""
    with options.open("pilotage release lift") as instance:
        request = LiftRequest(reason=reason, space=space)
        done = lift_quarantine(instance, actor=options.actor(instance), release=digest, request=request)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_lift(out, done))


def price(
    options: Options,
    digest: Digest,
    per_input: Annotated[str | None, typer.Option("--input", metavar="N", help="Per million tokens it reads.")] = None,
    per_output: Annotated[str | None, typer.Option("--output", metavar="N", help="Per million it writes.")] = None,
    currency: Annotated[str | None, typer.Option(help="Default: USD.")] = None,
    unmetered: Annotated[str | None, typer.Option(metavar="WHY", help="Why its tokens cost nothing.")] = None,
) -> None:
    """Say what the model of a release costs that was sealed without a price and whose workflow moved on."""
    given = {"input": per_input, "output": per_output, "currency": currency, "unmetered": unmetered}
    prices: dict[str, Json] = {name: value for name, value in given.items() if value is not None}
    with options.open("pilotage release price") as instance:
        done = price_release(instance, actor=options.actor(instance), release=digest, prices=prices)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done, lambda out: out.print(f"The price of {escape(str(done['model']))} is kept."))


def _render_lift(out: Console, done: Lifted) -> None:
    where = f" in {done.space}" if done.space else ""
    ended = "waits for its second person" if done.waits_for else "is lifted"
    out.print(f"The quarantine of [bold]{done.digest}[/bold]{where} {ended}; it is {done.state}.")
    for twin in done.same_content:
        out.print(f"  {twin} holds the same content and is free too.")
    for reason in done.waits_for:
        out.print(f"[yellow]{escape(reason.text)}[/yellow]")


def _change(
    options: Options, verb: str, change: Callable[..., StateChange | Refusal], digest: str, reason: str
) -> None:
    with options.open(f"pilotage release {verb}") as instance:
        done = change(instance, actor=options.actor(instance), release=digest, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_change(out, done))


def _render_change(out: Console, done: StateChange) -> None:
    out.print(f"[bold]{done.digest}[/bold] is {done.state}.")
    for twin in done.same_content:
        out.print(f"  {twin} holds the same content and is too.")
    for one in done.left:
        went = one.target or "a closed door"
        out.print(f"  It left {', '.join(one.flipped)}; back on {went}; incident {one.incident}.")
    for reason in done.waits_for:
        out.print(f"[yellow]{escape(reason.text)}[/yellow]")


def _verify_bundle(options: Options, bundle: Path, key: str | None) -> None:
    if not bundle.is_file():
        raise UsageError("FILE_UNKNOWN", f"There is no file {bundle}.", hint="Write the path of an exported decision.")
    found = replay_decision(bundle.read_bytes(), key=None if key is None else _key(key))

    def render(out: Console) -> None:
        for check in found.checks:
            out.print(f"{check.name:10} {'ok' if check.reason is None else f'[red]{escape(check.reason.text)}[/red]'}")
        out.print(f"{found.gate} of {found.release[:19]} is {found.status}, signed by {found.keyid}")
        if not found.trusted:
            out.print("[yellow]The key came with the bundle. Compare it with the instance's, or give --key.[/yellow]")
        out.print("[green]verified[/green]" if found.is_verified else "[red]not verified[/red]")

    options.show(found.as_json(), render)
    if not found.is_verified:
        raise SystemExit(NO)


def _key(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != 32:
        raise UsageError("KEY_FORM", "--key is not 32 bytes of base64.", hint="Ask the instance's people for it.")
    return found
