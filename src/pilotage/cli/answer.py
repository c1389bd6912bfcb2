"""`pilotage ask | feedback | explain`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.corpus import day_of
from pilotage.cli.explain import explain
from pilotage.cli.options import Options, command
from pilotage.cli.runtime import Question, Runtime
from pilotage.control.give_feedback import Rating, give_feedback


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    app.command("ask")(command(_ask(runtime)))
    app.command("feedback")(command(_feedback(runtime)))
    app.command("explain")(command(explain))


def _ask(runtime: Runtime) -> Callable[..., None]:
    def ask(
        options: Options,
        workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
        question: Annotated[str, typer.Argument(metavar="QUESTION")],
        space: Annotated[str | None, typer.Option()] = None,
        as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE")] = None,
    ) -> None:
        """Ask a question as the person named by --as; the answer cites what that person may read."""
        with options.open("pilotage ask") as instance:
            asked = Question(workflow=workflow, text=question, space=space, as_of=day_of(as_of))
            answer = runtime.ask(instance, options.actor(instance), asked)
        options.show(answer, lambda out: render_answer(out, answer))

    return ask


def render_answer(out: Console, answer: dict[str, Any]) -> None:
    """Print an answer with its citations."""
    style = "yellow" if answer["refused"] else "none"
    out.print(escape(str(answer["answer"])), style=style)
    for number, citation in enumerate(answer["citations"], 1):
        place = " ".join(part for part in (citation["document"], citation["section"]) if part)
        out.print(f"  [dim][{number}] {escape(place)}[/dim]".replace(f"[{number}]", f"\\[{number}]"))
    out.print(f"[dim]interaction {answer['interaction']}, release {str(answer['release'])[:19]}[/dim]")


def _feedback(runtime: Runtime) -> Callable[..., None]:
    def feedback(
        options: Options,
        interaction: Annotated[str, typer.Argument(metavar="INTERACTION")],
        rating: Annotated[Rating, typer.Argument(metavar="up|down")],
        comment: Annotated[str | None, typer.Option()] = None,
        correction: Annotated[str | None, typer.Option()] = None,
    ) -> None:
        """Rate an answer you got."""
        with options.open("pilotage feedback") as instance:
            given = give_feedback(
                instance,
                actor=options.actor(instance),
                interaction=interaction,
                rating=rating,
                redact=runtime.redact(instance),
                comment=comment,
                correction=correction,
            )
        result = {"feedback": given.id, "interaction": given.interaction, "rating": str(given.rating)}
        options.show(result, lambda out: out.print(f"Thank you: {given.rating} for {given.interaction}."))

    return feedback
