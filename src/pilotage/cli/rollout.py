"""`pilotage rollout start | status | pairs | pause | resume | go | abort | extend | overrule | release | excuse`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import NO, Options, command
from pilotage.cli.rollback import zero_words
from pilotage.cli.shown import Listing, short
from pilotage.control.abort_rollout import abort_rollout
from pilotage.control.decide_rollout import extend_step, release_hold, sign_go
from pilotage.control.excuse_window import ExcuseRequest, excuse_window
from pilotage.control.overrule_rollout import overrule_rollout
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.read_pairs import PairReading, read_pairs
from pilotage.control.rollout_status import list_status, rollout_status, summary
from pilotage.control.second_person import STANDS
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.clock import read_moment
from pilotage.core.durations import parse_duration
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.core.yaml_source import load_plain_yaml
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.store.rollouts import RolloutFilter, StoredRollout

Identifier = Annotated[str, typer.Argument(metavar="ID", help="Rollout, as `rollout status` lists it.")]
Note = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
_COLOURS = {"completed": "green", "watching": "green", "held": "red", "rolling_back": "red", "rollback_failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Traffic to a release, step by step, as far as it proves itself.")
    for name, function in (
        ("start", start),
        ("status", status),
        ("pairs", pairs),
        ("pause", pause),
        ("resume", resume),
        ("go", go),
        ("abort", abort),
        ("extend", extend),
        ("overrule", overrule),
        ("release", release),
        ("excuse", excuse),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="rollout")


def start(
    options: Options,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or 8 of its hex digits.")],
    space: Annotated[str, typer.Option("--space", help="The first space; the plan's later ones follow by themselves.")],
    plan: Annotated[
        str | None, typer.Option("--plan", help="Plan of workflow.yaml (default: its default_plan).")
    ] = None,
    per_day: Annotated[
        float | None, typer.Option("--per-day", min=0, help="Requests per day expected in each space without history.")
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Start although a step is unlikely to prove its limits.")] = False,
) -> None:
    """Say what the traffic can and cannot prove, then start."""
    request = StartRequest(release=digest, space=space, plan=plan, accepted=yes, per_day=per_day)
    with options.open("pilotage rollout start") as instance:
        done = start_rollout(instance, rollout_ports(), actor=options.actor(instance), request=request)
    if isinstance(done, Refusal):
        options.refuse(done)
    body = {**summary(done.rollout), "preflight": done.foresight.as_json()}
    options.show(body, lambda out: _render_started(out, done))
    if done.against:
        raise SystemExit(NO)


def _render_started(out: Console, done: Started) -> None:
    for step in done.foresight.forecast.steps:
        for criterion in step.criteria:
            chance = "unknown" if criterion.chance is None else f"{100 * criterion.chance:.1f} %"
            out.print(
                f"  {step.space} {step.step:10} {criterion.name:11} {criterion.decidability.value:12} "
                f"{step.requests if step.requests is not None else '?'} requests, chance of GO {chance}"
            )
    if not done.against:
        out.print(f"[green]Rollout {done.rollout.id} is {done.rollout.state}.[/green]")
        return
    out.print(f"[red]Rollout {done.rollout.id} is refused.[/red]")
    for reason in done.against:
        out.print(f"[red]{escape(reason.code)}[/red] {escape(reason.text)}")
    for number, choice in enumerate(done.foresight.ways_out, start=1):
        out.print(f"  ({'abcde'[number - 1]}) {escape(choice)}")


def status(
    options: Options,
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]", help="One rollout; all of them without.")] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Only this workflow's.")] = None,
    space: Annotated[str | None, typer.Option("--space", help="Only those with a wave in this space.")] = None,
    page: Annotated[str | None, typer.Option("--page", help="Key of the next page.")] = None,
) -> None:
    """Show where rollouts stand, with the verdict's numbers."""
    with options.open("pilotage rollout status") as instance:
        if identifier is None:
            found = list_status(instance, RolloutFilter(workflow=workflow, space=space, before=page))
            options.show(found, lambda out: _render_list(out, found))
            return
        one = rollout_status(instance, identifier)
    options.show(one, lambda out: render_rollout(out, one))


def _render_list(out: Console, found: dict[str, Any]) -> None:
    table = Listing("rollout!", "workflow", "space", "state!", "step", "weight!", "release!")
    for one in found["rollouts"]:
        colour = _COLOURS.get(one["state"], "yellow")
        table.add_row(
            one["rollout"],
            escape(one["workflow"]),
            escape(one["space"]),
            f"[{colour}]{one['state']}[/{colour}]",
            escape(one["step"]),
            one["weight"],
            one["release"][:19],
        )
    out.print(table)
    if found["next_page"]:
        out.print(f"older rollouts: --page {found['next_page']}")


def render_rollout(out: Console, one: dict[str, Any]) -> None:
    """Print where a rollout stands: state, verdict with its reasons, spaces, and where it went back to."""
    colour = _COLOURS.get(one["state"], "yellow")
    out.print(f"[bold]{one['rollout']}[/bold] {escape(one['workflow'])} {one['release'][:19]}")
    out.print(
        f"  [{colour}]{one['state']}[/{colour}] in {escape(one['space'])}, "
        f"step {escape(one['step'])} at {one['weight']}"
    )
    verdict = one["verdict"]
    out.print(f"  verdict {verdict['outcome'] or 'none yet'} {short(verdict['digest'] or '')}")
    for reason in [*one["why"], *verdict["reasons"]]:
        out.print(f"    {escape(reason['code'])}: {escape(reason['text'])}")
    for phase in one["shadow"]:
        out.print(
            f"  {phase['label']} {phase['state']}: {phase['pairs']:,} pairs, {phase['worse']:,} worse, "
            f"{phase['better']:,} better, {phase['lost']:,} lost, {phase['waiting']:,} waiting: {phase['outcome']}"
        )
        for reason in phase["reasons"]:
            out.print(f"    {escape(reason['code'])}: {escape(reason['text'])}")
    for wave in one["waves"]:
        state = "not reached" if wave["state"] == "done" and not wave["steps"] else wave["state"].replace("_", " ")
        share = f"{wave['fraction_ppm'] / 10_000:g} % of traffic now"
        out.print(f"  {escape(wave['space'])}: {state}, {share}, {wave['admitted']:,} admitted")
    for window in one["excused"]:
        state = "counts for neither arm" if window["excused"] else "waits for a second person to excuse it"
        space, incident = escape(window["space"]), escape(window["incident"])
        out.print(f"  {space}: {window['from']} to {window['to']} {state} (incident {incident})")
    for watched in one["watched"]:
        out.print(f"  {escape(watched['space'])}: {_watch_words(watched)}")
    if one["rollback"] is not None:
        back = one["rollback"]
        target = short(back["to"] or "a closed door")
        out.print(f"  back on {target}; {zero_words(back)}")


def _watch_words(watched: dict[str, Any]) -> str:
    """Say how a release that completed does: how near the nearest guard against late regressions is to its alarm."""
    if watched["ended_why"] == "regression":
        return f"taken back after completion, a late regression: {watched['rollback']}"
    if watched["ended_why"] == "left":
        return "served no more, so watched no more"
    if watched["requests"] is None:
        return "watched by a newer version"
    known = [(float(one["log_e"]), name, one) for name, one in watched["tests"].items() if one["log_e"] is not None]
    near = "no failure yet"
    if known:
        value, name, test = max(known)
        near = f"nearest {name}, log E {value:.2f} of {float(test['threshold']):.2f}"
    return f"watched for late regressions, {watched['requests']:,} requests since completion, {near}"


def pairs(
    options: Options,
    identifier: Identifier,
    result: Annotated[str | None, typer.Option("--result", help="Only worse, better or tie.")] = None,
    most: Annotated[int, typer.Option("--most", help="How many pairs at most.")] = 50,
) -> None:
    """Read what shadow and replay kept: the question and both answers, redacted, as far as you may see them."""
    with options.open("pilotage rollout pairs") as instance:
        actor = options.actor(instance)
        done = read_pairs(instance, actor=actor, rollout=identifier, result=result, most=most)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: _render_pairs(out, done))


def _render_pairs(out: Console, done: PairReading) -> None:
    for one in done.pairs:
        out.print(f"[bold]{one.result}[/bold] {one.label} {escape(one.interaction)}: {escape(one.question)}")
        out.print(f"  stable     {escape(one.stable)}")
        out.print(f"  candidate  {escape(one.candidate)}")
    if not done.pairs:
        out.print("No text of a pair is kept that you may read.")
    if done.hidden:
        out.print(f"{done.hidden:,} more stand on documents that you may not read.")


def _moved(options: Options, done: StoredRollout | Refusal) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    body = summary(done)
    options.show(
        body, lambda out: out.print(f"Rollout {done.id} is {done.state}, step {body['step']} at {body['weight']}.")
    )


def pause(
    options: Options,
    identifier: Identifier,
    reason: Note = "",
    *,
    zero: Annotated[bool, typer.Option("--zero", help="Send everybody back to stable until it is resumed.")] = False,
) -> None:
    """Stop where it stands; triggers stay armed."""
    with options.open("pilotage rollout pause") as instance:
        actor = options.actor(instance)
        done = pause_rollout(instance, actor=actor, rollout=identifier, zero=zero, note=reason)
    _moved(options, done)


def resume(options: Options, identifier: Identifier, reason: Note = "") -> None:
    """Go on where the pause began; gate and freeze are asked again."""
    with options.open("pilotage rollout resume") as instance:
        actor = options.actor(instance)
        done = resume_rollout(instance, rollout_ports(), actor=actor, rollout=identifier, note=reason)
    _moved(options, done)


def go(
    options: Options,
    identifier: Identifier,
    verdict: Annotated[str | None, typer.Option("--verdict", help="Digest of the verdict you read.")] = None,
) -> None:
    """Sign the verdict of the step, in a role that the plan names."""
    with options.open("pilotage rollout go") as instance:
        actor = options.actor(instance)
        done = sign_go(instance, rollout_ports(), actor=actor, rollout=identifier, verdict=verdict)
    _moved(options, done)


def abort(options: Options, identifier: Identifier, reason: Note = "") -> None:
    """Give the rollout up; with user traffic it is taken back and validated."""
    with options.open("pilotage rollout abort") as instance:
        actor = options.actor(instance)
        done = abort_rollout(instance, actor=actor, rollout=identifier, note=reason)
    _moved(options, done)


def extend(
    options: Options,
    identifier: Identifier,
    duration: Annotated[str, typer.Option("--by", help="How much longer: 12h, 2d.")],
    reason: Note = "",
) -> None:
    """Give the step more time, up to twice its `max`."""
    try:
        seconds = int(parse_duration(duration).total_seconds())
    except ValueError as error:
        raise UsageError("DURATION", str(error)) from error
    with options.open("pilotage rollout extend") as instance:
        actor = options.actor(instance)
        done = extend_step(instance, actor=actor, rollout=identifier, seconds=seconds, note=reason)
    _moved(options, done)


def overrule(
    options: Options,
    identifier: Identifier,
    file: Annotated[Path, typer.Option("--file", exists=True, dir_okay=False, help="Risk acceptance, YAML.")],
) -> None:
    """Accept a risk the statistic did not clear; it takes two persons, each with the same file."""
    value = load_plain_yaml(file.read_bytes(), file=str(file))
    if not isinstance(value, dict):
        message = f"{file} holds no risk acceptance."
        raise UsageError("ACCEPTANCE", message)
    with options.open("pilotage rollout overrule") as instance:
        actor = options.actor(instance)
        done = overrule_rollout(instance, rollout_ports(), actor=actor, rollout=identifier, acceptance=value)
    if isinstance(done, Refusal):
        options.refuse(done)
    if done.waits:
        body = {**summary(done.rollout), "waits_for": "a second person"}
        options.show(body, lambda out: out.print("Signed; a second person has to sign the same file."))
        return
    _moved(options, done.rollout)


def release(options: Options, identifier: Identifier, reason: Note = "") -> None:
    """Let a held rollout observe again, once its cause is gone."""
    with options.open("pilotage rollout release") as instance:
        actor = options.actor(instance)
        done = release_hold(instance, rollout_ports(), actor=actor, rollout=identifier, note=reason)
    _moved(options, done)


def excuse(
    options: Options,
    identifier: Identifier,
    start: Annotated[str, typer.Option("--from", help="Where the window begins: 2026-11-26 14:00, in UTC.")],
    end: Annotated[str, typer.Option("--to", help="Where it ends.")],
    incident: Annotated[str, typer.Option("--incident", help="Incident of that time, as `incident list` names it.")],
    reason: Note = "",
    space: Annotated[str | None, typer.Option("--space", help="Of this space (default: where it stands).")] = None,
) -> None:
    """Leave a window out for both arms; it takes two persons, each with the same words."""
    request = ExcuseRequest(
        start=read_moment(start), end=read_moment(end), incident=incident, reason=reason, space=space
    )
    with options.open("pilotage rollout excuse") as instance:
        done = excuse_window(instance, actor=options.actor(instance), rollout=identifier, request=request)
    if isinstance(done, Refusal):
        options.refuse(done)
    body = done.as_json()
    said = f"The window counts for neither arm; GO is judged as attempt {done.attempt}."
    if done.excuse.second_by is None:
        said = f"Signed; a second person gives the same command within {STANDS.days} days."
    options.show(body, lambda out: out.print(said))
