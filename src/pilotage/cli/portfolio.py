"""`pilotage portfolio rank | advise`: what to fund next, with every number it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.cli.shown import Listing, minute
from pilotage.control.view_portfolio import AdviceView, PortfolioView, view_advice, view_portfolio
from pilotage.core.clock import to_text
from pilotage.portfolio.bands import Funding
from pilotage.portfolio.data_readiness import DataReadiness
from pilotage.portfolio.decision_aid import Advice
from pilotage.portfolio.measures import Measure
from pilotage.portfolio.ranking import Input, Ranked

_FORMULA = (
    "index = value x K x D. K: 1 with a measured KPI, 0.5 with one that is not, 0 without. D: data readiness. "
    "Estimates count with 80 %."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app, "portfolio", "What to fund next: use cases ranked by value, evidence and data.", rank=rank, advise=advise
    )


def rank(options: Options) -> None:
    """Rank the use cases of portfolio.yaml, with the inputs of each rank and what is not ranked."""
    with options.open("pilotage portfolio rank") as instance:
        options.actor(instance)
        found = view_portfolio(instance)
    options.show(found.as_json(), lambda out: _render(out, found))


def advise(
    options: Options, use_case: Annotated[str, typer.Argument(metavar="USE_CASE", help="As portfolio.yaml names it.")]
) -> None:
    """Choose between retrieval, fine-tuning, both and a prompt alone, with reasons and what would change it."""
    with options.open("pilotage portfolio advise") as instance:
        options.actor(instance)
        found = view_advice(instance, use_case=use_case)
    options.show(found.as_json(), lambda out: _render_advice(out, found))


def _render(out: Console, found: PortfolioView) -> None:
    for problem in found.problems:
        out.print(f"[red]left out[/red] {escape(str(problem))}", soft_wrap=True)
    if not found.rows:
        out.print("Nothing to rank: write use_cases in portfolio.yaml; docs/guide/portfolio.md has two examples.")
        return
    out.print(f"[bold]What to fund next[/bold], in {found.currency} a year, as of {minute(to_text(found.at))} UTC")
    out.print(f"[dim]{_FORMULA}[/dim]\n")
    table = Listing("rank!", "use case!", "index!", "value!", "K!", "D!", "build on")
    for row in found.rows:
        table.add_row(*_cells(row, found.advice[row.case.name]))
    out.print(table)
    for row in found.rows:
        _render_row(out, row)
    _render_bands(out, found)


def _cells(row: Ranked, advice: Advice) -> tuple[str, ...]:
    place = "-" if row.rank is None else str(row.rank)
    cells = (place, row.case.name, amount(row.index), amount(row.value), number(row.weight), ready(row.readiness))
    return tuple(escape(cell) for cell in (*cells, advice.said))


def _render_row(out: Console, row: Ranked) -> None:
    case = row.case
    place = "not ranked" if row.rank is None else f"rank {row.rank}"
    workflow = f", workflow {escape(case.workflow)}" if case.workflow else ""
    out.print(f"\n[bold]{escape(case.name)}[/bold]  {place}, owner {escape(case.owner)}{workflow}")
    for reason in row.reasons:
        out.print(f"  [red]{escape(reason.code)}[/red] {escape(reason.text)}")
    for mark in row.marks:
        out.print(f"  [yellow]{escape(mark.code)}[/yellow] {escape(mark.text)}")
    table = Listing("  input!", "value!", "source!", "date!", "counts with")
    for one in row.inputs:
        table.add_row(*_input_cells(one))
    out.print(table)
    for measure in row.assessed.measures:
        out.print(f"  KPI {escape(_measure(measure))}")
    for aspect in row.readiness.scores:
        if aspect.score is None:
            continue
        who = f" ({aspect.by}, {aspect.day})" if aspect.by else ""
        name = aspect.aspect.value.replace("_", " ")
        out.print(f"  [dim]D {name} {number(aspect.score)}: {escape(aspect.text)}{escape(who)}[/dim]")


def _input_cells(one: Input) -> tuple[str, ...]:
    written = one.written
    if written is None:
        return f"  {one.name}", "unknown", "-", "-", "nothing: unknown"
    old = " (old)" if one.is_old else ""
    counted = "nothing: unknown" if one.counts_with is None else number(one.counts_with)
    return f"  {one.name}", number(written.value), str(written.source), f"{written.date}{old}", counted


def _measure(one: Measure) -> str:
    if one.unit is None:
        return f"{one.name}: no unit, baseline or target is written"
    baseline = "unknown" if one.baseline is None else number(one.baseline)
    target = "unknown" if one.target is None else number(one.target)
    return f"{one.title}: from {baseline} to {target} {one.unit} ({one.source or 'no source'}, {one.day or 'no date'})"


def _render_bands(out: Console, found: PortfolioView) -> None:
    if not found.bands:
        return
    out.print(f"\n[bold]Bands[/bold], in {found.currency}")
    table = Listing("band!", "from!", "to!", "released by!", "signer!", "planned!", "spent")
    for one in found.bands:
        band = one.band
        limits = f"{band.minimum:,}", f"{band.maximum:,}"
        table.add_row(escape(band.name), *limits, escape(band.released_by), band.signer, *_paid(one))
    out.print(table)
    for reason in (*found.findings, *(finding for one in found.bands for finding in one.findings)):
        out.print(f"  [yellow]{escape(reason.code)}[/yellow] {escape(reason.text)}")


def _paid(one: Funding) -> Iterator[str]:
    yield from ("unknown" if paid is None else f"{paid:,}" for paid in (one.planned, one.spent))


def _render_advice(out: Console, found: AdviceView) -> None:
    advice = found.advice
    out.print(f"[bold]{escape(found.case.name)}[/bold]: build on [bold]{advice.said}[/bold]")
    for reason in advice.reasons:
        out.print(f"  {escape(reason.text)} [dim]{escape(reason.where or '')}[/dim]")
    for name in advice.missing:
        out.print(f"  [yellow]open[/yellow] nobody answered {escape(name.replace('_', ' '))}")
    for change in advice.changes:
        said = change.fact.replace("_", " ")
        out.print(f"  [dim]were {escape(said)} {escape(change.to)}: {change.choice}[/dim]")


def amount(value: Decimal | None) -> str:
    """Return money as people read it; None is unknown."""
    return "unknown" if value is None else f"{value:,.2f}".removesuffix(".00")


def number(value: Decimal) -> str:
    """Return a number without zeros at its end."""
    return f"{value.normalize():,f}"


def ready(readiness: DataReadiness) -> str:
    """Return D, or between what it is."""
    if readiness.value is None:
        return f"{number(readiness.least)} to {number(readiness.most)}"
    return number(readiness.value)
