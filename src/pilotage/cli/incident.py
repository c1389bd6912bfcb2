"""`pilotage incident list | show | open | update | close`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.rollback import followed, render
from pilotage.cli.shown import Listing, minute, print_record, short
from pilotage.control.declare_hard_event import declare_hard_event
from pilotage.control.follow_rollback import rollback_json
from pilotage.control.incident_reports import incident_detail, incident_json, incident_list
from pilotage.control.manage_incident import Change, open_by_person, update_incident
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.core.yaml_source import load_plain_yaml
from pilotage.incident.records import HardKind, IncidentState, Severity

Identifier = Annotated[str, typer.Argument(metavar="ID")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Incidents: found, acknowledged, mitigated, learned from.")
    for name, function in (
        ("list", list_all),
        ("show", show),
        ("open", open_new),
        ("update", update),
        ("close", close),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="incident")


def list_all(
    options: Options,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only this workflow's.")] = None,
    state: Annotated[IncidentState | None, typer.Option("--state", help="Only those in this state.")] = None,
    severity: Annotated[Severity | None, typer.Option("--severity", help="Only those of this severity.")] = None,
    page: Annotated[str | None, typer.Option("--page", help="Key of the next page.")] = None,
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
) -> None:
    """List incidents, newest first, with the time to recover over them."""
    with options.open("pilotage incident list") as instance:
        found = incident_list(
            instance, workflow=workflow, only_open=only_open, state=state, severity=severity, page=page
        )
    options.show(found, lambda out: _render_list(out, found))


def _render_list(out: Console, found: dict[str, Any]) -> None:
    table = Listing("incident!", "severity!", "state!", "workflow", "cause", "detected!")
    for one in found["incidents"]:
        cause = f"[drill] {one['cause']}" if one["drill"] else one["cause"]
        table.add_row(
            one["incident"],
            one["severity"],
            one["state"],
            escape(one["workflow"]),
            escape(cause),
            minute(one["detected_at"]),
        )
    out.print(table)
    if found["next_page"]:
        out.print(f"older incidents: --page {found['next_page']}")
    mean = found["mttr_minutes"]
    out.print(
        f"{found['open']} open; mean time to recover {'not known yet' if mean is None else f'{mean:.1f} minutes'}."
    )
    worst = ", ".join(f"{count} {severity}" for severity, count in found["by_severity"].items() if count)
    share = found["found_by_machine"]
    if share is not None:
        out.print(f"{worst}; {float(share):.0%} were found by Pilotage before a person reported them.")


def show(options: Options, identifier: Identifier) -> None:
    """Show an incident with its timeline."""
    with options.open("pilotage incident show") as instance:
        found = incident_detail(instance, identifier)
    options.show(found, lambda out: render_incident(out, found))


def render_incident(out: Console, found: Mapping[str, Any]) -> None:
    """Print an incident as on-call reads it: what, where, who, since when, and what was done."""
    kind = "drill, " if found["drill"] else ""
    out.print(
        f"[bold]{found['incident']}[/bold]  {kind}{found['severity']}, {found['state']}: {escape(found['cause'])}"
    )
    out.print(escape(short(found["summary"])))
    rows = {
        "where": f"{found['workflow']} in {', '.join(found['spaces']) or 'no space'}",
        "release": short(found["release"] or "-"),
        "rollout": found["rollout"] or "-",
        "commander": found["commander"] or "nobody yet",
        "responders": ", ".join(found["responders"]) or "nobody",
        **{name: minute(found[f"{name}_at"]) for name in _MOMENTS if found[f"{name}_at"]},
        "freezes": "rollouts, promotions and `corpus accept` wait for it" if found["freezes"] else "nothing",
        "post-mortem": _state_of_post_mortem(found),
    }
    for name, value in rows.items():
        out.print(f"  [dim]{name:12}[/dim] {escape(str(value))}")
    out.print("[bold]Timeline[/bold] (UTC)")
    for line in found["timeline"]:
        out.print(f"  {minute(line['at'])}  {escape(line['actor'])}: {escape(short(line['text']))}")
    written = found["postmortem"] or found["draft"]
    if written:
        out.print("[bold]Post-mortem[/bold]" if found["postmortem"] else "[bold]Post-mortem, drafted[/bold]")
        print_record(out, {key: short(value) if isinstance(value, str) else value for key, value in written.items()})


def _state_of_post_mortem(found: Mapping[str, Any]) -> str:
    written, due = found["postmortem"], found["post_mortem_due"]
    if written:
        by = written["approved_by"]
        return f"approved by {by}" if by else "written; somebody else has to approve it"
    return f"due {minute(due)}" if due else "not needed"


_MOMENTS = ("started", "detected", "acknowledged", "mitigated", "resolved", "closed")


def open_new(
    options: Options,
    workflow: Annotated[str, typer.Option("--workflow")],
    space: Annotated[str, typer.Option("--space", help="Where it was found.")],
    summary: Annotated[str, typer.Option("--summary", help="What is wrong, without any question or answer text.")],
    severity: Annotated[Severity, typer.Option("--severity")] = Severity.SEV3,
    kind: Annotated[
        HardKind | None, typer.Option("--kind", help="A hard event: rolls the release back everywhere.")
    ] = None,
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Needed with --kind.")] = False,
) -> None:
    """Open an incident, or declare a hard event."""
    if kind is not None and not confirm:
        message = f"{kind.value} rolls {workflow} back in every space at once."
        raise UsageError("CONFIRM", message, hint="Write --confirm when that is meant.")
    with options.open("pilotage incident open") as instance:
        actor = options.actor(instance)
        if kind is None:
            found = open_by_person(
                instance, actor=actor, workflow=workflow, space=space, severity=severity, summary=summary
            )
            if isinstance(found, Refusal):
                options.refuse(found)
            options.show(incident_json(found), lambda out: out.print(f"Incident {found.id} is {found.state}."))
            return
        moved = declare_hard_event(instance, actor=actor, kind=kind, workflow=workflow, reason=summary, space=space)
        if isinstance(moved, Refusal):
            options.refuse(moved)
        done = tuple(followed(instance, one, 5.0) for one in moved)
    options.show({"rollbacks": [rollback_json(one) for one in done]}, lambda out: render(out, done))


def update(
    options: Options,
    identifier: Identifier,
    state: Annotated[IncidentState | None, typer.Option("--state")] = None,
    severity: Annotated[Severity | None, typer.Option("--severity", help="Lowering it needs --note.")] = None,
    commander: Annotated[str | None, typer.Option("--commander", metavar="PERSON")] = None,
    file: Annotated[Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Post-mortem, YAML.")] = None,
    note: Annotated[str, typer.Option("--note", help="A line for the timeline.")] = "",
    *,
    lift_freeze: Annotated[bool, typer.Option("--lift-freeze", help="Let traffic go up again.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Approve the post-mortem, as a second person.")] = False,
) -> None:
    """Acknowledge, change, or add to the timeline."""
    change = Change(
        state=state,
        severity=severity,
        commander=commander,
        lift_freeze=lift_freeze,
        post_mortem=None if file is None else _post_mortem(file),
        approve=approve,
        note=note,
    )
    _change(options, identifier, change, "pilotage incident update")


def _post_mortem(file: Path) -> dict[str, Any]:
    value = load_plain_yaml(file.read_bytes(), file=str(file))
    if not isinstance(value, dict):
        message = f"{file} holds no post-mortem."
        raise UsageError("POST_MORTEM", message, hint="Write cause, informed and actions.")
    return value


def close(
    options: Options,
    identifier: Identifier,
    note: Annotated[str, typer.Option("--note", help="A line for the timeline.")] = "",
) -> None:
    """Close an incident; SEV1 and SEV2 need an approved post-mortem."""
    _change(options, identifier, Change(state=IncidentState.CLOSED, note=note), "pilotage incident close")


def _change(options: Options, identifier: str, change: Change, name: str) -> None:
    with options.open(name) as instance:
        actor = options.actor(instance)
        done = update_incident(instance, actor=actor, incident=identifier, change=change)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(incident_json(done), lambda out: out.print(f"Incident {done.id} is {done.state}, {done.severity}."))
