"""`pilotage mitigation open | change | close | list`: what is done about a finding of the fairness suite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, add_group
from pilotage.cli.shown import Listing
from pilotage.control.change_mitigation import MitigationChange, change_mitigation
from pilotage.control.mitigate import (
    MitigationRequest,
    close_by_acceptance,
    close_by_run,
    mitigations_of,
    open_mitigation,
)
from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.evaluation.mitigation import Mitigation

_FIELDS = ("mitigation", "state", "metric", "attribute", "owner", "due", "decision")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "mitigation",
        "What is done about a finding of the fairness suite.",
        open=open_,
        change=change,
        close=close,
        list=list_,
    )


def open_(
    options: Options,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The fairness run that found it.")],
    attribute: Annotated[str, typer.Option(help="The attribute, as its report names it.")],
    metric: Annotated[str, typer.Option(help="The figure: flip_rate, difference, impact_ratio, equalized_odds ...")],
    action: Annotated[str, typer.Option(help="What is done about it.")],
    owner: Annotated[str, typer.Option(metavar="PERSON", help="Who does it.")],
    due: Annotated[str, typer.Option(metavar="DAY", help="By when: 2026-12-31.")],
) -> None:
    """Open a mitigation of what a fairness run found."""
    request = MitigationRequest(attribute=attribute, metric=metric, action=action, owner=owner, due=due)
    with options.open("pilotage mitigation open") as instance:
        now = instance.clock.now()
        done = open_mitigation(instance, actor=options.actor(instance), run=run, request=request)
    _show(options, done, now)


def change(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="ID", help="The mitigation.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")],
    owner: Annotated[str | None, typer.Option(metavar="PERSON", help="Who does it from now on.")] = None,
    due: Annotated[str | None, typer.Option(metavar="DAY", help="By when: 2026-12-31.")] = None,
) -> None:
    """Give a mitigation another owner or day; its own owner only names an earlier one."""
    with options.open("pilotage mitigation change") as instance:
        now, asked = instance.clock.now(), MitigationChange(reason=reason, owner=owner, due=due)
        done = change_mitigation(instance, actor=options.actor(instance), name=name, change=asked)
    _show(options, done, now)


def close(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="ID", help="The mitigation.")],
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="A GO of the suite on a release that came after.")
    ] = None,
    acceptance: Annotated[str | None, typer.Option(metavar="ID", help="A risk acceptance that holds.")] = None,
) -> None:
    """Close a mitigation that somebody else owns: by a GO on another release, or by a risk acceptance."""
    if (run is None) == (acceptance is None):
        raise UsageError("MITIGATION_CLOSING", "Give what closes it.", hint="Either --run RUN or --acceptance ID.")
    with options.open("pilotage mitigation close") as instance:
        now, actor = instance.clock.now(), options.actor(instance)
        if run is not None:
            done = close_by_run(instance, actor=actor, name=name, run=run)
        else:
            done = close_by_acceptance(instance, actor=actor, name=name, acceptance=acceptance or "")
    _show(options, done, now)


def list_(
    options: Options,
    workflow: Annotated[str | None, typer.Argument(metavar="WORKFLOW", help="One workflow; all without.")] = None,
) -> None:
    """List mitigations, newest first: what was found, who does what by when, and what closed it."""
    with options.open("pilotage mitigation list") as instance:
        found = mitigations_of(instance, workflow=workflow)
    options.show(found, lambda out: _render(out, found))


def _show(options: Options, done: Mitigation | Refusal, now: datetime) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    state = done.state(now).value
    line = f"Mitigation {done.id} of {done.finding.metric} over {done.finding.attribute} is {state}."
    until = f" {done.owner} does it by {done.due}." if done.closing is None else ""
    options.show(done.as_json(now), lambda out: out.print(escape(line + until)))


def _render(out: Console, found: Mapping[str, list[dict[str, Json]]]) -> None:
    table = Listing("mitigation!", "state", "metric", "attribute", "owner", "due", "decision")
    for one in found["mitigations"]:
        name, state, *words = (escape(str(one[field] or "")) for field in _FIELDS)
        colour = {"overdue": "red", "closed": "green"}.get(state, "yellow")
        table.add_row(name, f"[{colour}]{state}[/{colour}]", *words)
    out.print(table)
