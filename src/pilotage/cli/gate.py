"""`pilotage gate status | sign | accept-risk | delegate | recuse | reopen | fact | export` and `pilotage promote`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.caller import caller_of
from pilotage.cli.gate_changes import add_changes
from pilotage.cli.gate_requests import add_requests
from pilotage.cli.gate_standard import add_standard
from pilotage.cli.options import NO, Options, command
from pilotage.cli.shown import Listing, short
from pilotage.cli.written import write_file
from pilotage.control.accept_risk import RiskText, accept_risk
from pilotage.control.change_state import change_of
from pilotage.control.export_decision import export_decision
from pilotage.control.gate_duties import Handing, StandAside, confirm_fact, delegate_role, recuse, reopen_gate
from pilotage.control.gate_status import gate_status
from pilotage.control.gate_withdrawals import revoke_named
from pilotage.control.promote_release import promote_release
from pilotage.control.sign_gate import Ballot, sign_gate
from pilotage.core.clock import to_text
from pilotage.core.durations import parse_duration
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.core.yaml_source import load_plain_yaml
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half, said
from pilotage.identity.roles import parse_role
from pilotage.workspace.gate import Gate

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]
GateName = Annotated[str, typer.Option("--gate", help="Gate, as gates/*.yaml names it.")]
SpaceName = Annotated[
    str | None, typer.Option("--space", help="Production space, for a gate that runs once per space.")
]
RoleName = Annotated[str, typer.Option("--role", help="Role or seat in which you act.")]
Why = Annotated[str, typer.Option("--reason", help="Why.")]
_COLOURS = {"approved": "green", "approved_with_risk_acceptance": "green", "rejected": "red", "blocked": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Approvals bound to evidence.")
    for name, function in (
        ("status", status),
        ("sign", sign),
        ("accept-risk", accept),
        ("delegate", delegate),
        ("recuse", stand_aside),
        ("revoke", revoke),
        ("reopen", reopen),
        ("fact", fact),
        ("export", export),
    ):
        group.command(name)(command(function))
    add_requests(group)
    add_changes(group)
    add_standard(group)
    app.add_typer(group, name="gate")
    app.command("promote")(command(promote))


def status(
    options: Options,
    digest: Digest,
    gate: Annotated[str | None, typer.Option("--gate", help="One gate; all of them without.")] = None,
    space: SpaceName = None,
    *,
    post: Annotated[bool, typer.Option("--post", help="The half after the first traffic.")] = False,
) -> None:
    """Show where a release stands, what is missing, and who can bring it."""
    with options.open("pilotage gate status") as instance:
        found = gate_status(instance, digest, gate=gate, space=space, half=Half.POST if post else Half.PRE)
        change = change_of(instance, digest).as_json() if options.as_json else {}
    if gate is None:
        options.show({"gates": [one.as_json() for one in found], **change}, lambda out: _render_line(out, found))
        return
    (report,) = found
    options.show({**report.as_json(), **change}, lambda out: render_report(out, report))
    if not report.status.is_approved:
        raise SystemExit(NO)


def _render_line(out: Console, found: tuple[GateReport, ...]) -> None:
    table = Listing("gate!", "status!", "criteria!", "sign-offs!", "first reason")
    for one in found:
        colour = _COLOURS.get(one.status.value, "yellow")
        met = sum(1 for criterion in one.criteria if criterion.holds)
        signed = sum(1 for signoff in one.signoffs if signoff.is_complete)
        why = one.reasons[0].text if one.reasons else (one.missing[0].text if one.missing else "")
        table.add_row(
            one.gate,
            f"[{colour}]{one.status.value}[/{colour}]",
            f"{met} of {len(one.criteria)}",
            f"{signed} of {len(one.signoffs)}",
            escape(short(why)),
        )
    out.print(table)


def render_report(out: Console, report: GateReport) -> None:
    """Print a report for a person: status, criteria, sign-offs, what is missing."""
    colour = _COLOURS.get(report.status.value, "yellow")
    out.print(f"[bold]{report.gate}[/bold]  [{colour}]{report.status.value}[/{colour}]  attempt {report.attempt}")
    table = Listing("criterion!", "state!", "observed!", "limit!", "why")
    for one in report.criteria:
        shown = one.as_json()
        reason = shown["reason"]
        why = reason["text"] if isinstance(reason, dict) else ""
        state = f"accepted by {one.accepted_by}" if one.accepted_by else one.state
        cells = (one.id, state, shown["observed"] or "-", shown["limit"] or "-", why)
        table.add_row(*(escape(str(cell)) for cell in cells))
    out.print(table)
    for signoff in report.signoffs:
        who = ", ".join((*signoff.approved_by, *signoff.via_review)) or "-"
        seat = "seat " if signoff.is_seat else ""
        out.print(
            f"  {seat}{signoff.role.value}: {len(who.split(', ')) if who != '-' else 0} of {signoff.needed}  {who}"
        )
        for person, why in signoff.not_counted:
            out.print(f"    [yellow]{person}: {why.code} {escape(why.text)}[/yellow]")
    for found in report.reasons:
        out.print(f"[red]{found.code}[/red] {escape(found.text)}")
    for found in report.missing:
        out.print(f"[yellow]{found.code}[/yellow] {escape(found.text)}")
    out.print(f"[dim]bind {report.bind}[/dim]")


def sign(
    options: Options,
    digest: Digest,
    gate: GateName,
    role: Annotated[str, typer.Option("--role", "--seat", help="Role or board seat in which you decide.")],
    decision: Annotated[str, typer.Option(help="approve, reject or abstain.")],
    comment: Annotated[str, typer.Option(help="Needed for reject, abstain, and votes with a risk acceptance.")] = "",
    bind: Annotated[str | None, typer.Option(help="The bind you were shown; refused when it moved.")] = None,
    checklist: Annotated[Path | None, typer.Option(help="YAML: item: yes, or n/a with the reason.")] = None,
    space: SpaceName = None,
    delegated_from: Annotated[str | None, typer.Option("--for", help="Whom you vote for, by their delegation.")] = None,
    *,
    post: Annotated[bool, typer.Option("--post", help="The half after the first traffic.")] = False,
    yes_to_all: Annotated[bool, typer.Option("--checked", help="Answer every checklist item with yes.")] = False,
) -> None:
    """Decide about a release at a gate, in a role or seat."""
    with options.open("pilotage gate sign") as instance:
        answers = _answers(checklist)
        if yes_to_all:
            answers = {**_all_yes(instance.workspace.gates.get(gate), post=post), **answers}
        ballot = Ballot(
            gate=gate,
            role=role,
            decision=decision,
            comment=comment,
            checklist=answers,
            bind=bind,
            half=Half.POST if post else Half.PRE,
            space=space,
            delegated_from=delegated_from,
            login=options.login(instance),
        )
        done = sign_gate(instance, actor=options.actor(instance), release=digest, ballot=ballot)
    if isinstance(done, Refusal):
        options.refuse(done)
    vote = done.vote
    options.show(
        done.as_json(),
        lambda out: out.print(
            f"{vote.person} {said(vote.decision)} as {vote.role.value}: {vote.gate} is {done.report.status.value}."
        ),
    )


def _answers(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    found = load_plain_yaml(path.read_bytes(), file=str(path))
    if not isinstance(found, dict):
        raise UsageError("CHECKLIST", f"{path} is no mapping.", hint="Write one line per item: item: yes")
    return {str(item): "yes" if answer is True else str(answer) for item, answer in found.items()}


def _all_yes(gate: Gate | None, *, post: bool) -> dict[str, str]:
    half = None if gate is None else (gate.post if post and gate.post is not None else gate.pre)
    return {} if half is None else {item: "yes" for signoff in half.signoffs for item in signoff.questions}


def accept(
    options: Options,
    digest: Digest,
    gate: GateName,
    file: Annotated[Path, typer.Option("--file", help="RISK.yaml: what is accepted, why, until when.")],
) -> None:
    """Accept a documented risk, or join the acceptance written from the same file."""
    if not file.is_file():
        raise UsageError("FILE_UNKNOWN", f"There is no file {file}.", hint="Write the path of the risk acceptance.")
    with options.open("pilotage gate accept-risk") as instance:
        actor = options.actor(instance)
        text = RiskText(data=file.read_bytes(), file=file.name, login=options.login(instance))
        done = accept_risk(instance, actor=actor, release=digest, gate=gate, text=text)
    if isinstance(done, Refusal):
        options.refuse(done)

    def render(out: Console) -> None:
        out.print(f"{done.risk.id}: {escape(done.risk.risk)} accepted until {done.risk.expires:%Y-%m-%d}.")
        for reason in done.open:
            out.print(f"[yellow]{reason.code}[/yellow] {escape(reason.text)}")
        out.print(f"Gate {gate} is {done.report.status.value}.")

    options.show(done.as_json(), render)


def delegate(
    options: Options,
    to: Annotated[str, typer.Option("--to", help="Who votes instead.")],
    role: RoleName,
    reason: Why,
    gate: Annotated[list[str] | None, typer.Option("--gate", help="At which gates; all without.")] = None,
    for_: Annotated[str, typer.Option("--days", metavar="DURATION", help="How long, at most 30d.")] = "7d",
) -> None:
    """Let another person vote in a role you hold."""
    with options.open("pilotage gate delegate") as instance:
        until = instance.clock.now() + _span(for_)
        handing = Handing(to=to, role=parse_role(role), gates=frozenset(gate or ()), until=until, reason=reason)
        done = delegate_role(instance, actor=options.actor(instance), handing=handing)
    if isinstance(done, Refusal):
        options.refuse(done)
    result = {"delegation": done.id, "to": done.to, "role": done.role.value, "until": to_text(done.until)}
    options.show(result, lambda out: out.print(f"{done.to} votes as {done.role.value} until {done.until:%Y-%m-%d}."))


def _span(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError("DURATION", str(error)) from None


def stand_aside(
    options: Options,
    digest: Digest,
    gate: GateName,
    role: RoleName,
    alternate: Annotated[str, typer.Option(help="Registered alternate of the seat.")],
    reason: Why,
) -> None:
    """Stand aside from your seat for its registered alternate."""
    with options.open("pilotage gate recuse") as instance:
        aside = StandAside(gate=gate, role=parse_role(role), alternate=alternate, reason=reason)
        refusal = recuse(instance, actor=options.actor(instance), release=digest, aside=aside)
    if refusal is not None:
        options.refuse(refusal)
    options.show({"role": role, "alternate": alternate}, lambda out: out.print(f"{alternate} stands in for {role}."))


def revoke(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="ID", help="A delegation or a risk acceptance.")],
    reason: Why,
) -> None:
    """End a delegation you gave, or withdraw a risk acceptance you own or approved."""
    with options.open("pilotage gate revoke") as instance:
        done = revoke_named(instance, actor=options.actor(instance), name=name, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"revoked": name, "kind": done}, lambda out: out.print(f"The {done} {name} has ended."))


def reopen(options: Options, digest: Digest, gate: GateName, reason: Why) -> None:
    """Open the next attempt after a reject, once there is new evidence."""
    with options.open("pilotage gate reopen") as instance:
        done = reopen_gate(instance, actor=options.actor(instance), release=digest, gate=gate, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"gate": gate, "attempt": done.number}, lambda out: out.print(f"{gate}: attempt {done.number}."))


def fact(
    options: Options,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    kind: Annotated[
        str, typer.Option(help="alert_test (a test alert arrived) or test_page (a page was acknowledged).")
    ],
) -> None:
    """State that a test alert arrived or a test page was acknowledged; who is on duty says so."""
    with options.open("pilotage gate fact") as instance:
        done = confirm_fact(instance, actor=options.actor(instance), workflow=workflow, kind=kind)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"fact": done, "kind": kind}, lambda out: out.print(f"{kind} noted."))


def export(
    options: Options,
    digest: Digest,
    gate: GateName,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the bundle is written.")],
    space: SpaceName = None,
    *,
    post: Annotated[bool, typer.Option("--post", help="The half after the first traffic.")] = False,
) -> None:
    """Write a decision as one signed file that anybody can check and replay offline."""
    with options.open("pilotage gate export") as instance:
        actor = caller_of(instance, options).principal
        half = Half.POST if post else Half.PRE
        done = export_decision(instance, actor=actor, release=digest, gate=gate, space=space, half=half)
    if isinstance(done, Refusal):
        options.refuse(done)
    write_file(out, done.document)
    options.show(
        {**done.as_json(), "file": str(out)},
        lambda console: console.print(f"{gate} is {done.status.value}; signed by {done.keyid}: {escape(str(out))}"),
    )


def promote(
    options: Options,
    digest: Digest,
    space: Annotated[str, typer.Option("--space", help="The space it enters.")],
) -> None:
    """Let a release into a space, when everything allows it."""
    with options.open("pilotage promote") as instance:
        done = promote_release(instance, actor=caller_of(instance, options).principal, release=digest, space=space)
    if isinstance(done, Refusal):
        options.refuse(done)
    text = "serves there now" if done.status == "active" else "waits for its rollout"
    options.show(done.as_json(), lambda out: out.print(f"{done.digest[:19]} is in {done.space}: {text}."))
