"""Keys that Pilotage issues itself (serving.md 2.3): `plt_sk_<10 id>_<43 secret>_<6 CRC-32>`.

The checksum lets a scanner and a typing mistake be recognised without the store; the store holds the id and the SHA-256
of the secret. Rule: a secret is shown once and compared in constant time; whoever cannot prove the secret is never told
that a key is expired or revoked. Fail mode: CredentialRefused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pilotage.core.ids import PersonId
from pilotage.identity.refused import CredentialCode, CredentialRefused

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"plt_sk_([0-9A-Za-z]{10})_([0-9A-Za-z_-]{43})_([0-9A-Za-z]{6})")
ID_ENTROPY = 16
SECRET_BYTES = 32
MAX_DAYS = 365
DEFAULT_DAYS = 90
DEFAULT_OVERLAP_DAYS = 7
LIVE_KEYS = 2
_SCOPE = re.compile(r"ask|feedback|read|evaluate|control:[a-z][a-z-]{1,39}|evidence:[a-z*][a-z.*-]{0,39}")
LOCAL_SCOPES = ("ask", "feedback", "read", "evaluate")


class KeyKind(StrEnum):
    """`local`: a person in local identity mode. `service`: a machine with an owner."""

    LOCAL = "local"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    """A key as text, taken apart. `secret` are its 43 characters."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """A stored key. `name` is the service, or the person of a local key. Empty spaces, workflows, ips: no limit."""

    id: str
    secret_sha256: bytes
    kind: KeyKind
    name: str
    owner: PersonId
    spaces: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    scopes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    delegation: str = "optional"
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether the key still works at `now`."""
        return self.revoked_at is None and now < self.expires_at


def is_scope(text: str) -> bool:
    """Tell whether `text` is a scope: ask, feedback, read, evaluate, control:<command> or evidence:<kind or glob>."""
    return _SCOPE.fullmatch(text) is not None


def new_key_id(entropy: Callable[[int], bytes]) -> str:
    """Return 10 base62 characters from 16 random bytes; `entropy(n)` is `secrets.token_bytes` outside tests."""
    return _base62(int.from_bytes(entropy(ID_ENTROPY), "big") % 62**10, 10)


def format_key(identifier: str, secret: bytes) -> str:
    """Return the key's text from its id and 32 secret bytes."""
    if len(secret) != SECRET_BYTES:
        message = f"A secret has {SECRET_BYTES} bytes, not {len(secret)}."
        raise ValueError(message)
    head = f"plt_sk_{identifier}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"
    return f"{head}_{_checksum(head)}"


def parse_key(text: str) -> KeyParts | None:
    """Take a key apart; None when its form or checksum is wrong."""
    match = _FORM.fullmatch(text)
    if match is None or not hmac.compare_digest(_checksum(text[:-7]).encode(), match[3].encode()):
        return None
    return KeyParts(id=match[1], secret=match[2])


def secret_hash(secret: str) -> bytes:
    """Return the SHA-256 of the 43 secret characters: what is stored."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def check_key(key: ServiceKey | None, parts: KeyParts, *, now: datetime) -> CredentialRefused | None:
    """Return None when the parts prove the stored key and it is live. `key` None is an unknown id, equally slow."""
    stored = key.secret_sha256 if key is not None else bytes(32)
    proven = hmac.compare_digest(stored, secret_hash(parts.secret))
    if key is None or not proven:
        return CredentialRefused(code=CredentialCode.INVALID_KEY, text="The key is not valid here.")
    if key.revoked_at is not None:
        return CredentialRefused(code=CredentialCode.KEY_REVOKED, text="The key was revoked; ask its owner.")
    if now >= key.expires_at:
        return CredentialRefused(code=CredentialCode.KEY_EXPIRED, text="The key has expired; create or rotate one.")
    return None


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode("ascii")), 6)


def _base62(number: int, width: int) -> str:
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)).rjust(width, "0")
