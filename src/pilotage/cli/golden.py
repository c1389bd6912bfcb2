"""`pilotage golden lint | diff | leaks | sign-off`, and the group of all commands on golden sets."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli import golden_import, golden_review
from pilotage.cli.options import NO, Options, command
from pilotage.cli.runtime import Runtime
from pilotage.control.golden_sets import diff_golden, lint_golden, list_leaks
from pilotage.control.load_workspace import find_workspace
from pilotage.control.sign_weakening import sign_weakening
from pilotage.core.reason import Refusal

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="Digest, or at least 8 of its hex digits.")]


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Golden sets: what they hold, what changed, what leaked.")
    for name, function in (("lint", lint), ("diff", diff), ("leaks", leaks), ("sign-off", sign_off)):
        group.command(name)(command(function))
    golden_review.register(group, runtime)
    golden_import.register(group, runtime)
    app.add_typer(group, name="golden")


def lint(options: Options, workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")]) -> None:
    """Check the declared golden files: every mistake at once, tags below their minimum, margins no set can show."""
    _, workspace = find_workspace(options.start)
    found = lint_golden(workspace, workflow)

    def render(out: Console) -> None:
        for name, cases in found.files.items():
            out.print(f"{name:24} {cases} cases")
        for one in found.findings:
            out.print(f"[yellow]{one.code}[/yellow] {escape(one.text)}")

    options.show(found.as_json(), render)
    if found.findings:
        raise SystemExit(NO)


def diff(options: Options, before: Digest, after: Digest) -> None:
    """Compare the golden sets of two releases; what became easier to pass is listed apart."""
    with options.open("pilotage golden diff") as instance:
        found = diff_golden(instance, before, after)
    options.show(found, lambda out: _render_diff(out, found))


def _render_diff(out: Console, found: dict[str, Any]) -> None:
    for name in ("added", "removed", "changed"):
        out.print(f"{name:8} {len(found[name])}  {escape(', '.join(found[name][:20]))}")
    for one in found["weakenings"]:
        out.print(f"[yellow]weaker[/yellow] {escape(one['case'])}: {one['kind']} {escape(one['what'])}")


def leaks(options: Options, digest: Digest) -> None:
    """Find golden cases that stand in the prompt, in a document that is not their source, or in another split."""
    with options.open("pilotage golden leaks") as instance:
        found = list_leaks(instance, digest)

    def render(out: Console) -> None:
        for one in found["leaks"]:  # type: ignore[union-attr]
            out.print(f"{one['code']} {escape(one['case'])} in {escape(one['where'])} ({one['share']:.2f})")  # type: ignore[index, call-overload, arg-type]
        out.print(f"{len(found['leaks'])} leaks in {found['cases']} cases.")  # type: ignore[arg-type]

    options.show(found, render)
    if found["blocks_gating"]:
        raise SystemExit(NO)


def sign_off(
    options: Options,
    digest: Digest,
    case: Annotated[list[str], typer.Option(metavar="CASE", help="A case that may be easier, or gone.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it may; kept with the sign-off.")],
) -> None:
    """Sign off that cases are easier than in the last approved release; until then the old ones count too."""
    with options.open("pilotage golden sign-off") as instance:
        actor = options.actor(instance)
        done = sign_weakening(instance, actor=actor, release=digest, cases=case, reason=reason)
    if isinstance(done, Refusal):
        options.refuse(done)
    options.show(done.as_json(), lambda out: out.print(f"Signed off: {escape(', '.join(done.cases))}."))
