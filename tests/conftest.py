"""Fixtures every lane shares."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from sqlalchemy import Engine

from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine, parse_url, psycopg_url
from pilotage.store.migrate import migrate

AMPLE = 8 * 2**30  # bytes
_HERE = Path(__file__).parent
_LONG = ("cli", "browser", "schema", "evaluation", "jobs")

# No property is timed: speed belongs to benchmarks. A change lands or not on the same examples (CI is set there); at a
# desk every run looks at new ones.
settings.register_profile(
    "pilotage", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("pilotage")


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: a test waits for children, disks and browsers."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that takes the database server, so that `-m 'not store'` is the lane inside one process.

    Files with the longest tests come first: a file belongs to one process, and the last one is waited for.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "server_url" in item.fixturenames:
            item.add_marker("store")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
    return _LONG.index(folder) if folder in _LONG else len(_LONG)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data beside the checkout; absent on a user's machine."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public data sets are not beside this checkout (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A scratch folder the database's system user can pass through; pytest's own are closed to everybody but root."""
    where = scratch()
    sweep(where)
    folder = Path(tempfile.mkdtemp(prefix=f"pilotage-test-{os.getpid()}-", dir=where))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def scratch() -> Path:
    """Where databases come and go soonest: in memory, where it is ample; each commit and drop waits for a disk."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and min(shutil.disk_usage(memory).free, _free_memory()) >= AMPLE else Path("/tmp")


def _free_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def sweep(where: Path) -> None:
    """Remove what killed runs left here, their servers too: it may take memory."""
    for folder in where.glob("pilotage-test-[0-9]*-*") if Path("/proc/self").exists() else ():
        if Path("/proc", folder.name.split("-")[2]).exists():
            continue
        for running in folder.rglob("postmaster.pid"):
            server = running.read_text().split("\n", 1)[0]
            with contextlib.suppress(OSError, ValueError):
                if str(folder) in Path("/proc", server, "cmdline").read_text():
                    os.kill(int(server), signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server_url(open_folder: Path) -> Iterator[str]:
    """A PostgreSQL server to make databases in: DATABASE_URL if set, else an embedded one of this test process."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with EmbeddedServer(open_folder / "home") as server:
        yield server.url


@pytest.fixture(scope="session")
def template_database(server_url: str) -> Iterator[str]:
    """The name of a migrated, empty database that others are copied from."""
    with _throw_away(server_url, "template") as name:
        engine = make_engine(on_database(server_url, name))
        migrate(engine)
        engine.dispose()
        yield name


@pytest.fixture(scope="module")
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test module."""
    with _throw_away(server_url, "test", template=template_database) as name:
        yield on_database(server_url, name)


@pytest.fixture(scope="module")
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the module's database."""
    made = make_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def own_engine(server_url: str, template_database: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database of this one test."""
    with _throw_away(server_url, "own", template=template_database) as name:
        made = make_engine(on_database(server_url, name))
        yield made
        made.dispose()


@pytest.fixture
def empty_database_url(server_url: str) -> Iterator[str]:
    """The address of a database without any schema."""
    with _throw_away(server_url, "empty") as name:
        yield on_database(server_url, name)


def on_database(url: str, name: str) -> str:
    """Return the same server's address for another database."""
    return parse_url(url).set(database=name).render_as_string(hide_password=False)


class _throw_away:  # noqa: N801 - reads as a verb
    """A database that exists inside the block."""

    def __init__(self, server_url: str, label: str, *, template: str = "template1") -> None:
        self._server = psycopg_url(server_url)
        self._template = template
        self.name = f"pilotage_{label}_{secrets.token_hex(6)}"

    def __enter__(self) -> str:
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(self.name), sql.Identifier(self._template))
        )
        return self.name

    def __exit__(self, *_: object) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement)
