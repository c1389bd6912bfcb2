"""Signed checkpoints: C2SP tlog-checkpoint in a C2SP signed note, Ed25519, no extension lines.

Text: origin LF size LF base64 root LF, an empty line, and per signature a line U+2014 SP name SP base64(key id ||
signature). The signature covers the text with its last LF. Rule: the name of our key equals the origin. Unknown
signatures (witnesses) are kept and not judged. Sources: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint.
Fail mode: NoteError on any other spelling; a signature that does not verify is False, never an exception.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pilotage.core.errors import UsageError
from pilotage.ledger.tree import HASH_BYTES

_ALGORITHM = b"\x01"  # Ed25519
_KEY_ID_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[^\s+\x00-\x1f]+")


class NoteError(UsageError):
    """The text is not a checkpoint, or the key not a verifier key."""

    def __init__(self, message: str) -> None:
        super().__init__("LEDGER_NOTE", message, hint="Expected a C2SP tlog-checkpoint (https://c2sp.org).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The tree at one moment: which log (`origin`), how many entries, and the root over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """Return the bytes a signature covers."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key (32 bytes) bound to the name of the log it signs for."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        """Refuse names that a note could not spell, and keys that are not 32 bytes."""
        if _NAME.fullmatch(self.name) is None or len(self.public) != HASH_BYTES:
            message = f"{self.name[:80]!r} with {len(self.public)} bytes is not a key of a log."
            raise NoteError(message)

    @property
    def id(self) -> bytes:
        """Return the 4-byte key id: first bytes of SHA-256(name LF algorithm public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ALGORITHM + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """Write the key as C2SP verifiers read it: name+key id+base64(algorithm || public key)."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ALGORITHM + self.public).decode()}"

    def verifies(self, signature: bytes, text: bytes) -> bool:
        """Tell whether this key signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line: the signer's name, its key id (4 bytes) and what it signed with."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> bytes:
        """Return the line with its LF."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint with its signature lines in their order."""

    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    def note(self) -> bytes:
        """Return the note, byte for byte what was parsed or signed."""
        return self.checkpoint.text() + b"\n" + b"".join(signature.line() for signature in self.signatures)

    def is_signed_by(self, key: VerifierKey) -> bool:
        """Tell whether the key's log is this one and one of the signatures is the key's and verifies."""
        text = self.checkpoint.text()
        return key.name == self.checkpoint.origin and any(
            signature.name == key.name and signature.key_id == key.id and key.verifies(signature.signature, text)
            for signature in self.signatures
        )


def signed(checkpoint: Checkpoint, key: VerifierKey, signature: bytes) -> SignedCheckpoint:
    """Join a checkpoint with the 64-byte signature of its text; NoteError when the key does not verify it."""
    line = Signature(name=key.name, key_id=key.id, signature=signature)
    note = SignedCheckpoint(checkpoint=checkpoint, signatures=(line,))
    if not note.is_signed_by(key):
        message = f"The signature of checkpoint {checkpoint.size} does not verify under {key}."
        raise NoteError(message)
    return note


def parse_verifier_key(text: str) -> VerifierKey:
    """Read `name+key id+base64`; NoteError when it is not an Ed25519 key or the id does not fit name and key."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        message = f"{text[:80]!r} is not a verifier key."
        raise NoteError(message)
    raw = _base64(parts[2], "verifier key")
    if raw[:1] != _ALGORITHM:
        message = f"The key of {parts[0]!r} is not an Ed25519 key."
        raise NoteError(message)
    key = VerifierKey(name=parts[0], public=raw[1:])
    if str(key) != text.strip():
        message = f"The id {parts[1]!r} does not belong to the key of {parts[0]!r}."
        raise NoteError(message)
    return key


def parse_note(data: bytes) -> SignedCheckpoint:
    """Read a signed checkpoint; NoteError unless writing it again gives the same bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NoteError("The checkpoint is not UTF-8.") from None
    lines = text.split("\n")
    if len(lines) < 6 or lines[3] or lines[-1]:
        raise NoteError("A checkpoint has three lines, an empty one, and at least one signature.")
    if _SIZE.fullmatch(lines[1]) is None or _NAME.fullmatch(lines[0]) is None:
        message = f"The checkpoint names no log and size: {lines[0][:80]!r}, {lines[1][:20]!r}."
        raise NoteError(message)
    root = _base64(lines[2], "root")
    if len(root) != HASH_BYTES:
        message = f"The root of checkpoint {lines[1]} has {len(root)} bytes."
        raise NoteError(message)
    note = SignedCheckpoint(
        checkpoint=Checkpoint(origin=lines[0], size=int(lines[1]), root=root),
        signatures=tuple(_signature(line) for line in lines[4:-1]),
    )
    if note.note() != data:
        message = f"Checkpoint {lines[1]} is not spelled canonically."
        raise NoteError(message)
    return note


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014":
        message = f"{line[:80]!r} is not a signature line."
        raise NoteError(message)
    raw = _base64(parts[2], "signature")
    return Signature(name=parts[1], key_id=raw[:_KEY_ID_BYTES], signature=raw[_KEY_ID_BYTES:])


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"The {what} is not base64."
        raise NoteError(message) from None
