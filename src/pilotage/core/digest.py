"""SHA-256 digests in the one written form, `sha256:` and 64 lowercase hex digits."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import UsageError

Digest = NewType("Digest", str)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(data: bytes) -> Digest:
    """Return `sha256:<hex>` of raw bytes."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def digest_of_json(value: Json, *, form: Form = Form.RECORD) -> Digest:
    """Return the digest of the value's canonical JSON (RFC 8785)."""
    return digest_of(canonical_bytes(value, form=form))


def parse_digest(text: str) -> Digest:
    """Check the written form of a digest; raise UsageError with what to write instead."""
    if _DIGEST.fullmatch(text) is None:
        raise UsageError(
            "DIGEST_FORM", f"{text[:80]!r} is not a digest.", hint="Write sha256: and 64 lowercase hex digits."
        )
    return Digest(text)


def short(digest: str) -> str:
    """Return the first twelve hex digits of a digest, by which people and addresses name it."""
    return digest.removeprefix("sha256:")[:12]


def raw(digest: Digest) -> bytes:
    """Return the 32 bytes of a digest."""
    return bytes.fromhex(digest.removeprefix("sha256:"))
