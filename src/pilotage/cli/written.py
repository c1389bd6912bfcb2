"""Files that commands write where a person said."""

from __future__ import annotations

from pathlib import Path

from pilotage.core.errors import UsageError


def write_file(path: Path, data: bytes) -> None:
    """Write a file, replacing what is there; UsageError when it cannot be written."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError("FILE_UNWRITABLE", f"{path} cannot be written: {error}.", hint="Name another file.") from None
