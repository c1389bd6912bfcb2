"""Where an installation keeps its embedded database: the home folder, its socket folder and its version pin.

Layout of PILOTAGE_HOME: `database/` (the cluster, 0700), `run/` (the socket, 0700), `lock` (the one `up`), `users`
(everybody who uses the server now), `starting` (held while somebody starts or stops it) and `version` (the pinned major
version). Fail mode: a home that cannot be safe is refused with a sentence that says which folder to use instead.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pilotage.core.errors import Unavailable, UsageError
from pilotage.core.ids import SLUG
from pilotage.store.embedded_user import SystemUser

MAX_SOCKET_PATH_BYTES: Final = 100
"""Linux allows 107 bytes and macOS 103 for the address of a unix socket; 100 fits both."""

_SOCKET_NAME: Final = ".s.PGSQL.5432"
_ROOT_HOME: Final = Path("/var/lib/pilotage")
_PRIVATE_PREFIXES: Final = (Path("/root"), Path("/home"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folders and files of one PILOTAGE_HOME."""

    root: Path

    @property
    def cluster(self) -> Path:
        """The data directory of the cluster."""
        return self.root / "database"

    @property
    def owner_lock(self) -> Path:
        """Locked by the one `pilotage up`; names it."""
        return self.root / "lock"

    @property
    def users_lock(self) -> Path:
        """Locked, shared, by every process that uses the server now."""
        return self.root / "users"

    @property
    def starting_lock(self) -> Path:
        """Locked while a process starts or stops the server."""
        return self.root / "starting"

    @property
    def version_pin(self) -> Path:
        """Holds the major version of PostgreSQL that made the cluster."""
        return self.root / "version"


def resolve_home(workspace_id: str, env: Mapping[str, str], *, uid: int | None = None) -> Path:
    """Return PILOTAGE_HOME: the variable if set, else the default of this user.

    For uid 0 the default is `/var/lib/pilotage/<workspace id>`, and a home under `/root` or `/home` is refused: the
    database runs as a system user, which must not be let into those folders.
    """
    if SLUG.fullmatch(workspace_id) is None:
        raise UsageError(
            "WORKSPACE_ID_INVALID",
            f"The workspace id {workspace_id!r} cannot name a folder.",
            hint="Write lowercase letters, digits and hyphens, at most 40.",
        )
    is_root = (os.geteuid() if uid is None else uid) == 0
    if given := env.get("PILOTAGE_HOME"):
        home = Path(os.path.abspath(Path(given).expanduser()))  # noqa: PTH100 - resolve() would follow links silently
    elif is_root:
        home = _ROOT_HOME / workspace_id
    else:
        data = env.get("XDG_DATA_HOME") or str(Path(env.get("HOME") or Path.home()) / ".local" / "share")
        home = Path(data) / "pilotage" / workspace_id
    if is_root:
        _refuse_private(home)
    return home


def _refuse_private(home: Path) -> None:
    """Refuse a home that the database's system user could reach only through a private folder."""
    places = {home, home.resolve()}
    for prefix in _PRIVATE_PREFIXES:
        if any(place.is_relative_to(prefix) for place in places):
            raise UsageError(
                "HOME_NOT_ALLOWED",
                f"PILOTAGE_HOME={home} lies under {prefix}, where root's PostgreSQL cannot run without opening it.",
                hint=f"Set PILOTAGE_HOME to a folder under {_ROOT_HOME}, or run as an ordinary user.",
            )


def prepare_home(home: Home, user: SystemUser | None) -> None:
    """Create the home: 0700 for an ordinary user, 0711 for root, whose database user must pass through it."""
    mode = 0o700 if user is None else 0o711
    try:
        home.root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        home.root.mkdir(mode=mode, exist_ok=True)
        if stat.S_IMODE(home.root.stat().st_mode) != mode:
            home.root.chmod(mode)
    except OSError as error:
        raise Unavailable(
            "HOME_NOT_WRITABLE",
            f"The folder {home.root} cannot be created or opened: {error.strerror}.",
            hint="Set PILOTAGE_HOME to a folder you may write.",
        ) from error
    if user is not None and (closed := user.first_closed_folder(home.root)) is not None:
        raise Unavailable(
            "HOME_NOT_REACHABLE",
            f"The system user {user.name} cannot pass through {closed}, so PostgreSQL cannot run in {home.root}.",
            hint=f"Set PILOTAGE_HOME to a folder under {_ROOT_HOME}.",
        )


def open_lock(path: Path) -> IO[str]:
    """Open a lock file, made private on first use: whoever may open it could hold it against us."""

    def private(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return open(path, "a+", encoding="utf-8", opener=private)


def socket_folder(home: Home, env: Mapping[str, str], user: SystemUser | None) -> Path:
    """Return the private (0700) folder of the socket: `run/` of the home, or a run-time one when that is too long."""
    folder = home.root / "run"
    if len(os.fsencode(folder / _SOCKET_NAME)) > MAX_SOCKET_PATH_BYTES:
        short = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:16]
        folder = _runtime_folder(env, user) / f"pilotage-{short}"
    make_private(folder, user)
    return folder


def _runtime_folder(env: Mapping[str, str], user: SystemUser | None) -> Path:
    """Return where short-lived files of this user belong."""
    if user is not None:
        return Path("/run") if Path("/run").is_dir() else Path("/tmp")  # noqa: S108 - our folder in it is 0700 and checked
    given = env.get("XDG_RUNTIME_DIR")
    return Path(given) if given and Path(given).is_dir() else Path("/tmp")  # noqa: S108 - as above


def make_private(folder: Path, user: SystemUser | None) -> None:
    """Make `folder` exist with mode 0700 and the server's owner; one that belongs to somebody else is refused."""
    wanted = (os.geteuid(), os.getegid()) if user is None else (user.uid, user.gid)
    try:
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user.uid, user.gid)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {wanted[0], os.geteuid()}:
        raise Unavailable(
            "SOCKET_FOLDER_UNSAFE",
            f"{folder} exists but belongs to somebody else, so it cannot guard the database's socket.",
            hint=f"Remove {folder}, or set PILOTAGE_HOME to a shorter path.",
        )
    if (found.st_uid, stat.S_IMODE(found.st_mode)) != (wanted[0], 0o700):
        folder.chmod(0o700)
        os.chown(folder, *wanted)
