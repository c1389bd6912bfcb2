"""The `pilotage` command: one file per noun, joined here."""

from __future__ import annotations

import typer

from pilotage.cli import (
    answer,
    cab,
    corpus,
    drill,
    evaluate,
    evidence,
    gate,
    golden,
    incident,
    key,
    ledger,
    login,
    release,
    report,
    rollback,
    rollout,
    run,
    space,
    suite,
    workspace,
)
from pilotage.cli.runtime import Runtime


def make_app(runtime: Runtime) -> typer.Typer:
    """Return the command line over the joined rooms."""
    app = typer.Typer(
        name="pilotage",
        help="Takes an enterprise GenAI workflow from pilot to governed production, and keeps it there.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    workspace.register(app)
    run.register(app, runtime)
    corpus.register(app, runtime)
    release.register(app)
    answer.register(app, runtime)
    evidence.register(app)
    gate.register(app)
    report.register(app)
    cab.register(app)
    evaluate.register(app, runtime)
    suite.register(app, runtime)
    golden.register(app, runtime)
    rollout.register(app)
    rollback.register(app)
    incident.register(app)
    drill.register(app)
    space.register(app)
    ledger.register(app)
    key.register(app)
    login.register(app)
    return app
