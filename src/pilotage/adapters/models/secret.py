"""Provider secrets, by reference only: `env:NAME` or `file:PATH`, never a value in a declared file.

A reference is resolved when it is used and again every 60 s, so a rotated file needs no restart. Fail mode:
Unavailable that names the reference, never the value.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pilotage.core.errors import Unavailable

_FRESH_S = 60.0


def read_secret(reference: str, *, root: Path) -> str:
    """Return the secret behind `env:NAME` or `file:PATH` (relative paths start at `root`)."""
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        value = os.environ.get(name, "").strip()
        if value:
            return value
        message = f"The environment variable {name} (from {reference}) is not set."
        raise Unavailable("secret_missing", message, hint="Set it for the serve process.")
    if kind == "file" and name:
        try:
            value = (root / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            message = f"The secret file of {reference} cannot be read: {type(error).__name__}."
            raise Unavailable("secret_missing", message, hint="Create it, readable by the serve process.") from None
        if value:
            return value
        message = f"The secret file of {reference} is empty."
        raise Unavailable("secret_missing", message)
    message = f"{reference.partition(':')[0]!r} is not a kind of secret reference."
    raise Unavailable("secret_form", message, hint="Write env:NAME or file:PATH.")


class Secret:
    """A secret that is read when needed and re-read every 60 s. `None` as reference means no secret."""

    def __init__(self, reference: str | None, *, root: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reference = reference
        self._root = root
        self._monotonic = monotonic
        self._value: str | None = None
        self._read_at = 0.0

    def value(self) -> str | None:
        """Return the secret, or None when the settings name none."""
        if self._reference is None:
            return None
        now = self._monotonic()
        if self._value is None or now >= self._read_at + _FRESH_S:
            self._value = read_secret(self._reference, root=self._root)
            self._read_at = now
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self._reference!r})"
