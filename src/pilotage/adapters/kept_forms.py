"""Compiled forms of personal data in PILOTAGE_HOME, so that a process loads them instead of compiling for seconds.

Rule: a file is believed only when it belongs to this user, nobody else may touch it, and its HMAC under a key of this
instance is right, since the library trusts what it loads. Written whole or not at all. Fail mode: anything else is as
if there were no file; a folder that cannot be written costs time, never an answer.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import secrets
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

FORMS_KEY: Final = "kept-forms/v1"
_TAG_BYTES: Final = 32
_LARGEST: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFolder:
    """`guard.first_pass.Kept` in a folder. `key` is 32 bytes derived for `FORMS_KEY`."""

    folder: Path
    key: bytes = field(repr=False)

    def load(self, name: str) -> bytes | None:
        """Return what was saved under a name by this user with this key."""
        try:
            held = _read_own(self.folder / name)
        except OSError:
            return None
        if held is None or not hmac.compare_digest(held[:_TAG_BYTES], self._tag(name, held[_TAG_BYTES:])):
            return None
        return held[_TAG_BYTES:]

    def save(self, name: str, data: bytes) -> None:
        """Save, mode 0600."""
        partial = self.folder / f"{name}.{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(self._tag(name, data) + data)
            partial.replace(self.folder / name)
        except OSError as error:
            logger.warning("The compiled forms could not be kept in %s: %s.", self.folder, error.strerror)
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _tag(self, name: str, data: bytes) -> bytes:
        return hmac.new(self.key, name.encode() + b"\0" + data, sha256).digest()


def _read_own(path: Path) -> bytes | None:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        state = os.fstat(file.fileno())
        is_own = stat.S_ISREG(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077
        return file.read(_LARGEST) if is_own and state.st_size < _LARGEST else None
