"""`pilotage space render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.adapters.targets.rendering import Form
from pilotage.cli.options import NO, Options
from pilotage.control.load_workspace import find_workspace
from pilotage.control.render_space import Rendered, changes, read_rendered, render_space, write_rendered
from pilotage.core.errors import UsageError


def render(
    options: Options,
    space: Annotated[str, typer.Argument(metavar="SPACE", help="Space that is to run there.")],
    target: Annotated[Form, typer.Option("--target", help="What the files are for.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write them here; shown without, nothing written.")
    ] = None,
    only_diff: Annotated[
        bool, typer.Option("--diff", help="Only show what --out would change in DIR; exit 1 when it would.")
    ] = False,
) -> None:
    """Write the files that run a space on Kubernetes; what changes in a folder is shown first."""
    if only_diff and out is None:
        raise UsageError("OUT_NEEDED", "--diff compares with a folder.", hint="Write --out DIR --diff.")
    _, workspace = find_workspace(options.start)
    rendered = render_space(workspace, space=space, target=target)
    for warning in rendered.warnings:
        options.err.print(f"[yellow]warning[/yellow] {escape(warning.code)} {escape(warning.text)}", soft_wrap=True)
    if out is None:
        options.show(rendered.as_json(), lambda shown: _show(shown, rendered))
        return
    before = read_rendered(out, space=rendered.space, target=target)
    diff = changes(before, rendered.files)
    if not only_diff:
        write_rendered(out, before, rendered.files)
    record = {**rendered.as_json(), "files": list(rendered.files), "folder": str(out), "changes": diff}
    options.show({**record, "written": not only_diff}, lambda shown: _tell(shown, out, diff, is_written=not only_diff))
    if only_diff and diff:
        raise SystemExit(NO)


def _show(shown: Console, rendered: Rendered) -> None:
    for name, text in rendered.files.items():
        shown.out(f"# ---- {name}\n{text}---", highlight=False)


def _tell(shown: Console, out: Path, diff: str, *, is_written: bool) -> None:
    if diff:
        shown.out(diff, end="", highlight=False)
    if not is_written:
        shown.print("Nothing was written." if diff else "Nothing would change.")
    else:
        shown.print(f"Written to {escape(str(out))}." if diff else f"{escape(str(out))} is as it was.")
