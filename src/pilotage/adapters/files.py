"""Files that are there whole or not at all, and still there after a crash."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def put_file(path: Path, content: bytes) -> None:
    """Put a whole file in place in one step, and on the disk: nobody ever reads half of it or loses it again."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with partial.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
