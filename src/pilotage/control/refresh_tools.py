"""What a refresh works with besides its instance; the commands name it without loading the refresh itself.

Fail mode: without a redaction a derived corpus is refused; without recognisers nothing is counted.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from pilotage.core.digest import Digest
from pilotage.corpus.connector import Connector
from pilotage.corpus.inspection import Inspect, Redact, inspect_nothing

Progress = Callable[[int, int | None], None]
"""Called with (items done, items in all or None while unknown)."""

NewSalt = Callable[[str, Digest], bytes]
"""Gives 32 bytes for a document's revision: random outside tests."""


def random_salt(_document: str, _revision: Digest) -> bytes:
    """Return 32 random bytes: what keeps a purged text from being guessed."""
    return secrets.token_bytes(32)


def no_progress(_done: int, _total: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTools:
    """What a refresh works with besides its instance. `connector` replaces the declared source, in tests."""

    inspect: Inspect = inspect_nothing
    redact: Redact | None = None
    progress: Progress = no_progress
    new_salt: NewSalt = random_salt
    connector: Connector | None = None
