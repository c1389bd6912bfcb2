"""Typed ids. A ULID (github.com/ulid/spec) sorts by time: 48 bits of milliseconds, 80 bits of randomness."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import NewType

PersonId = NewType("PersonId", str)
PrincipalId = NewType("PrincipalId", str)
WorkflowName = NewType("WorkflowName", str)
SpaceName = NewType("SpaceName", str)
CorpusName = NewType("CorpusName", str)
DocumentId = NewType("DocumentId", str)
InteractionId = NewType("InteractionId", str)
EntryId = NewType("EntryId", str)

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
# A random byte as one digit: each of the 32 stands for eight of the 256 bytes, so all are equally likely.
_DRAWN = bytes(ord(_CROCKFORD[byte & 31]) for byte in range(256))
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
COMPLETION_PREFIX = "chatcmpl-"
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def new_ulid(at: datetime, *, entropy: bytes | None = None) -> str:
    """Return a 26-character ULID for the moment `at`; `entropy` (10 bytes) is given by tests, else random."""
    moment = int(at.timestamp() * 1000)
    time = (
        f"{_PAIRS[moment >> 40]}{_PAIRS[moment >> 30 & 1023]}{_PAIRS[moment >> 20 & 1023]}{_PAIRS[moment >> 10 & 1023]}"
        f"{_PAIRS[moment & 1023]}"
    )
    if entropy is None:
        return time + secrets.token_bytes(16).translate(_DRAWN).decode()
    number = int.from_bytes(entropy, "big")
    return time + "".join([_PAIRS[number >> shift & 1023] for shift in range(70, -1, -10)])


def ulid_of_answer(text: str) -> str | None:
    """Return the ULID of an interaction, written as such or as the `id` of an answer; None for anything else."""
    bare = text.removeprefix(COMPLETION_PREFIX)
    return bare if is_ulid(bare) else None


def is_ulid(text: str) -> bool:
    """Tell whether `text` has the form of a ULID."""
    return _ULID.fullmatch(text) is not None
