"""The `pilotage` command: one file per noun, joined here, and loaded when one of its commands is called.

Rule: what the whole help says of each command stands here, so that no file is loaded for it; a test compares it with
the commands themselves. Fail mode: a name that stands in no file is no command.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from pilotage.cli.options import Before, Json, Who, WorkspaceFolder, write_error
from pilotage.cli.runtime import Runtime

COMMANDS: Final = {
    "init": ("workspace", "Write a new workspace folder from a template."),
    "validate": (
        "workspace",
        "Check every declared file; all mistakes at once, each with what to write instead.",
    ),
    "doctor": ("workspace", "Show version, sizes and health of the database, jobs and ledger."),
    "version": ("workspace", "Print the version."),
    "up": ("run", "Run everything in one process tree: database, gateway, worker."),
    "serve": ("run", "Serve the gateway alone; run any number of these beside any number of workers."),
    "worker": ("run", "Run jobs, schedules and the ledger's sequencer alone."),
    "migrate": ("run", "Bring the database to this installation's schema."),
    "demo": (
        "run",
        "Tell the whole story on the sample bank, for real: from the first refresh to a takedown.",
    ),
    "ask": ("answer", "Ask a question as the person named by --as; the answer cites what that person may read."),
    "feedback": ("answer", "Rate an answer you got."),
    "explain": ("answer", "Show why this person was given this answer: the whole chain, with its proof."),
    "promote": ("gate", "Let a release into a space, when everything allows it."),
    "compare": (
        "evaluate",
        "Show the latest finished comparison of B with A, 50 cases of it, as far as you may read what they quote.",
    ),
    "rollback": (
        "rollback",
        "Go back to the release before, in every space or one, and follow it until verified.",
    ),
    "login": ("login", "Sign in with the identity provider; in local identity mode nobody needs to."),
    "logout": ("login", "End the session that `pilotage login` began."),
    "corpus": ("corpus", "Governed documents: refresh, review, search, take down."),
    "release": ("release", "Immutable, content-addressed releases."),
    "evidence": ("evidence", "Files and results bound to a release."),
    "gate": ("gate", "Approvals bound to evidence."),
    "report": ("report", "What is read before a decision."),
    "cab": ("cab", "Sessions of the board: agenda, questions, minutes."),
    "evaluate": ("evaluate", "Evaluation runs: may this release replace that one?"),
    "suite": ("suite", "Suites: permissions, fairness, red team."),
    "mitigation": ("mitigation", "What is done about a finding of the fairness suite."),
    "golden": ("golden", "Golden sets: what they hold, what changed, what leaked."),
    "rollout": ("rollout", "Traffic to a release, step by step, as far as it proves itself."),
    "channel": ("channel", "Notification channels: try one."),
    "inbox": ("inbox", "What waits for you: reviews, gates, steps, incidents."),
    "profile": ("profile", "How the console looks for you: zone of times, shortcuts."),
    "portfolio": ("portfolio", "What to fund next: use cases ranked by value, evidence and data."),
    "incident": ("incident", "Incidents: found, acknowledged, mitigated, learned from."),
    "drill": ("drill", "Rehearsals on real processes, as evidence."),
    "space": ("space", "Spaces: their health, where their askers are, and what runs them."),
    "ledger": ("ledger", "The append-only record that verifies without us."),
    "key": ("key", "Keys of people (local mode) and services."),
}
"""For each command or group of commands: the file that holds it, and what it is for, in the order of the help."""


class _Loaded(Mapping[str, Any]):
    """The commands by name; looking one up loads its file, whose other commands are then there too."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer keeps the type of its commands to itself
        if name not in self._found:
            self._found |= _commands_of(COMMANDS[name][0], self._runtime)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _commands_of(file: str, runtime: Runtime) -> dict[str, Any]:
    register = importlib.import_module(f"pilotage.cli.{file}").register
    part = typer.Typer(rich_markup_mode=None)
    register(*(part, runtime)[: len(inspect.signature(register).parameters)])
    return dict(typer.main.get_group(part).commands)


class _Told(TyperGroup):
    """Wrong usage is one JSON document too, where any word asks for it."""

    as_json = False
    words: tuple[str, ...] = ()

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **given: Any) -> Any:  # noqa: ANN401 - Typer's own
        """Read the words before the command, and remember how to print a mistake in any."""
        self.as_json, self.words = "--json" in args, tuple(args)
        with self._told():
            return super().make_context(info_name, args, *rest, **given)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own
        """Read the rest, and run the command."""
        with self._told():
            return super().invoke(ctx)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except TyperException as error:
            if self.as_json:
                where = getattr(error, "ctx", None)
                path = where.command_path if where else " ".join(["pilotage", *self._named()])
                write_error("USAGE", error.format_message(), f"See `{path} --help`.")
            raise

    def _named(self) -> Iterator[str]:
        """Yield the words that name the command: an option without its value does not say whose it is."""
        found: Any = self
        for word in self.words:
            found = getattr(found, "commands", {}).get(word)
            if found is None:
                return
            yield word


def make_app(runtime: Runtime) -> typer.Typer:
    """Return the command line over the joined rooms."""

    class Commands(_Told):
        """The whole command: its help comes from the table."""

        def __init__(self, **given: Any) -> None:  # noqa: ANN401 - Typer's own
            super().__init__(**given)
            self.commands = cast(dict[str, Any], _Loaded(runtime))  # they are only read

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - as above
            """Write the table."""
            del ctx
            width = formatter.width - 6 - max(map(len, COMMANDS))
            rows = [
                (name, TyperCommand(name, help=said).get_short_help_str(width)) for name, (_, said) in COMMANDS.items()
            ]
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    app = typer.Typer(
        name="pilotage",
        help="Takes an enterprise GenAI workflow from pilot to governed production, and keeps it there.",
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_whole)
    return app


def _whole(
    context: typer.Context, *, as_json: Json = False, workspace: WorkspaceFolder = None, person: Who = None
) -> None:
    """Keep what every command takes, where it stands before the command."""
    context.obj = Before(as_json=as_json, workspace=workspace, person=person)
