"""Files that commands write where a person said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pilotage.core.errors import UsageError


def write_file(path: Path, data: bytes) -> None:
    """Write a file, replacing what is there; UsageError when it cannot be written."""
    write_pieces(path, (data,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file piece by piece, replacing what is there; UsageError when it cannot be written."""
    try:
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise UsageError("FILE_UNWRITABLE", f"{path} cannot be written: {error}.", hint="Name another file.") from None
