"""Keys have one form with a checksum; the specification's vector holds; wrong secrets learn nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.ids import PersonId
from pilotage.identity.refused import CredentialCode
from pilotage.identity.service_key import (
    KeyKind,
    KeyParts,
    ServiceKey,
    check_key,
    format_key,
    is_scope,
    new_key_id,
    parse_key,
    secret_hash,
)

VECTOR = "plt_sk_7Q2mX9aB4c_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_28rkhe"
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def test_the_vector_of_the_specification_holds() -> None:
    assert format_key("7Q2mX9aB4c", bytes(range(32))) == VECTOR
    parts = parse_key(VECTOR)
    assert parts == KeyParts(id="7Q2mX9aB4c", secret="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
    assert parts is not None
    digest = secret_hash(parts.secret).hex()
    assert (digest[:8], digest[-8:]) == ("ea866a75", "17afffd0")


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_every_generated_key_parses_and_every_changed_character_is_noticed(id_bytes: bytes, secret: bytes) -> None:
    identifier = new_key_id(lambda size: id_bytes[:size])
    text = format_key(identifier, secret)
    parts = parse_key(text)
    assert parts is not None
    assert parts.id == identifier
    for place in range(7, len(text)):
        other = "A" if text[place] != "A" else "B"
        assert parse_key(text[:place] + other + text[place + 1 :]) is None


@pytest.mark.parametrize(
    "text", ["", "plt_sk_", VECTOR[:-1], VECTOR + "x", VECTOR.upper(), "Bearer " + VECTOR, VECTOR + "\n"]
)
def test_other_forms_are_no_keys(text: str) -> None:
    assert parse_key(text) is None


def test_a_secret_has_thirty_two_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        format_key("7Q2mX9aB4c", b"short")


def stored(**changed: object) -> ServiceKey:
    parts = parse_key(VECTOR)
    assert parts is not None
    values: dict[str, object] = {
        "id": parts.id,
        "secret_sha256": secret_hash(parts.secret),
        "kind": KeyKind.SERVICE,
        "name": "crm",
        "owner": PersonId("ada"),
        "scopes": ("ask",),
        "created_by": "ada",
        "created_at": NOW,
        "expires_at": NOW + timedelta(days=90),
    }
    return ServiceKey(**(values | changed))  # type: ignore[arg-type]


def test_a_live_key_is_accepted_until_its_end() -> None:
    parts = parse_key(VECTOR)
    assert parts is not None
    key = stored()
    assert check_key(key, parts, now=NOW) is None
    assert key.is_live(NOW)
    last = key.expires_at - timedelta(microseconds=1)
    assert check_key(key, parts, now=last) is None
    expired = check_key(key, parts, now=key.expires_at)
    assert expired is not None
    assert expired.code is CredentialCode.KEY_EXPIRED
    assert not key.is_live(key.expires_at)


def test_revoked_goes_before_expired_and_wrong_before_both() -> None:
    parts = parse_key(VECTOR)
    assert parts is not None
    key = stored(revoked_at=NOW, expires_at=NOW)
    revoked = check_key(key, parts, now=NOW)
    wrong = check_key(key, KeyParts(id=parts.id, secret="x" * 43), now=NOW)
    unknown = check_key(None, parts, now=NOW)
    assert [found.code for found in (revoked, wrong, unknown) if found is not None] == [
        CredentialCode.KEY_REVOKED,
        CredentialCode.INVALID_KEY,
        CredentialCode.INVALID_KEY,
    ]
    assert wrong == unknown


def test_scopes_are_closed() -> None:
    assert all(is_scope(scope) for scope in ("ask", "feedback", "read", "evaluate", "control:promote"))
    assert not any(is_scope(scope) for scope in ("", "admin", "control:", "control:*", "Ask"))
