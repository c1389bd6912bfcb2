"""A home moves to a newer PostgreSQL with every row and every ledger byte, or stays as it was."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pilotage.core.errors import Conflict, IntegrityError, Unavailable
from pilotage.store import embedded_upgrade
from pilotage.store.embedded import EmbeddedServer, claim_home
from pilotage.store.embedded_binaries import find_programs
from pilotage.store.embedded_cluster import Cluster
from pilotage.store.embedded_home import Home, prepare_home, socket_folder
from pilotage.store.embedded_upgrade import read_contents, upgrade_embedded
from pilotage.store.embedded_user import server_user
from pilotage.store.engine import make_engine
from pilotage.store.migrate import check_schema, migrate

pytestmark = pytest.mark.store


def _silent(_message: str) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def original(open_folder: Path) -> Path:
    """A home of PostgreSQL 16 with our schema and one ledger entry."""
    folder = Path(tempfile.mkdtemp(dir=open_folder))
    folder.chmod(0o711)
    home, user = Home(root=folder / "home"), server_user()
    prepare_home(home, user)
    old = Cluster(data=home.cluster, socket=socket_folder(home, {}, user), programs=find_programs(user, major=16))
    old.create()
    old.start(_silent)
    engine = make_engine(old.url())
    migrate(engine)
    engine.dispose()
    with psycopg.connect(old.url()) as connection:
        connection.execute("INSERT INTO ledger_entry (id, kind, subject, bytes) VALUES ('e', 'k', 's', 'entry')")
    old.stop()
    home.version_pin.write_text("16\n", encoding="ascii")
    return home.root


@pytest.fixture
def home(original: Path) -> Iterator[Home]:
    """That home, put back after the test."""
    saved = original.with_name("saved")
    subprocess.run(["cp", "-a", original, saved], check=True)
    yield Home(root=original)
    shutil.rmtree(original)
    saved.rename(original)


def test_every_row_and_ledger_byte_moves_and_the_old_folder_is_kept(home: Home) -> None:
    done = upgrade_embedded(home.root, {}, _silent)
    assert (done.before, done.after) == (16, 18)
    assert done.kept == home.root / "database.postgresql-16"
    assert done.rows >= 2
    with EmbeddedServer(home.root) as server:
        engine = make_engine(server.url)
        check_schema(engine)
        engine.dispose()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT bytes FROM ledger_entry").fetchall() == [(b"entry",)]
        with pytest.raises(Conflict) as refused:
            upgrade_embedded(home.root, {}, _silent)
        assert refused.value.code == "STORE_IN_USE"
    again = upgrade_embedded(home.root, {}, _silent)
    assert (again.before, again.kept) == (18, None)


def test_two_upgrades_at_once_are_refused_and_the_first_is_named(home: Home) -> None:
    with claim_home(home, "pilotage migrate --upgrade-embedded"), pytest.raises(Unavailable) as refused:
        upgrade_embedded(home.root, {}, _silent)
    assert refused.value.code == "HOME_IN_USE"


@pytest.mark.slow
def test_a_restore_that_differs_replaces_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["old", "new"])
    monkeypatch.setattr(
        embedded_upgrade, "read_contents", lambda url: replace(read_contents(url), ledger=next(answers))
    )
    with pytest.raises(IntegrityError, match="the ledger's bytes"):
        upgrade_embedded(home.root, {}, _silent)
    assert (home.cluster / "PG_VERSION").read_text(encoding="ascii") == "16\n"
    assert home.version_pin.read_text(encoding="ascii") == "16\n"


def test_interrupted_between_the_two_renames_it_refuses_to_start_empty_and_starts_over(home: Home) -> None:
    home.cluster.rename(home.root / "database.postgresql-16")
    (home.root / "database.upgrade").mkdir()
    with pytest.raises(Unavailable) as refused, EmbeddedServer(home.root):
        pass
    assert refused.value.code == "STORE_MISSING"
    done = upgrade_embedded(home.root, {}, _silent)
    assert (done.before, done.after) == (16, 18)


def test_without_room_for_two_copies_nothing_is_begun(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_upgrade, "free_bytes", lambda _folder: 1 << 20)
    with pytest.raises(Unavailable) as refused:
        upgrade_embedded(home.root, {}, _silent)
    assert refused.value.code == "store_unavailable"
    assert not (home.root / "database.upgrade").exists()
