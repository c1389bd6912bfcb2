"""`pilotage init | validate | doctor | version`."""

from __future__ import annotations

import shutil
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape

import pilotage
from pilotage import __version__
from pilotage.adapters.clock import SystemClock
from pilotage.cli.options import NO, Options, command
from pilotage.cli.shown import print_record
from pilotage.control.load_workspace import find_workspace
from pilotage.core.errors import UsageError
from pilotage.core.reason import Outcome
from pilotage.store.doctor import doctor
from pilotage.store.doctor_report import DoctorReport
from pilotage.store.migrate import current_revision, newest_revision


class Template(StrEnum):
    """Workspaces that `init` can write."""

    BANK = "bank"
    MINIMAL = "minimal"


def template_folder(name: str) -> Path:
    """Return where a template stands: in the package, or in `examples/` of a checkout."""
    packaged = Path(str(resources.files(pilotage))) / "templates" / name
    if packaged.is_dir():
        return packaged
    checkout = Path(str(resources.files(pilotage))).parents[1] / "examples" / "northlake-bank"
    if name == Template.BANK and checkout.is_dir():
        return checkout
    message = f"The template {name} is not part of this installation."
    raise UsageError("TEMPLATE_MISSING", message, hint="Install pilotage again.")


def write_template(name: str, folder: Path) -> None:
    """Copy a template to a new or empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("FOLDER_TAKEN", f"{folder} exists and is not empty.", hint="Name a new folder.")
    shutil.copytree(template_folder(name), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(command(init))
    app.command("validate")(command(validate))
    app.command("doctor")(command(diagnose))
    app.command("version")(command(version))


def init(
    options: Options,
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    template: Annotated[Template, typer.Option()] = Template.BANK,
) -> None:
    """Write a new workspace folder from a template."""
    write_template(template, folder)
    _, workspace = find_workspace(folder)
    result = {"workspace": workspace.id, "folder": str(folder), "template": str(template)}
    options.show(
        result,
        lambda out: out.print(
            f"Wrote [bold]{workspace.organisation}[/bold] to {folder}; its README.md has the first commands.\n"
            f"Next: cd {folder} && pilotage up"
        ),
    )


def validate(options: Options) -> None:
    """Check every declared file; all mistakes at once, each with what to write instead."""
    root, workspace = find_workspace(options.start)
    warnings = [str(warning) for warning in workspace.warnings]
    result = {
        "workspace": workspace.id,
        "root": str(root),
        "digest": workspace.digest,
        "people": len(workspace.people),
        "spaces": list(workspace.spaces),
        "workflows": list(workspace.workflows),
        "corpora": list(workspace.corpora),
        "gates": list(workspace.gates),
        "warnings": warnings,
    }

    def render(out: Console) -> None:
        for warning in warnings:
            out.print(f"[yellow]warning[/yellow] {escape(warning)}", soft_wrap=True)
        out.print(
            f"[green]valid[/green] {workspace.organisation}: people {len(workspace.people)}, "
            f"spaces {len(workspace.spaces)}, workflows {len(workspace.workflows)}, corpora {len(workspace.corpora)}."
        )

    options.show(result, render)


def diagnose(options: Options) -> None:
    """Show version, sizes and health of the database, jobs and ledger."""
    with options.open("pilotage doctor") as instance, instance.engine.connect() as connection:
        report = doctor(
            connection,
            now=instance.clock.now(),
            wall_clock=SystemClock().now(),
            schema=(current_revision(connection), newest_revision()),
            embedded_home=instance.home if instance.embedded else None,
            declared=instance.workspace.corpora,
        )
    options.show({"pilotage": __version__, **report.as_json()}, lambda out: render_doctor(out, report))
    if report.outcome is not Outcome.OK:
        raise SystemExit(NO)


def render_doctor(out: Console, report: DoctorReport) -> None:
    """Print a report: sizes in units that people read, then findings and the outcome."""
    record = {key: value for key, value in report.as_json().items() if key not in {"findings", "outcome"}}
    record["sizes"] = {name: decimal(size) for name, size in record.pop("sizes_bytes").items()}
    free = record["server"].pop("free_bytes")
    record["server"]["free"] = None if free is None else decimal(free)
    print_record(out, record)
    for finding in report.findings:
        out.print(f"[red]{escape(finding.code)}[/red] {escape(finding.text)}")
    out.print(f"[bold]{report.outcome}[/bold]")


def version(options: Options) -> None:
    """Print the version."""
    options.show({"version": __version__}, lambda out: out.print(__version__))
