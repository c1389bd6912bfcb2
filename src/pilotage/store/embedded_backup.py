"""The dump that `up` takes of an embedded database before it migrates it.

Rule: one dump is kept, the newest, because a dump also holds what a later takedown must erase: `forget_backups` removes
it, and every purge calls that. Fail mode: a dump that fails stops the migration.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pilotage.store.embedded_cluster import Cluster


def backup_folder(home: Path) -> Path:
    """Where dumps of a home lie, readable by its owner only."""
    return home / "backups"


def back_up(cluster: Cluster, home: Path, *, revision: str) -> Path:
    """Dump the running database, named by the schema revision it is at, and drop older dumps; return the file.

    Restore it with `pg_restore` into an empty database.
    """
    # The server's user writes inside its own folder; a rename then puts the whole dump in place at once.
    scratch = cluster.data / "backup.dump"
    cluster.programs.run("pg_dump", "--format=custom", f"--file={scratch}", f"--dbname={cluster.url()}", seconds=86_400)
    folder = backup_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(scratch, os.geteuid(), os.getegid())
    target = folder / f"before-migration-from-{revision}.dump"
    scratch.replace(target)
    for older in folder.glob("*.dump"):
        if older != target:
            older.unlink()
    return target


def forget_backups(home: Path) -> int:
    """Remove every dump of a home, as a purge must; return how many there were."""
    folder = backup_folder(home)
    found = len(list(folder.glob("*.dump")))
    shutil.rmtree(folder, ignore_errors=True)
    return found
