"""Signed statements about evidence, as a build system writes them: in-toto in DSSE, for tests."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.gate.export import PAYLOAD_TYPE, STATEMENT_TYPE, pae


def signed_statement(
    key: Ed25519PrivateKey,
    subjects: Iterable[Digest],
    *,
    predicate: Mapping[str, Json] | None = None,
    statement_type: str = STATEMENT_TYPE,
) -> bytes:
    """Return a DSSE envelope whose statement has these subjects."""
    listed: list[Json] = [
        {"name": f"subject-{number}", "digest": {"sha256": one.removeprefix("sha256:")}}
        for number, one in enumerate(subjects)
    ]
    payload = canonical_bytes(
        {
            "_type": statement_type,
            "subject": listed,
            "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
            "predicate": dict(predicate or {}),
        }
    )
    signature: dict[str, Json] = {"keyid": "build", "sig": base64.b64encode(key.sign(pae(payload))).decode()}
    return canonical_bytes(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [signature],
        }
    )


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key as `evidence.trusted_keys` writes it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
