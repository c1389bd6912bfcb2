"""Texts that only the holder of a secret can read again: AES-256-GCM, the nonce before the ciphertext.

Rule: one key seals few texts, and each is bound to where it stands, so a row put into another's place does not open.
Fail mode: another key, another place or a changed byte opens nothing.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


def seal(text: bytes, *, key: bytes, place: str) -> bytes:
    """Return the text sealed under a key of 32 bytes, for one place."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, place.encode())


def unseal(sealed: bytes, *, key: bytes, place: str) -> bytes | None:
    """Return the text again; None when it was not sealed under this key for this place."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        return None
