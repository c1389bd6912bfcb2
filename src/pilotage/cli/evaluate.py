"""`pilotage evaluate DIGEST | evaluate status | resume | cancel | void | report`, and `pilotage compare A B`.

Exit codes: 0 GO, 1 NO-GO or INCONCLUSIVE, 2 bad input, 4 the target was not reached. Ctrl-C lets calls in
flight end, and prints the command that goes on.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typer.core import TyperGroup

from pilotage.cli.options import DOWN, NO, Options, command
from pilotage.cli.runtime import Runtime
from pilotage.cli.shown import Listing, minute, print_record
from pilotage.control.compared_case import CaseWish, Show
from pilotage.control.driven_run import Driven
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.evaluation_status import (
    cancel_run,
    describe_run,
    list_runs,
    may_resume,
    report_of,
    void_run,
)
from pilotage.control.instance import Instance
from pilotage.control.view_comparison import needs_run, view_comparison
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import Progress as Done
from pilotage.evaluation.run import RunState

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run; see `evaluate status`.")]
_STYLE = {"go": "green", "no_go": "red", "inconclusive": "yellow"}
_INTERRUPTED = 130


class _DigestFirst(TyperGroup):
    """`evaluate DIGEST` beside `evaluate status`: a first word that is no subcommand is the release."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own context type is private
        if args and args[0] not in self.commands and args[0] not in {"--help", "-h"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=_DigestFirst, no_args_is_help=True, help="Evaluation runs: may this release replace that one?"
    )
    group.command("run")(command(_evaluate(runtime)))
    group.command("resume")(command(_resume(runtime)))
    for name, function in (("status", status), ("cancel", cancel), ("void", void), ("report", report)):
        group.command(name)(command(function))
    app.add_typer(group, name="evaluate")
    app.command("compare")(command(compare))


def _evaluate(runtime: Runtime) -> Callable[..., None]:
    def evaluate(
        options: Options,
        digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Digest, or at least 8 of its hex digits.")],
        golden: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A golden file; does not gate.")] = None,
        baseline: Annotated[str | None, typer.Option(metavar="DIGEST")] = None,
        repeat: Annotated[int | None, typer.Option(metavar="K", min=1, max=25)] = None,
        space: Annotated[str | None, typer.Option(metavar="SPACE", help="Default: its UAT documents.")] = None,
    ) -> None:
        """Ask a release its golden set and judge the answers against its registered criteria."""
        request = EvaluationRequest(
            release=digest, golden=tuple(golden or ()), baseline=baseline, repeats=repeat, space=space
        )
        run_request(options, runtime, request, "pilotage evaluate")

    return evaluate


def _resume(runtime: Runtime) -> Callable[..., None]:
    def resume(options: Options, run: Run) -> None:
        """Go on with a run that was stopped, killed or failed; what is answered is not asked again."""
        with options.open("pilotage evaluate resume") as instance:
            refusal = may_resume(options.actor(instance))
            if refusal is not None:
                options.refuse(refusal)
            _drive(options, runtime, instance, run)

    return resume


def run_request(options: Options, runtime: Runtime, request: EvaluationRequest, name: str) -> None:
    """Start a run, drive it to its end and show it."""
    with options.open(name) as instance:
        run = start_evaluation(instance, actor=options.actor(instance), request=request)
        if isinstance(run, Refusal):
            options.refuse(run)
        _drive(options, runtime, instance, run.id)


def _drive(options: Options, runtime: Runtime, instance: Instance, run: str) -> None:
    with _quiet(), _progress(options) as progress:
        driven = runtime.drive(instance, run, progress)
    if driven.is_interrupted:
        options.err.print(f"Stopped at {driven.progress.done} of {driven.progress.total}. Go on with:")
        options.err.print(f"  pilotage evaluate resume {run}", style="bold")
        raise SystemExit(_INTERRUPTED)
    record = describe_run(instance, run)
    options.show(record, lambda out: render_run(out, record))
    raise SystemExit(exit_code(driven))


def exit_code(driven: Driven) -> int:
    """Return 0 for GO, 4 when the release was not reached or answered nothing, else 1."""
    if driven.run.verdict == "go":
        return 0
    is_down = driven.progress.errors > driven.progress.not_asked and driven.progress.answers == 0
    return DOWN if is_down or driven.run.state is RunState.FAILED else NO


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out a line for each question without an answer: they are counted, and would bury the progress.

    Only what goes to the terminal is left out: a permission suite listens to the loggers themselves.
    """
    handlers = [one for one in logging.getLogger().handlers if _is_terminal(one)]
    for handler in handlers:
        handler.addFilter(_is_loud)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_loud)


def _is_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and handler.stream in {sys.stderr, sys.__stderr__}


def _is_loud(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not f"{record.name}.".startswith("pilotage.serving.")


@contextmanager
def _progress(options: Options) -> Iterator[Callable[[Done], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=options.err, transient=True) as bar:
        task = bar.add_task("Evaluating", total=None, note="")

        def show(done: Done) -> None:
            note = f"{done.cached} cached, {done.errors} without answer"
            bar.update(task, completed=done.done, total=done.total, note=note)

        yield show


def render_run(out: Console, record: dict[str, Any]) -> None:
    """Print a run: verdict and reasons first, then the numbers."""
    verdict = record["verdict"] or record["state"]
    out.print(f"[bold {_STYLE.get(verdict, 'yellow')}]{verdict.replace('_', '-').upper()}[/]  run {record['run']}")
    out.print(
        f"release {str(record['digest'])[:19]}, {record['cases']} cases, {record['scored']} scored, "
        f"{record['unscored']} unscored"
    )
    for reason in record["reasons"]:
        out.print(f"  {escape(str(reason['text']))}")
    _render_metrics(out, record["metrics"])
    for one in record["regressions"]:
        out.print(f"[red]regression[/red] {escape(str(one['text']))}")
    if record["evidence"]:
        out.print(f"[dim]evidence {record['evidence']}[/dim]")


def _render_metrics(out: Console, metrics: dict[str, Any]) -> None:
    if not metrics:
        return
    table = Listing("metric", "value!", "95 %!", "n", "unscored")
    for name, found in sorted(metrics.items()):
        bounds = found.get("ci")
        table.add_row(
            name,
            "-" if found["value"] is None else f"{found['value']:.4f}",
            "-" if not bounds else f"{bounds[0]:.4f} .. {bounds[1]:.4f}",
            str(found["n"]),
            ", ".join(f"{count} {reason}" for reason, count in found.get("unscored", {}).items()),
        )
    out.print(table)


def status(options: Options, run: Annotated[str | None, typer.Argument(metavar="[RUN]")] = None) -> None:
    """Show a run, or the latest runs."""
    with options.open("pilotage evaluate status") as instance:
        if run is not None:
            record = describe_run(instance, run)
            options.show(record, lambda out: render_run(out, record))
            return
        found = list_runs(instance)
    options.show({"runs": found}, lambda out: _render_list(out, found))


def _render_list(out: Console, found: Sequence[dict[str, Any]]) -> None:
    table = Listing("run!", "suite", "release!", "state", "verdict!", "done", "requested!")
    for one in found:
        table.add_row(
            one["run"],
            one["suite"],
            str(one["digest"])[:19],
            one["state"],
            one["verdict"] or "",
            f"{one['done']}/{one['total']}" if one["total"] else "-",
            minute(one["requested_at"]),
        )
    out.print(table)


def cancel(options: Options, run: Run) -> None:
    """Stop a run; it can be resumed."""
    with options.open("pilotage evaluate cancel") as instance:
        done = cancel_run(instance, actor=options.actor(instance), identifier=run)
        if isinstance(done, Refusal):
            options.refuse(done)
        record = describe_run(instance, run)
    options.show(record, lambda out: render_run(out, record))


def void(
    options: Options, run: Run, reason: Annotated[str, typer.Option(help="Why the attempt should not count.")]
) -> None:
    """Take a gating attempt back; two different people must say so."""
    with options.open("pilotage evaluate void") as instance:
        done = void_run(instance, actor=options.actor(instance), identifier=run, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    text = "voided" if done.is_voided else f"{done.people} of 2 people have asked for it"
    options.show(
        {"run": run, "voided": done.is_voided, "people": done.people}, lambda out: out.print(f"{run}: {text}.")
    )


def report(options: Options, run: Run) -> None:
    """Print a finished run in full: criteria, slices, every loss and gain by case."""
    with options.open("pilotage evaluate report") as instance:
        found = report_of(instance, run)
    options.show(found, lambda out: print_record(out, found))


def compare(
    options: Options,
    before: Annotated[str, typer.Argument(metavar="A", help="The baseline release.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The candidate release.")],
    show: Annotated[Show, typer.Option(help="Which cases to list.")] = Show.CHANGED,
    tag: Annotated[str, typer.Option(metavar="TAG", help="Only cases with this tag.")] = "",
    after_case: Annotated[str, typer.Option("--after", metavar="CASE", help="Go on behind this case.")] = "",
) -> None:
    """Show the latest finished comparison of B with A, 50 cases of it, as far as you may read what they quote."""
    wish = CaseWish(show=show, tag=tag, after=after_case)
    with options.open("pilotage compare") as instance:
        view = view_comparison(instance, actor=options.actor(instance), before=before, after=after, wish=wish)
    needs_run(view)
    found = view.as_json()
    options.show(found, lambda out: print_record(out, found))
