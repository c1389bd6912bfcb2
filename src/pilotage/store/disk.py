"""Room on the disk of the embedded database: below 1 GiB a warning, below 200 MiB no more writes.

A full disk in the middle of a WAL write makes PostgreSQL stop; refusing earlier keeps reading, answering and deleting
possible. Fail mode: free space that cannot be read counts as none.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from pilotage.core.errors import Unavailable
from pilotage.core.reason import Reason

WARN_BYTES: Final = 1 << 30
REFUSE_BYTES: Final = 200 << 20

_GROWING: Final = ("INSERT", "UPDATE", "CREATE", "COPY", "ALTER")
_LOOK_EVERY_SECONDS: Final = 1.0


def free_bytes(folder: Path) -> int:
    """Return the bytes an ordinary process may still write on the disk of `folder`; 0 when that cannot be read."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def low_room(folder: Path) -> Reason | None:
    """Return why the disk needs attention, or None."""
    free = free_bytes(folder)
    if free >= WARN_BYTES:
        return None
    limit = WARN_BYTES if free >= REFUSE_BYTES else REFUSE_BYTES
    consequence = "writes stop below 200 MiB" if free >= REFUSE_BYTES else "writes are refused"
    return Reason(
        code="disk_low",
        text=f"{free >> 20} MiB free on the disk of {folder}: {consequence}.",
        where=str(folder),
        observed=f"{free >> 20} MiB",
        limit=f"{limit >> 20} MiB",
    )


def require_room(folder: Path) -> None:
    """Raise Unavailable `store_unavailable` when the disk has less than 200 MiB left."""
    free = free_bytes(folder)
    if free < REFUSE_BYTES:
        raise Unavailable(
            "store_unavailable",
            f"Only {free >> 20} MiB are free on the disk of {folder}; the store writes nothing below 200 MiB.",
            hint="Free some space; reading and deleting go on.",
        )


class DiskWatch:
    """Answers `require_room` for a folder, looking at the disk at most once a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at: float | None = None

    def require_room(self) -> None:
        """Raise Unavailable when the disk is too full to write; cheap enough to call before every write."""
        now = time.monotonic()
        if self._looked_at is None or now - self._looked_at > _LOOK_EVERY_SECONDS:
            require_room(self._folder)
            self._looked_at = now


def refuse_writes_when_full(engine: Engine, folder: Path) -> None:
    """Make every statement of `engine` that grows the store check the disk of `folder` first."""
    watch = DiskWatch(folder)

    @event.listens_for(engine, "before_cursor_execute")
    def look(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:  # noqa: ANN401 - SQLAlchemy's signature
        if statement.lstrip()[:6].upper().startswith(_GROWING):
            watch.require_room()
