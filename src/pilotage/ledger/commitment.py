"""Salted commitments: how the ledger speaks of a text or a person without holding either.

`SHA-256("pilotage/commit/v1" NUL salt utf8(value))`. Salt and value live outside the ledger and may be deleted: the
entry then still verifies and says nothing. Rule: 32 random bytes of salt, one per field, never reused. Fail mode: a
short salt is refused, since a guessable one would let anybody test values.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pilotage.core.digest import Digest

SALT_BYTES = 32
_PREFIX = b"pilotage/commit/v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What opens one commitment: the field of the entry, its salt and its value. Deletable; the commitment is not."""

    field: str
    salt: bytes
    value: str

    @property
    def commitment(self) -> Digest:
        """Return the commitment that stands in the entry."""
        return commitment(self.salt, self.value)


def commitment(salt: bytes, value: str) -> Digest:
    """Commit to `value` under a 32-byte random salt; raise ValueError for any other length of salt."""
    if len(salt) != SALT_BYTES:
        message = f"A salt has {SALT_BYTES} bytes, not {len(salt)}."
        raise ValueError(message)
    return Digest(f"sha256:{hashlib.sha256(_PREFIX + salt + value.encode()).hexdigest()}")


def is_opened_by(committed: str, *, salt: bytes, value: str) -> bool:
    """Tell whether salt and value open the commitment."""
    return len(salt) == SALT_BYTES and hmac.compare_digest(committed.encode(), commitment(salt, value).encode())


def disclosures_of(values: Mapping[str, str], *, entropy: Callable[[int], bytes]) -> tuple[Disclosure, ...]:
    """Salt each value; `entropy(n)` returns n random bytes (`secrets.token_bytes` outside tests)."""
    return tuple(
        Disclosure(field=field, salt=entropy(SALT_BYTES), value=value) for field, value in sorted(values.items())
    )


def commitments_of(disclosures: Iterable[Disclosure]) -> dict[str, Digest]:
    """Return the `commit` object of an entry for these disclosures."""
    return {disclosure.field: disclosure.commitment for disclosure in disclosures}
