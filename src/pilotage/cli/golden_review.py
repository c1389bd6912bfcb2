"""`pilotage golden candidates | accept | reject`: what feedback and imports propose, and the steward's decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.runtime import Runtime
from pilotage.control.golden_candidates import candidates_of
from pilotage.control.golden_review import Acceptance, Decided, accept_candidate, reject_candidate
from pilotage.core.reason import Refusal

Candidate = Annotated[str, typer.Argument(metavar="CANDIDATE")]


def register(group: typer.Typer, runtime: Runtime) -> None:
    """Add the commands to the group of golden sets."""
    group.command("candidates")(command(candidates))
    group.command("accept")(command(_accept(runtime)))
    group.command("reject")(command(reject))


def candidates(
    options: Options,
    workflow: Annotated[str | None, typer.Argument(metavar="WORKFLOW", help="Default: every workflow.")] = None,
    decided: Annotated[bool, typer.Option("--decided", help="Those that were accepted or rejected.")] = False,
) -> None:
    """List the cases that feedback and imports propose, oldest first."""
    with options.open("pilotage golden candidates") as instance:
        actor = options.actor(instance)
        found = candidates_of(instance, actor=actor, workflow=workflow, decided=decided)
    if isinstance(found, Refusal):
        options.refuse(found)
    options.show(found, lambda out: _render(out, found["candidates"]))


def _render(out: Console, found: list[dict[str, Any]]) -> None:
    for one in found:
        late = "[yellow]overdue[/yellow] " if one["overdue"] else ""
        state = one["blocked_by"] or one["state"]
        out.print(f"{one['candidate']} {one['workflow']} {late}{state}, asked {one['asked']} times", highlight=False)
        out.print(f"  {escape(str(one['row']['question']))}")
        answer = one["row"].get("expect", {}).get("answer")
        if answer:
            out.print(f"  [dim]should say: {escape(str(answer))}[/dim]")
    out.print(f"{len(found)} candidates.")


def _accept(runtime: Runtime) -> Callable[..., None]:
    def accept(
        options: Options,
        candidate: Candidate,
        golden: Annotated[str | None, typer.Option(metavar="FILE", help="Golden file it joins.")] = None,
        fact: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A fact the answer must state.")] = None,
        citation: Annotated[list[str] | None, typer.Option(metavar="DOC[#SECTION]")] = None,
        refuse: Annotated[bool, typer.Option("--refuse", help="The right answer is a refusal.")] = False,
        reason: Annotated[str, typer.Option(metavar="TEXT")] = "",
    ) -> None:
        """Make a candidate a case of the golden set: its line, its row, its ledger entry."""
        acceptance = Acceptance(
            golden=golden, facts=tuple(fact or ()), citations=tuple(citation or ()), refuse=refuse, reason=reason
        )
        with options.open("pilotage golden accept") as instance:
            actor, redact = options.actor(instance), runtime.redact(instance)
            done = accept_candidate(instance, actor=actor, identifier=candidate, acceptance=acceptance, redact=redact)
        _show(options, done)

    return accept


def reject(
    options: Options,
    candidate: Candidate,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it is no case.")],
) -> None:
    """Decide that a candidate is no case."""
    with options.open("pilotage golden reject") as instance:
        actor = options.actor(instance)
        done = reject_candidate(instance, actor=actor, identifier=candidate, reason=reason)
    _show(options, done)


def _show(options: Options, done: Decided | Refusal) -> None:
    if isinstance(done, Refusal):
        options.refuse(done)
    record = {"candidate": done.candidate, "state": done.state.value, "case": done.case, "golden": done.golden}
    where = f" as {done.case} in golden/{done.golden}.jsonl" if done.case else ""
    options.show(record, lambda out: out.print(f"{done.candidate} is {done.state.value}{escape(where)}."))
