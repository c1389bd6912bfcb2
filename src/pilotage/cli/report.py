"""`pilotage report cab | risks | cost`: what boards and owners read, as text, JSON, HTML or PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pilotage.adapters.pack_pdf import layout_pdf, pack_pdf
from pilotage.cli.caller import caller_of
from pilotage.cli.options import Options, command
from pilotage.cli.shown import Listing
from pilotage.cli.written import write_file
from pilotage.control.cost_layout import lay_out_costs
from pilotage.control.cost_report import make_cost_report
from pilotage.control.make_cab_pack import CabPack, make_cab_pack
from pilotage.control.risk_reports import risks_of
from pilotage.core.reason import Refusal
from pilotage.gate.pack_html import layout_html, pack_html
from pilotage.gate.pack_layout import Grid, Heading, Layout, Note, Pairs, lay_out
from pilotage.gate.risks import Risk

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="What is read before a decision.")
    group.command("cab")(command(cab))
    group.command("risks")(command(risks))
    group.command("cost")(command(cost))
    app.add_typer(group, name="report")


def cab(
    options: Options,
    digest: Digest,
    gate: Annotated[str, typer.Option("--gate", help="The board's gate.")] = "cab",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page that prints.")] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write it as PDF.")] = None,
) -> None:
    """Make the board's pack from facts, or show the frozen one while it says what is true."""
    with options.open("pilotage report cab") as instance:
        done = make_cab_pack(instance, actor=caller_of(instance, options).principal, release=digest, gate=gate)
    if isinstance(done, Refusal):
        options.refuse(done)
    written = [str(path) for path in (html, pdf) if path is not None]
    if html is not None:
        write_file(html, pack_html(done.facts).encode())
    if pdf is not None:
        write_file(pdf, pack_pdf(done.facts))
    options.show({**done.as_json(), "written": written}, lambda out: _render(out, done, written))


def _render(out: Console, pack: CabPack, written: list[str]) -> None:
    state = "made and frozen now" if pack.created else "frozen before, and still true"
    if not written:
        print_layout(out, lay_out(pack.facts))
    out.print(f"[bold]{pack.digest}[/bold]  attempt {pack.attempt}, {state}")
    for name in pack.missing:
        out.print(f"[red]MISSING[/red] something in {name}")
    for path in written:
        out.print(f"written to {escape(path)}")


def print_layout(out: Console, layout: Layout) -> None:
    """Print what is laid out for paper on a terminal."""
    out.print(f"[bold]{escape(layout.title)}[/bold]")
    for block in (layout.head, *layout.blocks):
        match block:
            case Heading(level=level, text=text):
                out.print(f"\n[bold cyan]{escape(text)}[/bold cyan]" if level == 1 else f"[bold]{escape(text)}[/bold]")
            case Note(text=text):
                out.print(escape(text))
            case Pairs(rows=rows):
                for name, value in rows:
                    out.print(f"  {escape(name)}: {escape(value)}")
            case Grid(columns=columns, rows=rows):
                table = Table(*columns, box=None)
                for row in rows:
                    table.add_row(*(escape(value) for value in row))
                out.print(table)


def risks(options: Options, digest: Digest) -> None:
    """Show the risk register of a release: declared rows and those Pilotage generates."""
    with options.open("pilotage report risks") as instance:
        register_ = risks_of(instance, digest)
    rows = [risk.as_json() for risk in register_]
    options.show({"risks": rows}, lambda out: _render_risks(out, register_))


def _render_risks(out: Console, register_: tuple[Risk, ...]) -> None:
    table = Listing("id", "score!", "rating", "title", "owner", "treatment", "control", "status")
    for one in register_:
        score = f"{one.likelihood} x {one.impact} = {one.score}"
        cells = (one.id, score, one.rating, one.title, one.owner, one.treatment, one.control, one.status)
        table.add_row(*(escape(cell or "-") for cell in cells))
    out.print(table)


def cost(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Whose costs.")],
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Another month than this one.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page that prints.")] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write it as PDF.")] = None,
) -> None:
    """Set plan beside what was spent, say where the month ends, and what a question costs."""
    with options.open("pilotage report cost") as instance:
        actor = caller_of(instance, options).principal
        done = make_cost_report(instance, actor=actor, workflow=workflow, month=month)
    if isinstance(done, Refusal):
        options.refuse(done)
    layout, written = lay_out_costs(done.facts), [str(path) for path in (html, pdf) if path is not None]
    if html is not None:
        write_file(html, layout_html(layout).encode())
    if pdf is not None:
        write_file(pdf, layout_pdf(layout))

    def render(out: Console) -> None:
        if not written:
            print_layout(out, layout)
        for path in written:
            out.print(f"written to {escape(path)}")

    options.show({**done.as_json(), "written": written}, render)
