"""One driver at a time for a run: a session lock that ends with its process, however that ends.

Fail mode: a second driver gets None and leaves the run alone; the lock of a killed process is free at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text

_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtextextended('pilotage/evaluation/' || :run, 0))")
_KEEP: Final = text("SELECT pg_try_advisory_xact_lock(hashtextextended('pilotage/evaluation/' || :run, 0))")
_FREE: Final = text("SELECT pg_advisory_unlock(hashtextextended('pilotage/evaluation/' || :run, 0))")


@contextmanager
def drive_lock(engine: Engine, run: str) -> Iterator[bool]:
    """Tell whether the run is this process's to drive while the block lasts."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        held = bool(session.execute(_LOCK, {"run": run}).scalar_one())
        try:
            yield held
        finally:
            if held:
                session.execute(_FREE, {"run": run})


def keep_others_off(connection: Connection, run: str) -> bool:
    """Let nobody drive a run until the caller's transaction ends; False where somebody does."""
    return bool(connection.execute(_KEEP, {"run": run}).scalar_one())
