"""A version's identity: a commitment per revision, one digest over all (corpus-and-ledger.md 2.2).

Purging a document deletes its salt: the digest still verifies from the kept commitments, but nobody can test a guessed
content against it. Fail mode: a digest that does not verify is IntegrityError where it is read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pilotage.core.digest import Digest, digest_of, raw

_COMMIT_DOMAIN = b"pilotage/revision/v1\x00"
BLOCK_LIST_KEY = "block-list/v1"
"""Purpose of the derived key under which the block list remembers revision hashes."""


class VersionState(StrEnum):
    """Where a version stands. Only `accepted` can be sealed into a release."""

    BUILDING = "building"
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """One revision as the digest sees it."""

    document: str
    effective_from: date | None
    commitment: Digest


def commitment(revision_hash: Digest, salt: bytes) -> Digest:
    """Return SHA-256("pilotage/revision/v1" NUL salt(32) revision_hash)."""
    if len(salt) != 32:
        raise ValueError("A salt has 32 bytes.")
    return digest_of(_COMMIT_DOMAIN + salt + raw(revision_hash))


def version_bytes(corpus: str, number: int, revisions: Iterable[Committed]) -> bytes:
    """Return the canonical JSON a version's digest covers: `{"v":1,"corpus","number","docs":[[id, commit], ...]}`."""
    ordered = sorted(revisions, key=lambda one: (one.document, one.effective_from or date.min))
    # For lists of NFC strings compact JSON is the canonical form; keys stand in order. A test compares the two writers.
    docs = json.dumps([[one.document, one.commitment] for one in ordered], ensure_ascii=False, separators=(",", ":"))
    return f'{{"corpus":{json.dumps(corpus)},"docs":{docs},"number":{number},"v":1}}'.encode()


def version_digest(body: bytes) -> Digest:
    """Return the digest of `version_bytes`."""
    return digest_of(body)


def revision_hmac(key: bytes, revision_hash: str) -> str:
    """Return what the block list keeps of a taken-down revision: it recognises the content, and reveals nothing."""
    return hmac.new(key, revision_hash.encode(), hashlib.sha256).hexdigest()
