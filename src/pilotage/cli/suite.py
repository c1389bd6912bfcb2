"""`pilotage suite permission | fairness | redteam`: the three suites whose gates accept only our own runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from pilotage.cli.evaluate import run_request
from pilotage.cli.options import Options, command
from pilotage.cli.runtime import Runtime
from pilotage.control.evaluate_release import EvaluationRequest
from pilotage.evaluation.run import RunKind

_SUITES = {
    "permission": (RunKind.PERMISSIONS, "Ask for every document as every persona; nothing hidden may show anywhere."),
    "fairness": (RunKind.FAIRNESS, "Ask the same question as different people; the outcome may not differ."),
    "redteam": (RunKind.REDTEAM, "Attack the release, with oracles that are proven to fire."),
}


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Suites: permissions, fairness, red team.")
    for name, (kind, about) in _SUITES.items():
        group.command(name, help=about)(command(_suite(runtime, kind, name)))
    app.add_typer(group, name="suite")


def _suite(runtime: Runtime, kind: RunKind, name: str) -> Callable[..., None]:
    def suite(
        options: Options,
        digest: Annotated[str, typer.Argument(metavar="DIGEST", help="Digest, or at least 8 of its hex digits.")],
        space: Annotated[str | None, typer.Option(metavar="SPACE", help="Default: its UAT documents.")] = None,
        golden: Annotated[
            list[str] | None, typer.Option(metavar="FILE", help="Only these golden files; such a run gates nothing.")
        ] = None,
    ) -> None:
        request = EvaluationRequest(release=digest, kind=kind, space=space, golden=tuple(golden or ()))
        run_request(options, runtime, request, f"pilotage suite {name}")

    return suite
