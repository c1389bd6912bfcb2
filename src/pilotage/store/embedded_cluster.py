"""One cluster on disk: made once, started, recognised while it runs, stopped.

Rule: what a running server says about itself (its process, its data directory, a query) decides, never the pid file
alone; a stale pid file is left for PostgreSQL, whose own check also sees orphaned workers. Fail mode: a server that
does not answer within 60 s is reported with its log and left to finish its recovery; nothing is killed for being slow.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from pilotage.core.errors import Unavailable
from pilotage.store.embedded_binaries import Programs

ADMIN: Final = "pilotage"
DATABASE: Final = "pilotage"
START_SECONDS: Final = 60.0

# fsync, synchronous_commit and checksums stay on even in the demo. WAL files are removed, not recycled, and stay
# uncompressed, so that a purge can show that a document's bytes are gone. Logs never hold parameter values or rows.
_SETTINGS: Final = """\
# Written by Pilotage at every start.
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
port = 5432
max_connections = 100
fsync = on
synchronous_commit = on
full_page_writes = on
wal_recycle = off
wal_keep_size = 0
wal_compression = off
archive_mode = off
max_parallel_workers_per_gather = 0
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A data directory, the programs that run it and the folder of its socket."""

    data: Path
    socket: Path
    programs: Programs

    def url(self, database: str = DATABASE) -> str:
        """Return the address of a database of this server."""
        return f"postgresql://{ADMIN}@/{database}?host={quote(str(self.socket), safe='')}"

    def exists(self) -> bool:
        """Tell whether the cluster was made."""
        return (self.data / "PG_VERSION").is_file()

    def major(self) -> int:
        """Return the major version that made the cluster."""
        return int((self.data / "PG_VERSION").read_text(encoding="ascii").strip())

    def create(self) -> None:
        """Make the cluster, with data checksums; a half-made one of an interrupted command is thrown away first."""
        for leftover in self.data.parent.glob(f"{self.data.name}.new-*"):
            shutil.rmtree(leftover)
        scratch = Path(tempfile.mkdtemp(dir=self.data.parent, prefix=f"{self.data.name}.new-"))
        if (user := self.programs.user) is not None:
            os.chown(scratch, user.uid, user.gid)
        modern = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self.programs.run(
            "initdb",
            f"--pgdata={scratch}",
            f"--username={ADMIN}",
            "--encoding=UTF8",
            "--locale=C",
            *(modern if self.programs.major >= 17 else ()),
            "--auth-local=trust",
            "--auth-host=reject",
            "--data-checksums",
        )
        with (scratch / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write("\ninclude_if_exists = 'pilotage.conf'\n")
        scratch.rename(self.data)
        _sync_folder(self.data.parent)

    def start(self, progress: Callable[[str], None]) -> None:
        """Start the server and wait until it answers; `progress` hears about a long recovery once a second."""
        self._write_settings()
        began = time.monotonic()
        while not self._started(progress):
            # Workers of a killed server still hold its memory: they notice its death and end within moments.
            if not self._has_orphans() or time.monotonic() - began > START_SECONDS:
                raise self._did_not_start()
            progress("Waiting for workers of a killed server to end.")
            time.sleep(0.5)
        self._create_database()

    def _started(self, progress: Callable[[str], None]) -> bool:
        """Try one start; tell whether the server is ready."""
        self._disarm_reused_pid(self.data / "postmaster.pid")
        self._disarm_reused_pid(self.socket / ".s.PGSQL.5432.lock")
        argv = self.programs.command(
            "pg_ctl", "start", "--wait", f"--timeout={START_SECONDS:.0f}", "--silent", f"--pgdata={self.data}"
        )
        with (self.data / "start.log").open("wb") as log:
            child = self.programs.start(argv, output=log.fileno())
            began = time.monotonic()
            with child:  # also when the caller gives up, the starter has ended before anybody stops the server
                while True:
                    try:
                        return child.wait(1) == 0
                    except subprocess.TimeoutExpired:
                        progress(f"The database is recovering after an unclean stop: {time.monotonic() - began:.0f} s.")

    def _has_orphans(self) -> bool:
        """Tell whether the last start was refused because of a dead server's workers."""
        return "pre-existing shared memory block" in self._last_words()

    def _last_words(self) -> str:
        """Return what the server last said: its newest log's end, or what came before there was a log."""
        logs = sorted(self.data.glob("log/*.log"), key=lambda log: log.stat().st_mtime)
        early = (self.data / "start.log").read_text(encoding="utf-8", errors="replace")
        late = logs[-1].read_text(encoding="utf-8", errors="replace")[-4096:] if logs else ""
        fatal = [line for line in f"{early}\n{late}".splitlines() if "FATAL" in line or "PANIC" in line]
        return " / ".join(fatal[-2:]) or " / ".join(early.strip().splitlines()[-3:]) or "it said nothing"

    def _did_not_start(self) -> Unavailable:
        """Explain a failed start: a recovery that needs longer, or the server's last words."""
        if self.process() is not None:
            return self._still_recovering()
        return Unavailable(
            "STORE_NOT_STARTED",
            f"The embedded database in {self.data} did not start: {self._last_words()}",
            hint=f"Its log is in {self.data / 'log'}.",
        )

    def _still_recovering(self) -> Unavailable:
        """Say that the server runs, and is not ready."""
        return Unavailable(
            "STORE_RECOVERING",
            f"The embedded database in {self.data} is still recovering after {START_SECONDS:.0f} s; it goes on.",
            hint=f"Run the command again in a minute; its log is in {self.data / 'log'}.",
        )

    def await_ready(self, progress: Callable[[str], None]) -> bool:
        """Wait for a server that already runs to answer; tell whether it does and serves this very data directory."""
        began = time.monotonic()
        while self.process() is not None:
            if (answered := self._answers()) is not None:
                return answered
            if (waited := time.monotonic() - began) > START_SECONDS:
                raise self._still_recovering()
            progress(f"The database is recovering after an unclean stop: {waited:.0f} s.")
            time.sleep(0.2)
        return False

    def _answers(self) -> bool | None:
        """Ask the server for its data directory: ours, another, or no answer yet."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=5) as connection:
                row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.OperationalError:
            return None
        return row is not None and Path(row[0]).resolve() == self.data.resolve()

    def process(self) -> int | None:
        """Return the process id of the running server, or None when the pid file names no server of this cluster."""
        pid = _pid_in(self.data / "postmaster.pid")
        return pid if pid is not None and self._is_server(pid) else None

    def _is_server(self, pid: int) -> bool:
        """Tell whether process `pid` is a PostgreSQL server on this data directory."""
        line = _command_line(pid)
        return "postgres" in line and str(self.data) in line

    def _disarm_reused_pid(self, file: Path) -> None:
        """Free a lock file whose number now belongs to another program, or to a killed server nobody has reaped.

        PostgreSQL would take that process for a live server. Its own parent's number is never one, so ours is written
        in; the rest of the file stays, for the check of shared memory that finds orphaned workers.
        """
        pid = _pid_in(file)
        if pid is None or not _is_alive(pid) or self._is_server(pid):
            return
        _, _, rest = file.read_text(encoding="utf-8").partition("\n")
        file.write_text(f"{os.getpid()}\n{rest}", encoding="utf-8")

    def _write_settings(self) -> None:
        """Write the settings file that the cluster includes."""
        socket = str(self.socket).replace("'", "''")
        (self.data / "pilotage.conf").write_text(_SETTINGS.format(socket=socket), encoding="utf-8")
        if (user := self.programs.user) is not None:
            os.chown(self.data / "pilotage.conf", user.uid, user.gid)

    def _create_database(self) -> None:
        """Create the product's database on first start."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def stop(self) -> None:
        """Stop the server cleanly; one that hangs for a minute is stopped without a final checkpoint."""
        if self.process() is None:
            return
        options = ("stop", "--wait", "--silent", f"--pgdata={self.data}")
        try:
            self.programs.run("pg_ctl", *options, "--mode=fast", "--timeout=60", seconds=70)
        except Unavailable:
            if self.process() is not None:
                self.programs.run("pg_ctl", *options, "--mode=immediate", "--timeout=30", seconds=40)


def _pid_in(file: Path) -> int | None:
    """Read the process id on the first line of a lock file."""
    try:
        return int(file.read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _is_alive(pid: int) -> bool:
    """Tell whether a process has this number, a dead one that nobody has waited for included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command_line(pid: int) -> str:
    """Return the command line of a live process, else an empty text."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    found = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)  # noqa: S603, S607 - macOS has no /proc; ps stands in every PATH
    return found.stdout.strip()


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
