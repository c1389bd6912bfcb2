"""The embedded server outlives `kill -9` without losing a commit, and a clean exit leaves no process behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pilotage.core.errors import Unavailable
from pilotage.store.embedded import EmbeddedServer, Starting
from pilotage.store.embedded_backup import back_up, backup_folder, forget_backups
from pilotage.store.embedded_binaries import find_programs
from pilotage.store.embedded_cluster import Cluster
from pilotage.store.embedded_home import Home, make_private
from pilotage.store.embedded_user import server_user

pytestmark = pytest.mark.store

_UP = """
import sys, time
from pathlib import Path
import psycopg
from pilotage.store.embedded import EmbeddedServer, Starting
with EmbeddedServer(Path(sys.argv[1]), owner=True, command="pilotage up") as server:
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    print(server.cluster.process(), flush=True)
    time.sleep(600)
"""


def _folder(inside: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=inside))
    folder.chmod(0o711)
    return folder


@pytest.fixture
def new_home(open_folder: Path) -> Path:
    """A home nobody has used yet."""
    return _folder(open_folder) / "home"


@pytest.fixture(scope="module")
def original(open_folder: Path) -> Path:
    """A home whose server was used and stopped, to copy: faster than making a cluster for every test."""
    home = _folder(open_folder) / "home"
    with EmbeddedServer(home):
        pass
    return home


@pytest.fixture
def home(open_folder: Path, original: Path) -> Path:
    """A home that was used before."""
    copy = _folder(open_folder) / "home"
    subprocess.run(["cp", "-a", original, copy], check=True)
    return copy


def _servers_of(home: Path) -> list[int]:
    """Return the ids of live processes whose command line or working folder is the home's cluster."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (
                str(home) in proc.joinpath("cmdline").read_bytes().decode()
                and b"postgres" in proc.joinpath("comm").read_bytes()
            ):
                found.append(int(proc.name))
    return found


class _Up:
    """A real `up` in a process of its own, ready to be killed."""

    def __init__(self, home: Path) -> None:
        self.child = subprocess.Popen([sys.executable, "-c", _UP, str(home)], stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        self.server = int(self.child.stdout.readline())

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


@pytest.fixture
def up(home: Path) -> Iterator[_Up]:
    started = _Up(home)
    yield started
    started.kill()
    with EmbeddedServer(home):
        pass


def _answer(server: EmbeddedServer) -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row is not None
    return row[0]


def test_after_kill_9_of_up_the_next_up_owns_the_same_server_and_a_clean_exit_stops_it(home: Path, up: _Up) -> None:
    up.kill()
    assert up.server in _servers_of(home)
    with EmbeddedServer(home, owner=True) as server:
        assert server.cluster.process() == up.server
        assert _answer(server) == 42
    assert _servers_of(home) == []


def test_a_home_with_a_path_of_120_bytes_works_and_its_socket_folder_is_private(home: Path) -> None:
    long = home.rename(home.parent / ("x" * (119 - len(os.fsencode(home.parent)))))
    assert len(os.fsencode(long)) == 120
    up = _Up(long)
    up.kill()
    with EmbeddedServer(long, owner=True) as server:
        assert _answer(server) == 42
        socket = server.cluster.socket
        assert len(os.fsencode(socket / ".s.PGSQL.5432")) <= 100
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert _servers_of(long) == []
    assert not socket.exists()


def test_a_second_up_is_refused_and_names_the_first(home: Path, up: _Up) -> None:
    with pytest.raises(Unavailable) as refused, EmbeddedServer(home, owner=True):
        pass
    assert refused.value.code == "HOME_IN_USE"
    assert f"`pilotage up` (process {up.child.pid})" in refused.value.message


def test_a_person_who_gives_up_during_a_start_leaves_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(_cluster: Cluster) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "_create_database", give_up)
    with pytest.raises(KeyboardInterrupt), EmbeddedServer(home, owner=True):
        pass
    assert _servers_of(home) == []


def test_nobody_else_can_hold_the_locks(home: Path) -> None:
    for name in ("lock", "users", "starting"):
        (home / name).unlink(missing_ok=True)
    with EmbeddedServer(home, owner=True):
        modes = {name: stat.S_IMODE((home / name).stat().st_mode) for name in ("lock", "users", "starting")}
    assert set(modes.values()) == {0o600}


def test_whoever_leaves_last_stops_the_server(home: Path) -> None:
    with EmbeddedServer(home) as short:
        with EmbeddedServer(home, owner=True) as up:
            assert up.cluster.process() == short.cluster.process()
        assert _servers_of(home) != []
        with psycopg.connect(short.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert _servers_of(home) == []


def test_two_commands_at_once_on_a_new_home_share_one_server(new_home: Path) -> None:
    both, seen = threading.Barrier(2), []

    def command() -> None:
        with EmbeddedServer(new_home) as server:
            seen.append(server.cluster.process())
            both.wait(60)

    threads = [threading.Thread(target=command) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert _servers_of(new_home) == []


def test_after_kill_9_of_the_server_itself_a_start_recovers_every_commit(home: Path, up: _Up) -> None:
    os.kill(up.server, signal.SIGKILL)
    up.kill()
    with EmbeddedServer(home) as server:
        assert server.cluster.process() != up.server
        assert _answer(server) == 42
    assert _servers_of(home) == []


def test_a_stale_pid_file_whose_number_another_program_has_now_does_not_stop_a_start(home: Path) -> None:
    with EmbeddedServer(home) as server:
        user = server.cluster.programs.user
        pid_file = (home / "database" / "postmaster.pid").read_text(encoding="utf-8")
    other = subprocess.Popen(["sleep", "600"], user=None if user is None else user.uid, cwd="/")
    try:
        stale = home / "database" / "postmaster.pid"
        stale.write_text(f"{other.pid}\n{pid_file.partition(chr(10))[2]}", encoding="utf-8")
        if user is not None:
            os.chown(stale, user.uid, user.gid)
        with EmbeddedServer(home) as server:
            assert server.cluster.process() not in {None, other.pid}
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_the_server_is_durable_private_and_keeps_no_old_wal(new_home: Path) -> None:
    half_made = new_home / "database.new-interrupted"
    half_made.mkdir(parents=True)
    with EmbeddedServer(new_home) as server, psycopg.connect(server.url) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
        socket = server.cluster.socket
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    shown: dict[str, str] = dict(rows)
    wanted = {
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "wal_recycle": "off",
        "wal_keep_size": "0",
        "archive_mode": "off",
        "wal_compression": "off",
        "server_encoding": "UTF8",
    }
    assert {name: shown[name] for name in wanted} == wanted
    assert stat.S_IMODE((new_home / "database").stat().st_mode) == 0o700
    assert not half_made.exists()


def test_one_private_dump_is_kept_and_a_purge_forgets_it(home: Path) -> None:
    with EmbeddedServer(home) as server:
        back_up(server.cluster, home, revision="0001")
        dump = back_up(server.cluster, home, revision="0002")
    assert list(backup_folder(home).iterdir()) == [dump]
    assert dump.read_bytes().startswith(b"PGDMP")
    assert stat.S_IMODE(backup_folder(home).stat().st_mode) == 0o700
    assert forget_backups(home) == 1
    assert forget_backups(home) == 0


def test_a_cluster_of_another_major_version_is_refused_with_the_command_to_run(new_home: Path) -> None:
    user = server_user()
    new_home.mkdir()
    new_home.chmod(0o711)
    (new_home / "run").mkdir()
    make_private(new_home / "run", user)
    old = Cluster(data=new_home / "database", socket=new_home / "run", programs=find_programs(user, major=16))
    old.create()
    with pytest.raises(Unavailable, match="pilotage migrate --upgrade-embedded") as refused, EmbeddedServer(new_home):
        pass
    assert refused.value.code == "STORE_VERSION_OLD"
    Home(root=new_home).version_pin.write_text("17\n", encoding="ascii")
    with pytest.raises(Unavailable) as refused, EmbeddedServer(new_home):
        pass
    assert refused.value.code == "STORE_VERSION_MISMATCH"


def test_a_command_that_hangs_while_starting_is_reported_not_waited_for_for_ever(new_home: Path) -> None:
    new_home.mkdir()
    with Starting(Home(root=new_home)), pytest.raises(Unavailable, match="starting or stopping"):
        Starting(Home(root=new_home), patience_seconds=0.2).__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a system user")
def test_root_never_opens_a_closed_folder_for_the_server(new_home: Path) -> None:
    new_home.parent.chmod(0o700)
    with pytest.raises(Unavailable) as refused, EmbeddedServer(new_home):
        pass
    assert refused.value.code == "HOME_NOT_REACHABLE"
    assert str(new_home.parent) in refused.value.message
    assert stat.S_IMODE(new_home.parent.stat().st_mode) == 0o700


def test_a_socket_folder_that_belongs_to_somebody_else_is_refused(new_home: Path) -> None:
    new_home.mkdir()
    link = new_home / "run"
    link.symlink_to(new_home.parent)
    with pytest.raises(Unavailable) as refused:
        make_private(link, server_user())
    assert refused.value.code == "SOCKET_FOLDER_UNSAFE"
