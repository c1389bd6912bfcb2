"""`pilotage cab`: a board meets, asks, decides, and what it decided stands in the minutes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.adapters.pack_pdf import layout_pdf
from pilotage.cli.caller import caller_of
from pilotage.cli.options import Options, command
from pilotage.cli.report import print_layout
from pilotage.cli.shown import Listing
from pilotage.cli.written import write_file
from pilotage.control.call_session import call_session, submit_release
from pilotage.control.close_session import close_session
from pilotage.control.session_questions import answer_question, ask_question
from pilotage.control.view_session import SessionList, SessionView, list_sessions, session_minutes, view_session
from pilotage.core.clock import read_moment
from pilotage.core.reason import Refusal
from pilotage.gate.minutes import lay_out_minutes
from pilotage.gate.pack_html import layout_html
from pilotage.gate.session import Session, seated
from pilotage.gate.vocabulary import said

Identifier = Annotated[str, typer.Argument(metavar="SESSION")]
Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Release, by digest or at least 8 of its hex digits.")]
Words = Annotated[str, typer.Option("--text", help="The words; they stand in the minutes.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Sessions of the board: agenda, questions, minutes.")
    for name, function in (
        ("sessions", sessions),
        ("call", call),
        ("submit", submit),
        ("show", show),
        ("ask", ask),
        ("answer", answer),
        ("close", close),
        ("minutes", minutes),
    ):
        group.command(name)(command(function))
    app.add_typer(group, name="cab")


def sessions(
    options: Options,
    page: Annotated[str | None, typer.Option("--page", help="Key of the next page.")] = None,
) -> None:
    """List sessions, and releases that could be submitted to one."""
    with options.open("pilotage cab sessions") as instance:
        found = list_sessions(instance, before=page)
    options.show(found.as_json(), lambda out: _render_list(out, found))


def _render_list(out: Console, found: SessionList) -> None:
    table = Listing("session!", "gate", "begins (UTC)!", "state!", "releases", "minutes")
    for one in found.sessions:
        begins, state = f"{one.starts_at:%Y-%m-%d %H:%M}", one.state(found.at).value
        table.add_row(one.id, one.gate, begins, state, str(len(one.agenda)), (one.minutes or "-")[:19])
    out.print(table)
    for stored, report in found.candidates:
        out.print(f"could be submitted: {stored.digest[:19]} of {stored.workflow}, {report.gate} {report.status.value}")
    if found.more:
        out.print(f"older sessions: --page {found.more}")


def call(
    options: Options,
    digests: Annotated[list[str] | None, typer.Argument(metavar="[DIGEST]...", help="Releases, in order.")] = None,
    gate: Annotated[str, typer.Option("--gate", help="The board's gate.")] = "cab",
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="2026-11-26T14:00Z; now without.")] = None,
) -> None:
    """Call a session of a board, with its agenda."""
    begins = None if at is None else read_moment(at)
    with options.open("pilotage cab call") as instance:
        actor = caller_of(instance, options).principal
        done = call_session(instance, actor=actor, gate=gate, starts_at=begins, releases=digests or ())
        _told(options, done, instance.clock.now())


def submit(options: Options, session: Identifier, digest: Digest) -> None:
    """Put a release at the end of a session's agenda."""
    with options.open("pilotage cab submit") as instance:
        actor = caller_of(instance, options).principal
        done = submit_release(instance, actor=actor, session=session, release=digest)
        _told(options, done, instance.clock.now())


def _told(options: Options, done: Session | Refusal, now: datetime) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    text = f"Session {done.id} of {done.gate}: {done.state(now).value}, {len(done.agenda)} on the agenda."
    options.show(done.as_json(now), lambda out: out.print(text))


def show(options: Options, session: Identifier) -> None:
    """Show a session: where every release on its agenda stands, and what was asked."""
    with options.open("pilotage cab show") as instance:
        now = instance.clock.now()
        found = view_session(instance, actor=options.actor(instance), session=session)
    options.show(found.as_json(now), lambda out: _render(out, found))


def _render(out: Console, found: SessionView) -> None:
    out.print(f"[bold]{found.session.id}[/bold]  {found.session.gate}, {found.state.value}")
    for one in found.items:
        out.print(f"\n{one.item.position}. {one.release.workflow} {one.release.digest[:19]}: {one.report.status.value}")
        for seat in one.report.signoffs:
            out.print(f"   {seat.role.value}: {said(seated(seat))}")
        for reason in one.problems:
            out.print(f"   [red]{reason.code}[/red] {escape(reason.text)}")
        for question in found.session.about(one.release.digest):
            out.print(f"   {question.id} {escape(question.text)}: {escape(question.answer or 'unanswered')}")


def ask(options: Options, session: Identifier, digest: Digest, text: Words) -> None:
    """Ask about a release on the agenda, as a member of the board."""
    with options.open("pilotage cab ask") as instance:
        done = ask_question(instance, actor=options.actor(instance), session=session, release=digest, text=text)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"id": done.id, "digest": done.release, **done.as_json()}, lambda out: out.print(f"Asked: {done.id}"))


def answer(
    options: Options,
    session: Identifier,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="As `cab show` prints it.")],
    text: Words,
) -> None:
    """Answer a question of the board."""
    with options.open("pilotage cab answer") as instance:
        actor = options.actor(instance)
        done = answer_question(instance, actor=actor, session=session, question=question, text=text)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show({"id": done.id, "digest": done.release, **done.as_json()}, lambda out: out.print("Answered."))


def close(
    options: Options,
    session: Identifier,
    note: Annotated[str, typer.Option("--note", help="What stands under the minutes.")] = "",
) -> None:
    """Close a session and record its minutes, as a member of the board."""
    with options.open("pilotage cab close") as instance:
        done = close_session(instance, actor=options.actor(instance), session=session, note=note)
        now = instance.clock.now()
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(now), lambda out: out.print(f"Closed. Minutes {done.minutes}"))


def minutes(
    options: Options,
    session: Identifier,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page that prints.")] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write it as PDF.")] = None,
) -> None:
    """Show the minutes of a session, or a draft while it is open."""
    with options.open("pilotage cab minutes") as instance:
        facts = session_minutes(instance, session)
    layout = lay_out_minutes(facts)
    written = [str(path) for path in (html, pdf) if path is not None]
    if html is not None:
        write_file(html, layout_html(layout).encode())
    if pdf is not None:
        write_file(pdf, layout_pdf(layout))
    options.show({**facts, "written": written}, lambda out: print_layout(out, layout))
