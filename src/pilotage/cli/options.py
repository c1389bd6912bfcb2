"""Options that every command takes, and the one place where results become text and exit codes.

`--json` prints one JSON document on stdout; messages and progress go to stderr. Exit codes: 0 done, 1 the answer is no,
2 wrong usage or invalid file, 3 not permitted, 4 a dependency is down.
"""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import InterfaceError, OperationalError

from pilotage.cli.session_file import SessionFile
from pilotage.control.console_session import SignedIn, find_session
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening, open_instance
from pilotage.core.errors import Conflict, NotPermitted, PilotageError, Unavailable, UsageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.gate.records import Login
from pilotage.identity.principal import Principal
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.principals import local_principal

NO, USAGE, FORBIDDEN, DOWN = 1, 2, 3, 4
_PIPED = 200
_TOO_LONG = "57014"  # query_canceled: a statement met its limit of time
_ABOUT_THE_NAME = frozenset(
    {
        *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EINVAL),
    }
)
_LINE = 100_000  # a message to another program is one line, however long
_ABOUT_THE_PERSON = frozenset({"NOT_PERMITTED", "NOT_STEWARD", "SECOND_PERSON_NEEDED", "SOD_CONFLICT", "SOD_SERVICE"})


def _width() -> int | None:
    """Return the width of what is read by another program: wide enough that its lines stay whole."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED


def _message_width() -> int | None:
    return None if sys.stderr.isatty() or "COLUMNS" in os.environ else _LINE


@dataclass(slots=True, kw_only=True)
class Options:
    """What was written after the command: how to print, where the workspace is, who acts."""

    as_json: bool = False
    workspace: Path | None = None
    person: str | None = None
    out: Console = field(default_factory=lambda: Console(highlight=False, width=_width()))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, width=_message_width()))

    @property
    def start(self) -> Path:
        """Where the search for `pilotage.yaml` begins."""
        return self.workspace or Path.cwd()

    def say(self, message: str) -> None:
        """Tell a person something that is not the result."""
        self.err.print(f"[dim]{escape(message)}[/dim]")

    def opening(self, command: str, **changes: Any) -> Opening:  # noqa: ANN401 - fields of Opening
        """Return how this command opens its instance."""
        return Opening(start=self.start, environ=os.environ, command=command, say=self.say, **changes)

    def open(self, command: str, **changes: Any) -> AbstractContextManager[Instance]:  # noqa: ANN401 - as above
        """Open the instance for this command."""
        return open_instance(self.opening(command, **changes))

    def actor(self, instance: Instance) -> Principal:
        """Return who acts; raise UsageError or NotPermitted when nobody is named or signed in."""
        workspace = instance.workspace
        if workspace.identity.mode is not IdentityMode.LOCAL:
            return self.signed_in(instance).principal
        name = self.person or os.environ.get("PILOTAGE_AS")
        if not name:
            people = ", ".join(sorted(workspace.people)[:8]) or "none"
            raise UsageError("WHO_ACTS", "Nobody is named.", hint=f"Write --as PERSON; declared are {people} ...")
        return local_principal(workspace, PersonId(name))

    def login(self, instance: Instance) -> Login | None:
        """Return how the person signed in, for decisions that need it fresh; None in local identity mode."""
        is_local = instance.workspace.identity.mode is IdentityMode.LOCAL
        return None if is_local else self.signed_in(instance).login

    def signed_in(self, instance: Instance) -> SignedIn:
        """Return the session that `pilotage login` began; raise NotPermitted."""
        hint = "Run `pilotage login`."
        if self.person is not None:
            raise NotPermitted("LOGIN_NEEDED", "This workspace signs people in by OIDC; --as is not proof.", hint=hint)
        token = SessionFile.of(instance.workspace.id, os.environ).read()
        found = None if token is None else find_session(instance, token)
        if found is None:
            raise NotPermitted("LOGIN_NEEDED", "Nobody is signed in at this command line.", hint=hint)
        return found

    def show(self, value: Mapping[str, Any] | list[Any], render: Callable[[Console], None]) -> None:
        """Print a result: JSON when asked, else what `render` prints."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        else:
            render(self.out)

    def refuse(self, refusal: Refusal) -> NoReturn:
        """Print why not, and leave with 3 when it is about the person, else 1."""
        if self.as_json:
            sys.stdout.write(json.dumps(refusal.as_json(), ensure_ascii=False, indent=2) + "\n")
        for code, text in dict.fromkeys((reason.code, reason.text) for reason in refusal.reasons):
            self.err.print(f"[red]{escape(code)}[/red] {escape(text)}")
        about_person = any(reason.code in _ABOUT_THE_PERSON for reason in refusal.reasons)
        raise SystemExit(FORBIDDEN if about_person else NO)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
WorkspaceFolder = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help="Workspace (default: nearest parent with pilotage.yaml)."),
]
Who = Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who acts, in local identity mode.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was written before the command; what stands behind it counts more."""

    as_json: bool = False
    workspace: Path | None = None
    person: str | None = None


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--json`, `--workspace` and `--as` for its parameter `options`, and its errors exit codes."""

    @functools.wraps(function)
    def run(
        *,
        context_: typer.Context,
        json_: bool,
        workspace_: Path | None,
        person_: str | None,
        **given: Any,  # noqa: ANN401 - the command's own
    ) -> None:
        behind = Before(as_json=json_, workspace=workspace_, person=person_)
        options = _together(context_.find_root().obj or Before(), behind)
        try:
            function(options=options, **given)
        except PilotageError as error:
            fail(options, error)
        except (OperationalError, InterfaceError) as error:
            fail(options, _store_lost(error))
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read the output has enough of it
                raise
            fail(options, _unusable(error))

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "options"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (
            ("json_", False, Json),
            ("workspace_", None, WorkspaceFolder),
            ("person_", None, Who),
        )
    ]
    context = inspect.Parameter("context_", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    added.append(context)
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *added]}
    return run


def _together(before: Before, behind: Before) -> Options:
    return Options(
        as_json=behind.as_json or before.as_json,
        workspace=before.workspace if behind.workspace is None else behind.workspace,
        person=before.person if behind.person is None else behind.person,
    )


def _place(error: BaseException) -> str:
    """Return where an error came up, innermost, as file:line."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _store_lost(error: OperationalError | InterfaceError) -> Unavailable:
    said = str(error.orig).strip().splitlines() or ["no reason was given"]
    hint = "Nothing half done was kept. Check the database with `pilotage doctor`, then repeat the command."
    if getattr(error.orig, "sqlstate", None) == _TOO_LONG:
        return Unavailable("STORE_SLOW", f"The database gave up at a statement's limit of time: {said[0]}.", hint=hint)
    return Unavailable("STORE_LOST", f"The database stopped answering: {said[0]}.", hint=hint)


def _unusable(error: OSError) -> PilotageError:
    said = error.strerror or str(error) or type(error).__name__
    if error.filename is None or error.errno not in _ABOUT_THE_NAME:
        about = "" if error.filename is None else f" {error.filename}"
        text = f"The operating system refused{about}: {said} (at {_place(error)})."
        return Unavailable("SYSTEM_REFUSED", text, hint="Mend that, then repeat.")
    hint = "Name a place that exists and that you may read and write."
    return UsageError("FILE_UNUSABLE", f"{error.filename} cannot be used: {said}.", hint=hint)


def add_group(app: typer.Typer, name: str, summary: str, **commands: Callable[..., None]) -> None:
    """Add a noun with its verbs, in this order; `fail_back` is the verb fail-back."""
    group = typer.Typer(no_args_is_help=True, help=summary)
    for verb, function in commands.items():
        group.command(verb.replace("_", "-"))(command(function))
    app.add_typer(group, name=name)


def fail(options: Options, error: PilotageError) -> NoReturn:
    """Print an error and leave with its exit code."""
    if options.as_json:
        write_error(error.code, error.message, error.hint)
    lines = error.message.splitlines() or [error.code]
    for line in lines:
        options.err.print(f"[red]{escape(line)}[/red]")
    if error.hint:
        options.err.print(escape(error.hint))
    raise SystemExit(exit_code(error))


def write_error(code: str, message: str, hint: str) -> None:
    """Write an error as the one JSON document on stdout."""
    body = {"error": {"code": code, "message": message, "hint": hint}}
    sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=2) + "\n")


def exit_code(error: PilotageError) -> int:
    """Return the documented exit code of an error."""
    match error:
        case UsageError():
            return USAGE
        case NotPermitted():
            return FORBIDDEN
        case Unavailable():
            return DOWN
        case Conflict():
            return NO
        case _:
            return NO
