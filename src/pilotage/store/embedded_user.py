"""Who runs the embedded server: the caller, or, because PostgreSQL refuses uid 0, a system user of its own.

Rule: no folder that exists is ever opened wider for that user; a folder it cannot pass is reported by name. Fail mode:
no user can be made, so nothing starts and the message points to DATABASE_URL.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage.core.errors import Unavailable

_USER_NAME: Final = "pilotage-db"
_OUTSIDE: Final = "Run as an ordinary user, or point DATABASE_URL at a PostgreSQL 15 or newer."


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUser:
    """The unprivileged account under which root runs the server."""

    name: str
    uid: int
    gid: int

    def first_closed_folder(self, path: Path) -> Path | None:
        """Return the first folder on the way to `path` (itself included) that this user cannot pass, or None."""
        for folder in (*reversed(path.parents), path):
            if not self._may_pass(folder):
                return folder
        return None

    def _may_pass(self, folder: Path) -> bool:
        """Tell whether the execute bit that applies to this user is set."""
        found = folder.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def server_user() -> SystemUser | None:
    """Return the system user that must run the server, made on first need; None when the caller can run it."""
    if os.geteuid() != 0:
        return None
    found = _find()
    if found is None:
        _create()
        found = _find()
    if found is None:
        raise Unavailable(
            "NO_SYSTEM_USER",
            f"PostgreSQL cannot run as root, and the system user {_USER_NAME} does not exist and could not be made.",
            hint=_OUTSIDE,
        )
    return found


def _find() -> SystemUser | None:
    """Look the account up."""
    try:
        entry = pwd.getpwnam(_USER_NAME)
    except KeyError:
        return None
    return SystemUser(name=_USER_NAME, uid=entry.pw_uid, gid=entry.pw_gid)


def _create() -> None:
    """Make a system account without home or shell, with whichever tool this machine has."""
    shell = "/usr/sbin/nologin" if Path("/usr/sbin/nologin").exists() else "/bin/false"
    tools = (
        ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell),
        ("adduser", "-S", "-D", "-H", "-s", shell),
    )
    for tool, *options in tools:
        if (found := shutil.which(tool)) is None:
            continue
        # Two commands at once may both try: the loser fails, and the lookup that follows finds the winner's user.
        subprocess.run([found, *options, _USER_NAME], check=False, capture_output=True)  # noqa: S603 - fixed arguments
        return
