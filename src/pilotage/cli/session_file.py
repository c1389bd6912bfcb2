"""Where the command line keeps who is signed in: one file of this user, mode 0600, outside the workspace.

Rule: it is believed only when it belongs to this user and nobody else may read it. Fail mode: anything else is as if
nobody were signed in.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_LONGEST: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFile:
    """The session of one workspace."""

    path: Path

    @classmethod
    def of(cls, workspace: str, environ: Mapping[str, str]) -> Self:
        """Return the file of a workspace below XDG_STATE_HOME (default ~/.local/state)."""
        state = environ.get("XDG_STATE_HOME", "")
        root = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
        return cls(path=root / "pilotage" / workspace / "session")

    def read(self) -> str | None:
        """Return the session's token."""
        try:
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                found = os.fstat(file.fileno())
                is_own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
                return file.read(_LONGEST).decode("ascii").strip() or None if is_own else None
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, token: str) -> None:
        """Keep a token in place of the one before; raise OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.remove()
        with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token)

    def remove(self) -> None:
        """Forget the token."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
