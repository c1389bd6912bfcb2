"""`pilotage gate emergency | emergency-review | emergencies | confirm`: changes that do not wait, and what follows."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.shown import Listing
from pilotage.control.confirm_go_live import GO_LIVE, confirm_go_live
from pilotage.control.emergency_change import EmergencyRequest, declare_emergency, review_emergency
from pilotage.control.emergency_reports import EmergencyReport, emergency_report
from pilotage.core.reason import Refusal
from pilotage.gate.emergency import Emergency

_Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]


def add_changes(group: typer.Typer) -> None:
    """Add the commands to `pilotage gate`."""
    for name, function in (
        ("emergency", emergency),
        ("emergency-review", review),
        ("emergencies", emergencies),
        ("confirm", confirm),
    ):
        group.command(name)(command(function))


def emergency(
    options: Options,
    digest: _Digest,
    incident: Annotated[str, typer.Option("--incident", metavar="ID", help="The open incident it is for.")],
    space: Annotated[list[str], typer.Option("--space", help="A space it may enter; once per space.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it cannot wait for its sign-offs.")],
) -> None:
    """Open an emergency change, or confirm the one another person opened by giving the same command."""
    request = EmergencyRequest(incident=incident, spaces=tuple(space), reason=reason)
    with options.open("pilotage gate emergency") as instance:
        now = instance.clock.now()
        actor = options.actor(instance)
        done = declare_emergency(instance, actor=actor, release=digest, request=request)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(now), lambda out: _render_one(out, done))


def _render_one(out: Console, one: Emergency) -> None:
    spaces = ", ".join(one.spaces)
    if one.confirmed_at is None:
        out.print(f"Emergency {one.id} for {spaces} waits for its second person: the same command, by")
        out.print("security-director or operations-lead, who neither made nor sealed the release.")
        return
    out.print(f"Emergency {one.id} lets {one.release[:19]} into {spaces} until {one.expires_at:%Y-%m-%d %H:%M} UTC.")
    out.print("Unless every gate is approved by then, it is rolled back.")
    out.print(f"Look back at it by {one.review_due_at:%Y-%m-%d}: pilotage gate emergency-review {one.id}")


def review(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="ID", help="The emergency.")],
    notes: Annotated[str, typer.Option("--notes", help="What was found: was it one, and what follows.")],
) -> None:
    """Record the look back at an emergency, as a member of the board who let nothing in."""
    with options.open("pilotage gate emergency-review") as instance:
        now = instance.clock.now()
        done = review_emergency(instance, actor=options.actor(instance), name=name, notes=notes)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(now), lambda out: out.print(f"{done.reviewed_by} looked back at emergency {done.id}."))


def confirm(
    options: Options,
    digest: _Digest,
    space: Annotated[str | None, typer.Option("--space", help="The production space; the first without.")] = None,
    gate: Annotated[str, typer.Option("--gate", help="The gate whose post half it is.")] = GO_LIVE,
    comment: Annotated[str, typer.Option("--comment", help="What you saw.")] = "",
    bind: Annotated[str | None, typer.Option("--bind", help="The bind you were shown.")] = None,
) -> None:
    """Confirm after the first traffic that the release is well in its space."""
    with options.open("pilotage gate confirm") as instance:
        actor = options.actor(instance)
        done = confirm_go_live(
            instance, actor=actor, release=digest, gate=gate, space=space, comment=comment, bind=bind
        )
    if isinstance(done, Refusal):
        options.refuse(done)
    text = f"{done.vote.person} confirms {gate}: its post half is {done.report.status.value}."
    options.show(done.as_json(), lambda out: out.print(text))


def emergencies(
    options: Options,
    workflow: Annotated[str | None, typer.Argument(metavar="WORKFLOW", help="One workflow; all without.")] = None,
) -> None:
    """List emergency changes with what is due, and their rate over 90 days."""
    with options.open("pilotage gate emergencies") as instance:
        found = emergency_report(instance, workflow=workflow)
    options.show(found.as_json(), lambda out: _render(out, found))


def _render(out: Console, found: EmergencyReport) -> None:
    table = Listing("emergency!", "release!", "state", "spaces", "until", "looked back")
    for one in found.emergencies:
        due = f"due {one.review_due_at:%Y-%m-%d}"
        looked = one.reviewed_by or (f"[red]over{due}[/red]" if one.is_overdue(found.at) else due)
        until = f"{one.expires_at:%Y-%m-%d %H:%M}"
        table.add_row(one.id, one.release[:19], one.state(found.at), escape(", ".join(one.spaces)), until, looked)
    out.print(table)
    colour = "red" if found.rate.is_alert else "green"
    out.print(f"[{colour}]{escape(found.rate.text)}[/{colour}]")
