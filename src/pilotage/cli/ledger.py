"""`pilotage ledger verify | export | checkpoint | fsck | rotate-key | key-lost | new-epoch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import NO, Options, command
from pilotage.cli.shown import print_record
from pilotage.control.ledger_checkpoint import CheckpointWritten, write_checkpoint
from pilotage.control.ledger_epoch import declare_key_lost, open_new_epoch, rotate_ledger_key
from pilotage.control.ledger_export import Selection, export_ledger
from pilotage.control.ledger_fsck import FsckReport, fsck_ledger
from pilotage.control.ledger_verify import verify_ledger
from pilotage.control.ledger_verify_export import verify_export
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.ledger.checkpoint import parse_verifier_key
from pilotage.ledger.verify import Verdict, Verification


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The append-only record that verifies without us.")
    for name, function in (
        ("verify", verify),
        ("export", export),
        ("checkpoint", checkpoint),
        ("fsck", fsck),
        ("rotate-key", rotate),
        ("key-lost", key_lost),
        ("new-epoch", new_epoch),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="ledger")


def verify(
    options: Options,
    export_path: Annotated[Path | None, typer.Option("--export", metavar="FILE")] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="VKEY", help="Verifier key you got elsewhere.")
    ] = None,
    trust_export_key: Annotated[bool, typer.Option("--trust-export-key")] = False,
) -> None:
    """Verify the ledger, or an export offline: leaves, roots, consistency, signatures."""
    if export_path is not None:
        given = [parse_verifier_key(text) for text in keys or []]
        _show_verification(options, verify_export(export_path, keys=given, trust_export_key=trust_export_key))
        return
    if keys or trust_export_key:
        raise UsageError("EXPORT_NEEDED", "--key and --trust-export-key go with --export FILE.")
    with options.open("pilotage ledger verify") as instance:
        found = verify_ledger(instance)
    if isinstance(found, Refusal):
        options.refuse(found)
    _show_verification(options, found)


def _show_verification(options: Options, found: Verification) -> None:
    options.show(found.as_json(), lambda out: render_verification(out, found))
    if found.verdict.exit_code:
        raise SystemExit(found.verdict.exit_code)


def render_verification(out: Console, found: Verification) -> None:
    """Print the verdict, what did not hold, and what it stands on."""
    colour = "green" if found.verdict is Verdict.VERIFIED else "red"
    out.print(f"[bold {colour}]{found.verdict}[/bold {colour}]: {found.entries:,} entries.")
    _print_reasons(out, "red", *filter(None, [found.failure]), *found.breaks)
    kept = {"root", "checkpoints", "disclosed", "keys"}
    print_record(out, {name: value for name, value in found.as_json().items() if name in kept})
    _print_reasons(out, "yellow", *found.notices)


def _print_reasons(out: Console, colour: str, *reasons: Reason) -> None:
    for one in reasons:
        where = f" ({one.where})" if one.where else ""
        out.print(f"[{colour}]{one.code}[/{colour}] {escape(one.text + where)}", soft_wrap=True)


def export(
    options: Options,
    target: Annotated[
        Path | None,
        typer.Argument(metavar="TARGET", help="A new folder or .tar file; default: one in exports/ of PILOTAGE_HOME."),
    ] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only entries about this id.")] = None,
    entry: Annotated[list[str] | None, typer.Option(help="Only this entry.")] = None,
    disclose: Annotated[list[str] | None, typer.Option(help="Open the commitments of this entry (auditor).")] = None,
) -> None:
    """Write the ledger, or an extract with proofs, for somebody to verify."""
    with options.open("pilotage ledger export") as instance:
        selection = Selection(entries=entry or (), subjects=subject or (), disclose=disclose or ())
        done = export_ledger(instance, actor=options.actor(instance), target=target, selection=selection)
    if isinstance(done, Refusal):
        options.refuse(done)
    record = done.as_json()
    options.show(record, lambda out: print_record(out, record))


def checkpoint(options: Options) -> None:
    """Sign and publish the tree as it is now."""
    with options.open("pilotage ledger checkpoint") as instance:
        done = write_checkpoint(instance)
    _show_checkpoint(options, done)


def _show_checkpoint(options: Options, done: CheckpointWritten | Refusal) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    record = done.as_json()
    options.show(record, lambda out: print_record(out, record))


def fsck(options: Options) -> None:
    """Compare everything stored with everything signed."""
    with options.open("pilotage ledger fsck") as instance:
        report = fsck_ledger(instance)
    options.show(report.as_json(), lambda out: render_fsck(out, report))
    if not report.is_clean:
        raise SystemExit(NO)


def render_fsck(out: Console, report: FsckReport) -> None:
    """Print whether all that is stored agrees with what was signed, and what does not."""
    word = "[bold green]clean[/bold green]" if report.is_clean else "[bold red]not clean[/bold red]"
    out.print(f"{word}: {report.entries:,} entries, {report.checkpoints:,} checkpoints.")
    _print_reasons(out, "red", *report.findings)
    if report.suppressed:
        out.print(f"[red]and {report.suppressed:,} more[/red]")
    _print_reasons(out, "yellow", *report.notices)


Why = Annotated[str, typer.Option(help="Why; recorded.")]


def rotate(options: Options, reason: Why) -> None:
    """Let a new key sign from now on; both keys sign the same tree."""
    with options.open("pilotage ledger rotate-key") as instance:
        done = rotate_ledger_key(instance, actor=options.actor(instance), reason=reason)
    _show_checkpoint(options, done)


def key_lost(options: Options, reason: Why) -> None:
    """Go on with a new key after the old one was lost; verification will report the break."""
    with options.open("pilotage ledger key-lost") as instance:
        done = declare_key_lost(instance, actor=options.actor(instance), reason=reason)
    _show_checkpoint(options, done)


def new_epoch(options: Options, reason: Why) -> None:
    """Open a new epoch after the database was restored from a backup."""
    with options.open("pilotage ledger new-epoch") as instance:
        done = open_new_epoch(instance, actor=options.actor(instance), reason=reason)
    _show_checkpoint(options, done)
