"""Moving a home to a newer major version of PostgreSQL: dump, new cluster, restore, compare, keep the old folder.

Rule: nothing is replaced before every table has as many rows as before and the ledger the same bytes in the same order.
Resumable: interrupted anywhere, the command run again finishes or starts over from the old folder. Fail mode: the home
is as it was, and the message says what differed.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from pilotage.core.errors import Conflict, IntegrityError, Unavailable
from pilotage.store.disk import free_bytes
from pilotage.store.embedded import Starting, claim_home
from pilotage.store.embedded_binaries import find_programs
from pilotage.store.embedded_cluster import Cluster
from pilotage.store.embedded_home import Home, open_lock, prepare_home, socket_folder
from pilotage.store.embedded_user import server_user
from pilotage.store.roles import APP, OWNER

_NEW_COPIES: Final = 2  # the dump and the new cluster; the old one stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What was done. `kept` is the old cluster's folder; equal versions mean nothing was to do."""

    before: int
    after: int
    rows: int
    kept: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What must be equal on both sides: rows by table, and one hash over the ledger's entries in order."""

    rows: Mapping[str, int]
    ledger: str


def upgrade_embedded(home_folder: Path, env: Mapping[str, str], progress: Callable[[str], None]) -> Upgrade:
    """Bring the cluster of a home to the newest PostgreSQL of the installed wheel; nobody else may use it meanwhile."""
    home, user = Home(root=home_folder), server_user()
    prepare_home(home, user)
    programs = find_programs(user)
    with claim_home(home, "pilotage migrate --upgrade-embedded"), Starting(home), _alone(home):
        socket = socket_folder(home, env, user)
        _resume(home, Cluster(data=_fresh(home), socket=socket, programs=programs))
        new = Cluster(data=home.cluster, socket=socket, programs=programs)
        if not new.exists():
            raise Conflict("STORE_MISSING", f"There is no cluster in {home.cluster} to upgrade.")
        before = new.major()
        if before == programs.major:
            _pin(home, programs.major)
            return Upgrade(before=before, after=before, rows=0, kept=None)
        old = Cluster(data=home.cluster, socket=socket, programs=find_programs(user, major=before))
        _require_copies(home)
        fresh = Cluster(data=_fresh(home), socket=socket, programs=programs)
        contents = _move(old, fresh, progress)
        kept = _kept(home, before)
        home.cluster.rename(kept)
        fresh.data.rename(home.cluster)
        _pin(home, programs.major)
    return Upgrade(before=before, after=programs.major, rows=sum(contents.rows.values()), kept=kept)


class _alone:  # noqa: N801 - reads as a state: `with _alone(home):`
    """Hold the users lock alone, or refuse while another command uses the server."""

    def __init__(self, home: Home) -> None:
        self._file = open_lock(home.users_lock)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise Conflict(
                "STORE_IN_USE", "Another command uses the embedded database.", hint="Stop it, then upgrade again."
            ) from error

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _fresh(home: Home) -> Path:
    """Where the new cluster is built."""
    return home.root / "database.upgrade"


def _kept(home: Home, major: int) -> Path:
    """Where the old cluster stays."""
    return home.root / f"database.postgresql-{major}"


def _pin(home: Home, major: int) -> None:
    """Write the version pin."""
    home.version_pin.write_text(f"{major}\n", encoding="ascii")


def _resume(home: Home, half_built: Cluster) -> None:
    """Clear what an interrupted upgrade left: a half-built cluster, or an old one that was already set aside."""
    kept = sorted(home.root.glob("database.postgresql-*"))
    if not home.cluster.exists() and kept:
        kept[-1].rename(home.cluster)
    if half_built.data.exists():
        half_built.stop()
        shutil.rmtree(half_built.data)


def _require_copies(home: Home) -> None:
    """Refuse to start what the disk has no room for."""
    needed = _NEW_COPIES * sum(file.stat().st_size for file in home.cluster.rglob("*") if file.is_file())
    free = free_bytes(home.root)
    if free < needed:
        raise Unavailable(
            "store_unavailable",
            f"The upgrade needs {needed >> 20} MiB beside the old cluster; {free >> 20} MiB are free.",
            hint="Free some space, then upgrade again.",
        )


def _move(old: Cluster, new: Cluster, progress: Callable[[str], None]) -> Contents:
    """Copy everything from the old cluster to a new one and return what both hold."""
    dump = old.data / "upgrade.dump"  # inside the cluster: as private as the data, and readable by the server's user
    progress(f"Dumping the database of PostgreSQL {old.programs.major}.")
    with _running(old, progress):
        wanted = read_contents(old.url())
        old.programs.run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={old.url()}", seconds=86_400)
    progress(f"Restoring it into PostgreSQL {new.programs.major}.")
    new.create()
    try:
        with _running(new, progress):
            _create_roles(new.url("postgres"))
            new.programs.run("pg_restore", "--exit-on-error", f"--dbname={new.url()}", str(dump), seconds=86_400)
            found = read_contents(new.url())
    finally:
        with suppress(FileNotFoundError):
            dump.unlink()
    _compare(wanted, found)
    return found


class _running:  # noqa: N801 - reads as a state: `with _running(cluster, progress):`
    """Run a cluster inside the block."""

    def __init__(self, cluster: Cluster, progress: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._progress = progress

    def __enter__(self) -> None:
        if not self._cluster.await_ready(self._progress):
            self._cluster.start(self._progress)

    def __exit__(self, *_: object) -> None:
        self._cluster.stop()


def _create_roles(url: str) -> None:
    """Create the roles that the dump's grants name."""
    with psycopg.connect(url, autocommit=True) as connection:
        for role in (OWNER, APP):
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def read_contents(url: str) -> Contents:
    """Count the rows of every table and hash the ledger's entries in order."""
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'procrastinate') ORDER BY 1, 2"
    with psycopg.connect(url) as connection:
        rows = {}
        for schema, table in connection.execute(tables).fetchall():
            counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
            rows[f"{schema}.{table}"] = next(counted)[0]
        ledger = sha256()
        if "public.ledger_entry" in rows:
            with connection.cursor(name="entries") as entries:
                entries.execute('SELECT id, seq, bytes FROM ledger_entry ORDER BY seq NULLS LAST, id COLLATE "C"')
                for entry, seq, content in entries:
                    ledger.update(f"{entry}:{seq}:{len(content)}:".encode() + content)
    return Contents(rows=rows, ledger=ledger.hexdigest())


def _compare(wanted: Contents, found: Contents) -> None:
    """Refuse a restore that lost or changed anything."""
    names = sorted(wanted.rows.keys() | found.rows.keys())
    different = [name for name in names if wanted.rows.get(name) != found.rows.get(name)]
    if different or wanted.ledger != found.ledger:
        what = f"rows of {', '.join(different)}" if different else "the ledger's bytes"
        raise IntegrityError(
            "UPGRADE_DIFFERS",
            f"After the restore {what} differ from the old cluster; nothing was replaced.",
            hint="Keep the home as it is and report this.",
        )
