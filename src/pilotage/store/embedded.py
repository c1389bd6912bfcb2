"""The embedded PostgreSQL: any command attaches to it or starts it, and whoever leaves last stops it.

Three locks, all released by the kernel when a process dies: `lock` (the one `up`), `users` (shared by every process
that uses the server) and `starting` (held while one starts or stops it). After `kill -9` of everybody the server lives
on; the next command recognises it, uses it and so owns its end. Fail mode: Unavailable, with what to do next.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pilotage.core.errors import Unavailable
from pilotage.store.disk import require_room
from pilotage.store.embedded_binaries import Programs, find_programs
from pilotage.store.embedded_cluster import Cluster
from pilotage.store.embedded_home import Home, open_lock, prepare_home, socket_folder
from pilotage.store.embedded_user import server_user

_PATIENCE_SECONDS: Final = 150.0  # a start (60 s) and a stop (70 s) by other commands, one after the other


def _silent(_message: str) -> None:
    """Tell nobody."""


class EmbeddedServer:
    """Use the server of a home: `with EmbeddedServer(home) as server: make_engine(server.url)`.

    `owner` is for `up`, of which a home has one at a time. `progress` hears one sentence a second during a long start.
    """

    def __init__(
        self,
        home: Path,
        *,
        owner: bool = False,
        command: str = "pilotage",
        env: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = _silent,
    ) -> None:
        self._home = Home(root=home)
        self._owner = owner
        self._command = command
        self._env = os.environ if env is None else env
        self._progress = progress
        self._cluster: Cluster | None = None
        self._owner_file: IO[str] | None = None
        self._users_file: IO[str] | None = None

    @property
    def url(self) -> str:
        """The address of the product's database, for `make_engine`."""
        return self.cluster.url()

    @property
    def cluster(self) -> Cluster:
        """The running cluster; only inside the `with` block."""
        if self._cluster is None:
            message = "The embedded server is used outside its with block."
            raise RuntimeError(message)
        return self._cluster

    def __enter__(self) -> Self:
        user = server_user()
        prepare_home(self._home, user)
        if self._owner:
            self._owner_file = claim_home(self._home, self._command)
        try:
            self._cluster = self._attach_or_start(find_programs(user))
        except BaseException:
            self._release_owner()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._leave()
        finally:
            self._cluster = None
            self._release_owner()

    def _attach_or_start(self, programs: Programs) -> Cluster:
        """Return the running cluster, and count this process among its users."""
        with Starting(self._home):
            cluster = Cluster(
                data=self._home.cluster,
                socket=socket_folder(self._home, self._env, programs.user),
                programs=programs,
            )
            if not cluster.exists():
                refuse_lost_cluster(self._home)
                require_room(self._home.root)
                self._progress("Creating the embedded database.")
                cluster.create()
                self._home.version_pin.write_text(f"{programs.major}\n", encoding="ascii")
            require_same_version(self._home, cluster)
            if not cluster.await_ready(self._progress):
                self._start(cluster)
            users = open_lock(self._home.users_lock)
            fcntl.flock(users, fcntl.LOCK_SH)
            self._users_file = users
        return cluster

    def _start(self, cluster: Cluster) -> None:
        """Start the server; a person who gives up waiting leaves none behind."""
        try:
            cluster.start(self._progress)
        except (KeyboardInterrupt, SystemExit):
            cluster.stop()
            raise

    def _leave(self) -> None:
        """Stop the server when nobody else uses it."""
        users, self._users_file = self._users_file, None
        if users is None:
            return
        with users, Starting(self._home):
            fcntl.flock(users, fcntl.LOCK_UN)
            if _locked(users, fcntl.LOCK_EX):
                self.cluster.stop()
                if not self.cluster.socket.is_relative_to(self._home.root):
                    with suppress(OSError):  # tidiness only: the next start makes it again
                        self.cluster.socket.rmdir()

    def _release_owner(self) -> None:
        """Let another `up` have the home."""
        if self._owner_file is not None:
            self._owner_file.truncate(0)
            self._owner_file.close()
            self._owner_file = None


class Starting:
    """Hold the lock under which one process at a time starts or stops the server of a home."""

    def __init__(self, home: Home, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._path = home.starting_lock
        self._patience = patience_seconds
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        file = open_lock(self._path)
        deadline = time.monotonic() + self._patience
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                file.close()
                raise Unavailable(
                    "STORE_BUSY",
                    f"Another command has been starting or stopping the database of {self._path.parent} "
                    f"for {self._patience:.0f} s.",
                    hint="Wait for it to end, then run this command again.",
                )
            time.sleep(0.05)
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def claim_home(home: Home, command: str) -> IO[str]:
    """Lock a home for its one `up`, or refuse with the name of the first."""
    file = open_lock(home.owner_lock)
    if not _locked(file, fcntl.LOCK_EX):
        file.seek(0)
        holder = _holder(file.read())
        file.close()
        raise Unavailable(
            "HOME_IN_USE",
            f"{home.root} is already served by {holder}.",
            hint="Stop it first, or give this workspace another PILOTAGE_HOME.",
        )
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "command": command}))
    file.flush()
    return file


def _holder(text: str) -> str:
    """Name the process that wrote a lock file."""
    try:
        record = json.loads(text)
        return f"`{record['command']}` (process {record['pid']})"
    except (ValueError, KeyError, TypeError):
        return "another process that is just starting"


def _locked(file: IO[str], kind: int) -> bool:
    """Try to lock a file; tell whether it worked."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def refuse_lost_cluster(home: Home) -> None:
    """Refuse to put an empty cluster where the pin says that one has been."""
    if home.version_pin.exists():
        raise Unavailable(
            "STORE_MISSING",
            f"{home.version_pin} says that {home.cluster} once held a database, but it is not there.",
            hint="Restore the folder; after an interrupted upgrade run `pilotage migrate --upgrade-embedded`. "
            "To begin anew on purpose, remove the whole home.",
        )


def require_same_version(home: Home, cluster: Cluster) -> None:
    """Refuse a cluster that another major version of PostgreSQL made, or whose pin disagrees with it."""
    made_by = cluster.major()
    if not home.version_pin.exists():
        home.version_pin.write_text(f"{made_by}\n", encoding="ascii")
    pinned = home.version_pin.read_text(encoding="ascii").strip()
    if pinned != str(made_by):
        raise Unavailable(
            "STORE_VERSION_MISMATCH",
            f"{home.version_pin} says PostgreSQL {pinned or '(nothing)'}, but {cluster.data} was made by {made_by}.",
            hint="After an interrupted upgrade run `pilotage migrate --upgrade-embedded`; else restore a backup.",
        )
    if made_by != cluster.programs.major:
        raise Unavailable(
            "STORE_VERSION_OLD",
            f"{home.root} was made by PostgreSQL {made_by}; this installation brings {cluster.programs.major}.",
            hint="Run `pilotage migrate --upgrade-embedded`.",
        )
