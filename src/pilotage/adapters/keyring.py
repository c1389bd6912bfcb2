"""Keys of one instance: a master key, Ed25519 signing keys encrypted under it, and HMAC keys derived from it.

The master key is PILOTAGE_MASTER_KEY (base64 or hex of 32 bytes, or a reference `env:NAME` or `file:PATH`), else the
file `PILOTAGE_HOME/keys/master`, mode 0600. Signing keys stand in `PILOTAGE_HOME/keys/<name>.json`, AES-256-GCM under a
key derived from the master, never in the database. Rule: a key is only ever created by a call that says so, and never
replaces one that exists. Fail mode: Unavailable, naming the file; nothing is signed with another key instead.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pilotage.core.digest import digest_of
from pilotage.core.errors import Conflict, IntegrityError, Unavailable, UsageError

INSTANCE_KEY: Final = "instance"  # signs the seals of releases
LEDGER_KEY: Final = "ledger"  # signs checkpoints; after a rotation "ledger-2", "ledger-3", ...
MASTER_BYTES: Final = 32
MASTER_VARIABLE: Final = "PILOTAGE_MASTER_KEY"

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,39}")
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The opened keys of a home. `created` tells that this call wrote a new master key: the caller says so to the user.

    The master key is kept out of `repr`; signing keys are decrypted per signature and never cached on disk in clear.
    """

    folder: Path
    master: bytes
    source: str
    created: bool

    def __repr__(self) -> str:
        return f"Keyring(folder={str(self.folder)!r}, source={self.source!r})"

    @classmethod
    def open(cls, home: Path, environ: Mapping[str, str], *, create: bool = False) -> Keyring:
        """Open the keys of `home`. Without any master key: Unavailable, or with `create` a new one in `home/keys`."""
        folder = home / "keys"
        reference = environ.get(MASTER_VARIABLE, "")
        if reference:
            master, source = _referenced(reference, environ)
            return cls(folder=folder, master=master, source=source, created=False)
        path = folder / "master"
        created = create and _write_new(path, base64.b64encode(secrets.token_bytes(MASTER_BYTES)) + b"\n")
        if not path.exists():
            raise Unavailable(
                "MASTER_KEY_MISSING",
                f"There is no master key: {MASTER_VARIABLE} is unset and {path} does not exist.",
                hint=f"Restore {path} from your backup or set {MASTER_VARIABLE}; `pilotage up` writes a new one.",
            )
        return cls(folder=folder, master=_master_from(path), source=f"file:{path}", created=created)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose (HKDF-SHA256, RFC 5869); equal purposes give equal bytes on every machine."""
        if not purpose:
            raise UsageError("KEY_PURPOSE", "A derived key needs a purpose.")
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"pilotage/{purpose}".encode()).derive(self.master)

    def has(self, name: str) -> bool:
        """Tell whether the signing key exists in this home."""
        return self._path(name).exists()

    def create(self, name: str) -> bytes:
        """Create a signing key and return its public key (32 bytes); Conflict when the name is taken."""
        private = Ed25519PrivateKey.generate()
        if not self._seal(name, private):
            raise Conflict("KEY_EXISTS", f"The signing key {name!r} exists already.", hint="Use it, or rotate it.")
        return _public_bytes(private.public_key())

    def ensure(self, name: str) -> bool:
        """Create the signing key unless it exists; tell whether it was created. Two processes agree on one key.

        For keys that guard no history yet; a lost key of an existing ledger is restored or declared lost instead.
        """
        return not self.has(name) and self._seal(name, Ed25519PrivateKey.generate())

    def adopt(self, name: str, seed: bytes) -> bytes:
        """Store a known 32-byte seed (a restored backup, a test vector) as a new signing key; return its public key."""
        private = Ed25519PrivateKey.from_private_bytes(seed)
        if not self._seal(name, private):
            raise Conflict("KEY_EXISTS", f"The signing key {name!r} exists already.", hint="Rotate it instead.")
        return _public_bytes(private.public_key())

    def sign(self, name: str, data: bytes) -> bytes:
        """Return the Ed25519 signature (64 bytes, RFC 8032) of `data` by the named key; Unavailable when it is lost."""
        return self._private(name).sign(data)

    def public(self, name: str) -> bytes:
        """Return the 32-byte public key of the named key; Unavailable when it is lost."""
        return _public_bytes(self._private(name).public_key())

    def fingerprint(self, name: str) -> str:
        """Return `sha256:` of the public key, for `doctor` and for people comparing by eye."""
        return digest_of(self.public(name))

    def names(self) -> tuple[str, ...]:
        """Return the names of all signing keys of this home."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.json")))

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None or name == "master":
            raise UsageError("KEY_NAME", f"{name!r} cannot name a key.", hint="Use a-z, 0-9, dots and dashes.")
        return self.folder / f"{name}.json"

    def _seal(self, name: str, private: Ed25519PrivateKey) -> bool:
        return _write_new(self._path(name), self._sealed(name, private))

    def _sealed(self, name: str, private: Ed25519PrivateKey) -> bytes:
        public = _public_bytes(private.public_key())
        seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.derive("keyring/v1")).encrypt(nonce, seed, _bound_to(name, public))
        fields = {
            "v": 1,
            "algorithm": "ed25519",
            "public": base64.b64encode(public).decode(),
            "nonce": base64.b64encode(nonce).decode(),
            "sealed": base64.b64encode(sealed).decode(),
        }
        return json.dumps(fields, indent=1).encode() + b"\n"

    def _private(self, name: str) -> Ed25519PrivateKey:
        path = self._path(name)
        try:
            fields = json.loads(path.read_bytes())
            public, nonce, sealed = (
                base64.b64decode(fields[part], validate=True) for part in ("public", "nonce", "sealed")
            )
            seed = AESGCM(self.derive("keyring/v1")).decrypt(nonce, sealed, _bound_to(name, public))
        except FileNotFoundError:
            raise _lost(name, path) from None
        except InvalidTag:
            raise IntegrityError(
                "KEY_UNREADABLE",
                f"The signing key {path} does not open with this master key ({self.source}).",
                hint="Give the master key it was written with, or restore both from the same backup.",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                "KEY_UNREADABLE", f"The signing key {path} is damaged: {error}.", hint="Restore it from your backup."
            ) from None
        return Ed25519PrivateKey.from_private_bytes(seed)


def _lost(name: str, path: Path) -> Unavailable:
    ways = "Restore the file from your backup (with the master key of the same backup)."
    if name.startswith(LEDGER_KEY):
        ways = f"Two ways out: 1. {ways} 2. `pilotage ledger key-lost` opens a new key and records the break."
    return Unavailable("KEY_MISSING", f"The signing key {path} does not exist.", hint=ways)


def _bound_to(name: str, public: bytes) -> bytes:
    return b"pilotage/keyring/v1\x00" + name.encode() + b"\x00" + public


def _public_bytes(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _referenced(reference: str, environ: Mapping[str, str]) -> tuple[bytes, str]:
    scheme, _, place = reference.partition(":")
    if scheme == "file":
        return _master_from(Path(place)), reference
    if scheme == "env":
        if place not in environ:
            raise Unavailable("MASTER_KEY_MISSING", f"{MASTER_VARIABLE} points to {place}, which is not set.")
        return _master_bytes(environ[place], reference), reference
    return _master_bytes(reference, MASTER_VARIABLE), MASTER_VARIABLE


def _master_from(path: Path) -> bytes:
    try:
        text = path.read_text(encoding="ascii")
        mode = path.stat().st_mode & 0o777
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable("MASTER_KEY_MISSING", f"The master key {path} cannot be read: {error}.") from None
    if os.name == "posix" and mode & 0o077:
        raise UsageError(
            "MASTER_KEY_EXPOSED",
            f"The master key {path} has mode {mode:04o}: others may read it.",
            hint=f"Run: chmod 600 {path}",
        )
    return _master_bytes(text, str(path))


def _master_bytes(text: str, source: str) -> bytes:
    text = text.strip()
    try:
        found = bytes.fromhex(text) if len(text) == 2 * MASTER_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != MASTER_BYTES:
        raise UsageError(
            "MASTER_KEY_FORM",
            f"The master key from {source} is not 32 bytes of base64 or hex.",
            hint="Make one with: openssl rand -base64 32",
        )
    return found


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file of mode 0600 whole or not at all; False when it exists. `link` refuses to replace, unlike rename."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    return True
