"""Attested evidence: an in-toto statement in a DSSE envelope about one file and one release (gates.md 2.1).

Rule: pure; a key of `evidence.trusted_keys` signed the statement, and its subjects hold the release's digest and the
file's sha256, both. Fail mode: a Reason: EV_SIGNATURE for what no trusted key signed, EV_WRONG_SUBJECT for a statement
about something else; the file is then rejected, never taken at a lower trust.

Sources: DSSE v1 (envelope, pre-authentication encoding), in-toto attestation framework v1 and v0.1 (Statement).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evidence.times import file_time

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPES: Final = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
MOST_BYTES: Final = 1024 * 1024
MOST_SIGNATURES: Final = 16
_TIMES: Final = (("produced_at",), ("timestamp",), ("timeVerified",), ("runDetails", "metadata", "finishedOn"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Whose key signed, and the time its statement names, if any."""

    key: str
    produced_at: datetime | None


def check_attestation(
    envelope: bytes, *, keys: Mapping[str, str], release: Digest, sha256: Digest
) -> Attestation | Reason:
    """Return who attests the file for the release; `keys` maps names to Ed25519 public keys in base64."""
    if len(envelope) > MOST_BYTES:
        return _unsigned(f"The attestation has {len(envelope)} bytes; at most {MOST_BYTES} are read.")
    opened = _open(envelope)
    if isinstance(opened, Reason):
        return opened
    payload, signatures = opened
    signer = _signer(payload, signatures, keys)
    if signer is None:
        known = ", ".join(sorted(keys)) or "none"
        return _unsigned(f"No key of evidence.trusted_keys signed the attestation. Declared: {known}.")
    statement = _parsed(payload)
    if not isinstance(statement, Mapping) or statement.get("_type") not in STATEMENT_TYPES:
        return _unsigned("What is signed is no in-toto statement.")
    missing = [one for one in (release, sha256) if one.removeprefix("sha256:") not in _subjects(statement)]
    if missing:
        text = f"The statement of {signer} does not name {' and '.join(missing)}; it must name release and file."
        return Reason(code="EV_WRONG_SUBJECT", text=text, where=signer, limit=missing[0])
    return Attestation(key=signer, produced_at=_time(statement.get("predicate")))


def _unsigned(text: str) -> Reason:
    return Reason(code="EV_SIGNATURE", text=text)


def _parsed(data: bytes) -> Json:
    try:
        return parse_json(data)
    except (CanonicalError, RecursionError):
        return None


def _open(envelope: bytes) -> tuple[bytes, tuple[bytes, ...]] | Reason:
    """Return the payload and the signatures over it."""
    match _parsed(envelope):
        case {"payloadType": str(kind), "payload": str(payload), "signatures": list(listed)} if kind == PAYLOAD_TYPE:
            found = [_decoded(one.get("sig")) if isinstance(one, Mapping) else None for one in listed]
            body = _decoded(payload)
            if body is None or None in found or not 0 < len(found) <= MOST_SIGNATURES:
                return _unsigned(f"A DSSE envelope holds a payload and 1 to {MOST_SIGNATURES} signatures, in base64.")
            return body, tuple(one for one in found if one is not None)
        case _:
            return _unsigned(f"The attestation is no DSSE envelope with payloadType {PAYLOAD_TYPE}.")


def _decoded(value: Json) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _signer(payload: bytes, signatures: Sequence[bytes], keys: Mapping[str, str]) -> str | None:
    """Return the first trusted key that signed; the envelope's own `keyid` is a hint nobody vouches for."""
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    for name, text in sorted(keys.items()):
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text))
        if any(_is_by(key, one, signed) for one in signatures):
            return name
    return None


def _is_by(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _subjects(statement: Mapping[str, Json]) -> frozenset[str]:
    """Return the sha256 digests the statement is about, in lower case."""
    listed = statement.get("subject")
    digests = [one.get("digest") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    values = [one.get("sha256") for one in digests if isinstance(one, Mapping)]
    return frozenset(value.lower() for value in values if isinstance(value, str))


def _time(predicate: Json) -> datetime | None:
    for path in _TIMES:
        value = predicate
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str) and (found := file_time(value)) is not None:
            return found
    return None
