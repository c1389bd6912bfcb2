"""Opens an instance from a workspace folder and the environment: database, schema, keys. The rim of every command.

Rule: `DATABASE_URL` names an outside server; without it the embedded one is used, started or attached to. An empty
database is migrated at once, an older schema only by `up`, `demo` and `migrate`. Fail mode: Unavailable, naming the
command to run; nothing goes on with a schema that is not this installation's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from pilotage.adapters.clock import SystemClock
from pilotage.adapters.kept_forms import FORMS_KEY, FormFolder
from pilotage.adapters.keyring import Keyring
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import find_workspace
from pilotage.core.clock import Clock
from pilotage.core.proxy import declared_proxy
from pilotage.guard.first_pass import keep_in
from pilotage.store.disk import refuse_writes_when_full
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.embedded_backup import back_up
from pilotage.store.embedded_home import resolve_home
from pilotage.store.engine import check_server, make_engine
from pilotage.store.migrate import check_schema, current_revision, migrate, newest_revision
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace


def _silent(_message: str) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How to open. `owner`: this is `up` and keeps the embedded server; `may_migrate`: it may move the schema."""

    start: Path
    environ: Mapping[str, str]
    command: str = "pilotage"
    database_url: str | None = None
    owner: bool = False
    may_migrate: bool = False
    clock: Clock = field(default_factory=SystemClock)
    say: Callable[[str], None] = _silent

    @property
    def url(self) -> str | None:
        """The outside database, None for the embedded one."""
        return self.database_url or self.environ.get("DATABASE_URL") or None


@contextmanager
def open_instance(opening: Opening) -> Iterator[Instance]:
    """Yield the instance while its database is reachable."""
    root, workspace = find_workspace(opening.start)
    home = resolve_home(workspace.id, opening.environ)
    declared_proxy(opening.environ)  # a bad one is said now, not when the first call leaves
    with ExitStack() as stack:
        engine = _engine(stack, opening, home)
        keyring = _keyring(workspace, home, opening)
        keep_in(FormFolder(folder=home / "forms", key=keyring.derive(FORMS_KEY)))
        yield Instance(
            workspace=workspace,
            root=root,
            home=home,
            engine=engine,
            clock=opening.clock,
            keyring=keyring,
            embedded=opening.url is None,
        )


def _engine(stack: ExitStack, opening: Opening, home: Path) -> Engine:
    if opening.url is not None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = make_engine(opening.url)
        stack.callback(engine.dispose)
        check_server(engine)
        _schema(engine, opening, lambda _revision: None)
        return engine
    server = stack.enter_context(
        EmbeddedServer(home, owner=opening.owner, command=opening.command, env=opening.environ, progress=opening.say)
    )
    engine = make_engine(server.url)
    stack.callback(engine.dispose)
    refuse_writes_when_full(engine, home)
    _schema(engine, opening, lambda revision: _dump(server, home, revision, opening))
    return engine


def _dump(server: EmbeddedServer, home: Path, revision: str, opening: Opening) -> None:
    written = back_up(server.cluster, home, revision=revision)
    opening.say(f"Backed up the database to {written} before migrating.")


def _schema(engine: Engine, opening: Opening, before_migration: Callable[[str], None]) -> None:
    with engine.connect() as connection:
        found = current_revision(connection)
    if found == newest_revision():
        return
    if found is not None:
        if not opening.may_migrate:
            check_schema(engine)
        before_migration(found)
    done = migrate(engine)
    if done.roles.note:
        opening.say(done.roles.note)


def _keyring(workspace: Workspace, home: Path, opening: Opening) -> Keyring:
    # Only a laptop makes its own master key; a bank brings one by file, environment or KMS reference.
    create = workspace.identity.mode is IdentityMode.LOCAL
    keyring = Keyring.open(home, opening.environ, create=create)
    if keyring.created:
        opening.say(f"A new master key was written to {home / 'keys' / 'master'} (mode 0600). Back it up.")
    return keyring
