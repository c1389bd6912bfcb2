"""Attested evidence: signed by a trusted key, about this file and this release, both; anything else is refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pilotage.core.digest import Digest, digest_of
from pilotage.core.reason import Reason
from pilotage.evidence.attestation import MOST_BYTES, Attestation, check_attestation
from pilotage.evidence.target import target_problem
from pilotage.gate.export import pae
from pilotage.testing.evidence import public_text, signed_statement
from pilotage.workspace.evidence_kinds import KINDS

BUILD = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEYS = {"build": public_text(BUILD)}
RELEASE, FILE = digest_of(b"release"), digest_of(b"file")
NOON = "2026-03-02T12:00:00Z"


def check(envelope: bytes, keys: dict[str, str] | None = None) -> Attestation | Reason:
    return check_attestation(envelope, keys=KEYS if keys is None else keys, release=RELEASE, sha256=FILE)


def code(envelope: bytes, **how: Any) -> str:
    found = check(envelope, **how)
    assert isinstance(found, Reason)
    return found.code


def sealed(subjects: tuple[Digest, ...] = (RELEASE, FILE), key: Ed25519PrivateKey = BUILD, **how: Any) -> bytes:
    return signed_statement(key, subjects, **how)


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(sealed()), **fields}).encode()


def test_a_trusted_key_attests_file_and_release_with_its_time() -> None:
    found = check(sealed(predicate={"produced_at": NOON}))
    assert found == Attestation(key="build", produced_at=datetime(2026, 3, 2, 12, tzinfo=UTC))
    finished = {"runDetails": {"metadata": {"finishedOn": NOON}}}
    assert check(sealed(predicate=finished)) == found
    assert check(sealed()) == Attestation(key="build", produced_at=None)


def test_the_encoding_is_the_one_our_own_decisions_are_signed_in() -> None:
    envelope = json.loads(sealed())
    payload = base64.b64decode(envelope["payload"])
    BUILD.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), pae(payload))


def test_one_trusted_signature_of_several_is_enough_whatever_the_key_ids_say() -> None:
    one, two = json.loads(sealed(key=OTHER)), json.loads(sealed())
    for signatures in ([*one["signatures"], *two["signatures"]], [{**two["signatures"][0], "keyid": "no such key"}]):
        assert isinstance(check(changed(signatures=signatures)), Attestation)


@pytest.mark.parametrize("keys", [{}, {"other": public_text(OTHER)}])
def test_a_key_nobody_declared_attests_nothing(keys: dict[str, str]) -> None:
    assert code(sealed(), keys=keys) == "EV_SIGNATURE"


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b"x" * (MOST_BYTES + 1),
        changed(signatures=[]),
        changed(signatures=[{"sig": "AAAA"}]),
        changed(signatures=[{}]),
        changed(signatures=["sig"]),
        changed(signatures=json.loads(sealed())["signatures"] * 17),
        changed(payload="not base64"),
        changed(payload=base64.b64encode(b'{"_type":"x"}').decode()),
        changed(payloadType="application/json"),
        sealed(statement_type="https://example.org/other"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_no_trusted_key_signed_is_refused(envelope: bytes) -> None:
    assert code(envelope) == "EV_SIGNATURE"


@pytest.mark.parametrize("subjects", [(), (RELEASE,), (FILE,), (RELEASE, digest_of(b"another file"))])
def test_a_statement_about_something_else_is_refused(subjects: tuple[Digest, ...]) -> None:
    assert code(sealed(subjects)) == "EV_WRONG_SUBJECT"


# load evidence and the space it names


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if kind.startswith("load.")))
@pytest.mark.parametrize(
    ("url", "is_wrong"),
    [
        ("https://assistant.bank.example/v1/chat", False),
        ("https://ASSISTANT.bank.example:8443/", False),
        ("assistant.bank.example/v1", False),
        ("https://staging.bank.example/", True),
        ("https://assistant.bank.example.evil.example/", True),
        ("https://assistant.bank.example@evil.example/", True),
        ("http://[", True),
        ("", True),
        (None, True),
    ],
)
def test_the_load_went_to_a_host_of_the_space(kind: str, url: str | None, is_wrong: bool) -> None:
    found = target_problem(kind, url, space("assistant.bank.example"))
    assert (found is not None) is is_wrong
    assert found is None or found.code == "EV_WRONG_TARGET"


def test_other_evidence_and_a_space_without_hosts_are_not_asked() -> None:
    assert target_problem("tests.unit", None, space("a.example")) is None
    assert target_problem("load.peak", None, space()) is None
    assert target_problem("load.peak", None, None) is None


def space(*hosts: str) -> Any:
    """Return what the check looks at of a space."""
    return _Space(hosts)


class _Space:
    name = "production-us-east-space"

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self.hosts = hosts
