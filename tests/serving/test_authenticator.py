"""Bearer tokens become askers, or a refusal that never calls an outage a bad credential (serving.md 2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pilotage.adapters.identity_providers.oidc import Verified
from pilotage.core.ids import PersonId
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.service_key import KeyKind, ServiceKey, format_key, parse_key, secret_hash
from pilotage.serving.authenticator import BearerAuthenticator
from pilotage.serving.context import Asker, Bearer
from pilotage.serving.refusal import Code, Refusal
from pilotage.testing.serving_path import make_path, person
from pilotage.workspace.people import IdentityMode, IdentitySettings, Person

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEXT = format_key("0123456789", bytes(32))
SECRET = parse_key(TEXT).secret  # type: ignore[union-attr]


def key(kind: KeyKind = KeyKind.SERVICE, name: str = "crm", **changes: Any) -> ServiceKey:
    base = ServiceKey(
        id="0123456789",
        secret_sha256=secret_hash(SECRET),
        kind=kind,
        name=name,
        owner=PersonId("maria"),
        scopes=("ask",),
        groups=("lending",),
        created_by="p",
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    return replace(base, **changes)


class Keys:
    def __init__(self, *known: ServiceKey, failure: Exception | None = None) -> None:
        self.known = {one.id: one for one in known}
        self.failure = failure

    async def find(self, identifier: str) -> ServiceKey | None:
        if self.failure is not None:
            raise self.failure
        return self.known.get(identifier)


class Tokens:
    def __init__(self, answer: Verified | CredentialRefused) -> None:
        self.answer = answer

    async def verify(self, token: str) -> Verified | CredentialRefused:
        del token
        return self.answer


def verified(*actors: str) -> Verified:
    return Verified(
        principal=replace(person("maria", "lending"), via="oidc"),
        expires_at=NOW,
        authenticated_at=NOW,
        actors=frozenset(actors),
    )


async def tried(
    keys: Keys, *, tokens: Tokens | None = None, mode: IdentityMode = IdentityMode.LOCAL, **bearer: Any
) -> Asker | Refusal:
    declared = Person(id=PersonId("maria"), name="Maria", groups=frozenset({"lending"}), region="us")
    workspace = replace(
        make_path().serving.workspace, identity=IdentitySettings(mode=mode), people={PersonId("maria"): declared}
    )
    authenticator = BearerAuthenticator(workspace, keys=keys, tokens=tokens)
    return await authenticator.authenticate(Bearer(**({"token": TEXT} | bearer)), at=NOW)


def code(found: Asker | Refusal) -> Code | None:
    return found.code if isinstance(found, Refusal) else None


async def test_a_service_key_speaks_for_its_service_with_its_limits() -> None:
    asker = await tried(Keys(key(spaces=("east",), ips=("10.0.0.0/8",))))
    assert isinstance(asker, Asker)
    assert asker.principal.id == "key|crm"
    assert asker.acl_names == {"service:crm", "group:lending"}, "never group:everyone"
    assert asker.key is not None
    assert (asker.key.spaces, asker.key.ips) == (frozenset({"east"}), ("10.0.0.0/8",))


async def test_a_local_key_speaks_for_its_person_in_local_mode_only() -> None:
    local = Keys(key(KeyKind.LOCAL, "maria"))
    asker = await tried(local)
    assert isinstance(asker, Asker)
    assert asker.principal.id == "local|maria"
    assert "group:everyone" in asker.acl_names
    assert code(await tried(local, mode=IdentityMode.OIDC, tokens=Tokens(verified()))) is Code.INVALID_KEY
    assert code(await tried(Keys(key(KeyKind.LOCAL, "gone")))) is Code.INVALID_KEY


async def test_what_is_wrong_with_a_key_is_said_only_to_who_holds_it() -> None:
    assert code(await tried(Keys())) is Code.INVALID_KEY
    assert code(await tried(Keys(key()), token=TEXT[:-1] + "x")) is Code.INVALID_KEY
    assert code(await tried(Keys(key(secret_sha256=bytes(32))))) is Code.INVALID_KEY
    assert code(await tried(Keys(key(expires_at=NOW)))) is Code.KEY_EXPIRED
    assert code(await tried(Keys(key(revoked_at=NOW)))) is Code.KEY_REVOKED
    assert code(await tried(Keys(), token="anything else")) is Code.INVALID_KEY
    assert code(await tried(Keys(), token="x" * 20_000)) is Code.HEADERS_TOO_LARGE


async def test_an_outage_is_never_a_bad_credential() -> None:
    assert code(await tried(Keys(failure=psycopg.OperationalError("down")))) is Code.STORE_UNAVAILABLE
    down = CredentialRefused(code=CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE, text="x")
    found = await tried(Keys(), tokens=Tokens(down), token="ey.x.y")
    assert code(found) is Code.IDENTITY_PROVIDER_UNAVAILABLE


async def test_every_refusal_of_a_credential_has_its_http_code() -> None:
    for refused in CredentialCode:
        found = await tried(Keys(), tokens=Tokens(CredentialRefused(code=refused, text="x")), token="t")
        assert code(found) is Code(refused.value)


async def test_a_token_gives_its_person_and_when_they_signed_in() -> None:
    asker = await tried(Keys(), tokens=Tokens(verified()), token="ey.x.y", mode=IdentityMode.OIDC)
    assert isinstance(asker, Asker)
    assert (asker.via, asker.authenticated_at) == ("oidc", NOW)


async def test_a_service_acts_for_a_person_only_as_a_delegate_and_both_must_see_a_document() -> None:
    oidc: dict[str, Any] = {"mode": IdentityMode.OIDC, "subject_token": "ey.x.y"}
    assert code(await tried(Keys(key()), tokens=Tokens(verified()), **oidc)) is Code.NOT_PERMITTED
    asker = await tried(Keys(key()), tokens=Tokens(verified("crm")), **oidc)
    assert isinstance(asker, Asker)
    assert asker.principal.id == "local|maria"
    assert asker.acting_service == "crm"
    assert asker.also_visible_to == frozenset({"service:crm", "group:lending"})
    both: dict[str, Any] = {"token": "ey.a.b", "subject_token": "ey.x.y"}
    assert code(await tried(Keys(), tokens=Tokens(verified()), mode=IdentityMode.OIDC, **both)) is Code.NOT_PERMITTED


async def test_a_key_that_must_bring_a_person_never_speaks_for_itself() -> None:
    keys = Keys(key(delegation="required"))
    assert code(await tried(keys)) is Code.DELEGATION_REQUIRED
    asker = await tried(keys, tokens=Tokens(verified("crm")), mode=IdentityMode.OIDC, subject_token="ey.x.y")
    assert isinstance(asker, Asker)
