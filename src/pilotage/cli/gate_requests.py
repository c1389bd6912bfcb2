"""`pilotage gate request-changes | close-request | requests | checklists`: what people at a gate ask, and answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.caller import caller_of
from pilotage.cli.options import Options, command
from pilotage.cli.shown import minute
from pilotage.control.preview_vote import view_gate
from pilotage.control.request_changes import Wish, close_request, list_request_page, request_changes
from pilotage.core.clock import to_text
from pilotage.core.reason import Refusal
from pilotage.gate.change_request import ChangeRequest
from pilotage.gate.checklists import ChecklistState

_Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]


def add_requests(group: typer.Typer) -> None:
    """Add the commands to `pilotage gate`."""
    for name, function in (
        ("request-changes", request),
        ("close-request", close),
        ("requests", requests),
        ("checklists", checklists),
    ):
        group.command(name)(command(function))


def request(
    options: Options,
    digest: _Digest,
    gate: Annotated[str, typer.Option("--gate", help="Gate, as gates/*.yaml names it.")],
    role: Annotated[str, typer.Option("--role", "--seat", help="Role or seat in which you ask.")],
    change: Annotated[str, typer.Option("--change", metavar="TEXT", help="What is to be changed.")],
    space: Annotated[str | None, typer.Option("--space", help="For a gate that runs once per space.")] = None,
) -> None:
    """Ask the release's authors for a change; it decides nothing, and their next release answers it."""
    with options.open("pilotage gate request-changes") as instance:
        wish = Wish(gate=gate, role=role, text=change, space=space)
        done = request_changes(instance, actor=options.actor(instance), release=digest, wish=wish)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"{done.id}: waits for the authors of {done.release[:19]}."))


def close(
    options: Options,
    request: Annotated[str, typer.Argument(metavar="ID", help="As `pilotage gate requests` names it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it ends without another release.")],
) -> None:
    """Close a request for changes that you made."""
    with options.open("pilotage gate close-request") as instance:
        done = close_request(instance, actor=options.actor(instance), request=request, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"{done.id} is closed."))


def requests(
    options: Options,
    digest: _Digest,
    gate: Annotated[str | None, typer.Option("--gate", help="One gate; all of them without.")] = None,
    page: Annotated[str | None, typer.Option("--page", metavar="KEY", help="What the page before ended with.")] = None,
) -> None:
    """List what people at gates want changed about a release, oldest first."""
    with options.open("pilotage gate requests") as instance:
        found = list_request_page(instance, release=digest, gate=gate, after=page)
    options.show(found.as_json(), lambda out: _render(out, found.requests, found.more))


def _render(out: Console, found: tuple[ChangeRequest, ...], more: str | None) -> None:
    for one in found:
        how = one.state if one.answered_by is None else f"answered by {one.answered_by[:19]}"
        out.print(f"[bold]{escape(one.text)}[/bold]")
        out.print(f"    {one.person} as {one.role.value} at {one.gate}, {minute(to_text(one.at))}: {how}")
        out.print(f"    [dim]{one.id}[/dim]")
    if not found:
        out.print("Nobody wants anything changed.")
    if more is not None:
        out.print(f"[dim]more requests: --page {more}[/dim]")


def checklists(
    options: Options,
    digest: _Digest,
    gate: Annotated[str, typer.Option("--gate", help="Gate, as gates/*.yaml names it.")],
    space: Annotated[str | None, typer.Option("--space", help="For a gate that runs once per space.")] = None,
) -> None:
    """Show the checklists of regulations at a gate: items, evidence, and who answered how."""
    with options.open("pilotage gate checklists") as instance:
        actor = caller_of(instance, options).principal
        found = view_gate(instance, actor=actor, release=digest, gate=gate, space=space).checklists
    options.show({"checklists": [one.as_json() for one in found]}, lambda out: _render_checklists(out, found))


def _render_checklists(out: Console, found: Sequence[ChecklistState]) -> None:
    for one in found:
        of = one.regulation
        out.print(f"[bold]{escape(of.title)}[/bold]  {of.name}, answered by {one.role.value}, {one.open_items} open")
        out.print(f"    [dim]{escape(of.source)}, read {of.as_of}[/dim]")
        for state in one.items:
            out.print(f"  {of.key(state.item)}: {escape(state.item.text)} [dim]({escape(state.item.cite)})[/dim]")
            if state.missing:
                out.print(f"    [yellow]missing: {', '.join(state.missing)}[/yellow]")
            for vote, answer in state.answers:
                out.print(f"    {vote.person}, {minute(to_text(vote.at))}: {escape(answer)}")
    if not found:
        out.print("This gate names no checklist of regulations/.")
