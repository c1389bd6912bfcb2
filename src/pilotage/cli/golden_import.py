"""`pilotage golden import | export`: cases of other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.runtime import Runtime
from pilotage.cli.written import write_file
from pilotage.control.golden_import import Brought, ExportFormat, ImportFormat, export_cases, import_cases
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.evaluation.imports.record import MAX_BYTES

Workflow = Annotated[str, typer.Argument(metavar="WORKFLOW")]


def register(group: typer.Typer, runtime: Runtime) -> None:
    """Add the commands to the group of golden sets."""
    group.command("import")(command(_import(runtime)))
    group.command("export")(command(export))


def _import(runtime: Runtime) -> Callable[..., None]:
    def import_(
        options: Options,
        workflow: Workflow,
        file: Annotated[Path, typer.Argument(metavar="FILE")],
        form: Annotated[ImportFormat, typer.Option("--format", help="How the file is written.")],
        asker: Annotated[str, typer.Option("--as", metavar="PERSONA", help="Who asks.")],
    ) -> None:
        """Make candidates of another tool's test cases; nothing in the file is ever run, opened or fetched."""
        data = _read(file)
        with options.open("pilotage golden import") as instance:
            found = import_cases(
                instance,
                actor=options.actor(instance),
                brought=Brought(workflow=workflow, form=form, asker=asker, data=data),
                redact=runtime.redact(instance),
            )
        if isinstance(found, Refusal):
            options.refuse(found)
        options.show(found, lambda out: _render(out, found))

    return import_


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UsageError("IMPORT_TOO_LARGE", f"{file} has more than {MAX_BYTES:,} bytes.", hint="Split it.")
        return file.read_bytes()
    except OSError as error:
        raise UsageError("FILE_UNREADABLE", f"{file} cannot be read: {error}.", hint="Name another file.") from None


def _render(out: Console, found: dict[str, Any]) -> None:
    for one in found["skipped"]:
        out.print(f"[yellow]skipped[/yellow] {escape(one['case'])}: {escape(one['reason'])}")
    for one in found["unsupported"]:
        out.print(f"[yellow]unsupported[/yellow] {escape(one['case'])}: {escape(one['type'])}")
    for one in found["lossy"]:
        out.print(f"[dim]lost[/dim] {escape(one['case'])}: {escape(one['lost'])}")
    out.print(
        f"{found['read']} read: {found['imported']} imported, {found['converted']} converted, "
        f"{len(found['skipped'])} skipped; {found['candidates']} candidates wait for a steward."
    )


def export(
    options: Options,
    workflow: Workflow,
    out: Annotated[Path, typer.Option("--out", metavar="FILE")],
    form: Annotated[ExportFormat, typer.Option("--format", help="How the file is written.")],
    golden: Annotated[str | None, typer.Option(metavar="FILE", help="Default: every golden file.")] = None,
) -> None:
    """Write golden cases for another tool, and say what its format cannot hold."""
    with options.open("pilotage golden export") as instance:
        actor = options.actor(instance)
        found = export_cases(instance, actor=actor, workflow=workflow, form=form, golden=golden)
    if isinstance(found, Refusal):
        options.refuse(found)
    write_file(out, found.data)
    lost = [{"case": case, "lost": what} for case, what in found.lossy]

    def render(console: Console) -> None:
        for one in lost:
            console.print(f"[dim]lost[/dim] {escape(one['case'])}: {escape(one['lost'])}")
        console.print(f"{out} is written; {len(lost)} losses.")

    options.show({"file": str(out), "lossy": lost}, render)
