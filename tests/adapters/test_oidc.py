"""Bearer tokens against a provider on loopback: confusion attacks fail, outages never look like bad credentials."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pilotage.adapters.identity_providers.key_cache import KeyCache, Published
from pilotage.adapters.identity_providers.key_fetch import HttpKeyFetch
from pilotage.adapters.identity_providers.key_set import KeySetError, parse_key_set
from pilotage.adapters.identity_providers.oidc import OidcVerifier, Verified
from pilotage.adapters.identity_providers.token import MAX_TOKEN_BYTES
from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable
from pilotage.core.ids import PersonId
from pilotage.identity.claims import Linked
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.settings import OidcSettings
from pilotage.testing.clock import SimulatedClock

START = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
ISSUER = "https://idp.example"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
RSA_NEXT = RSAKey.generate_key(2048, {"kid": "rsa-2"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "alg": "ES256"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
SETTINGS = OidcSettings(issuer=ISSUER, audience="pilotage", jwks_uri="https://idp.example/keys")


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Provider:
    """A fake of the provider's key endpoint behind the KeyFetch port."""

    keys: list[Key] = field(default_factory=lambda: [RSA, EC, ED])
    max_age_s: float | None = None
    is_down: bool = False
    fetches: int = 0
    body: bytes | None = None

    async def fetch(self) -> Published:
        self.fetches += 1
        if self.is_down:
            raise Unavailable("identity_provider_unavailable", "down")
        published = json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()
        return Published(body=self.body or published, max_age_s=self.max_age_s)

    async def close(self) -> None:
        pass


@dataclass
class Rig:
    provider: Provider
    clock: SimulatedClock
    verifier: OidcVerifier
    cache: KeyCache

    def later(self, **kwargs: float) -> None:
        self.clock.advance(timedelta(**kwargs))

    async def code(self, token: str) -> CredentialCode | None:
        found = await self.verifier.verify(token)
        return found.code if isinstance(found, CredentialRefused) else None


def rig(settings: OidcSettings = SETTINGS, **provider: object) -> Rig:
    endpoint = Provider(**provider)  # type: ignore[arg-type]
    clock = SimulatedClock(START)

    def monotonic() -> float:
        return clock.now().timestamp()

    cache = KeyCache(endpoint, algorithms=settings.algorithms, monotonic=monotonic)
    linked = {f"{ISSUER}|42": Linked(person=PersonId("maria"))}
    verifier = OidcVerifier(settings, cache, clock=clock, monotonic=monotonic, linked=linked)
    return Rig(provider=endpoint, clock=clock, verifier=verifier, cache=cache)


def token(
    key: Key = RSA,
    *,
    alg: str = "RS256",
    kid: str | None = None,
    header: dict[str, object] | None = None,
    at: datetime = START,
    **claims: object,
) -> str:
    now = int(at.timestamp())
    values = {"iss": ISSUER, "aud": "pilotage", "sub": "42", "iat": now, "exp": now + 600, "groups": ["lending"]}
    payload = {name: value for name, value in (values | claims).items() if value is not None}
    head = {"alg": alg, "typ": "at+jwt", "kid": kid or key.kid, **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    return signed(json.dumps(head), json.dumps(payload), key, alg)


def signed(header: str, payload: str, key: Key, alg: str) -> str:
    """Sign anything, also what a careful library would refuse to sign."""
    body = f"{part(header.encode())}.{part(payload.encode())}"
    return f"{body}.{part(JWSRegistry.algorithms[alg].sign(body.encode(), key))}"


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.feature("X18")
async def test_a_good_token_speaks_for_its_person() -> None:
    found = await rig().verifier.verify(token(auth_time=int(START.timestamp()) - 30, may_act={"sub": "crm"}))
    assert isinstance(found, Verified)
    assert (found.principal.id, found.principal.person) == (f"{ISSUER}|42", "maria")
    assert found.principal.groups == {"lending"}
    assert found.expires_at == START + timedelta(seconds=600)
    assert found.authenticated_at == START - timedelta(seconds=30)
    assert found.actors == {"crm"}


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256")])
async def test_allowed_algorithms_verify(key: Key, alg: str) -> None:
    assert await rig().code(token(key, alg=alg)) is None


async def test_eddsa_verifies_without_a_warning() -> None:
    assert await rig().code(token(ED, alg="EdDSA")) is None


def unsigned(alg: str) -> str:
    claims = {"iss": ISSUER, "aud": "pilotage", "sub": "42", "exp": int(START.timestamp()) + 600}
    head = {"alg": alg, "typ": "at+jwt", "kid": "rsa-1"}
    return f"{part(json.dumps(head).encode())}.{part(json.dumps(claims).encode())}."


def confused() -> str:
    """Return a token signed by HMAC with the provider's public RSA key as the secret, as an attacker would make it."""
    header = part(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "rsa-1"}).encode())
    claims = {"iss": ISSUER, "aud": "pilotage", "sub": "42", "exp": int(START.timestamp()) + 600}
    body = f"{header}.{part(json.dumps(claims).encode())}"
    return f"{body}.{part(hmac.digest(RSA.as_pem(private=False), body.encode(), 'sha256'))}"


NOW = int(START.timestamp())
FOREIGN = RSAKey.generate_key(2048, {"kid": "rsa-1"})


@pytest.mark.feature("D10.16", "X18")
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("RS256 turned into HS256", confused()),
        ("not a token", "abc"),
        ("two parts", "a.b"),
        ("header is not JSON", "e30x.e30.e30"),
        ("header is a list", "W10.e30.e30"),
        ("wrong issuer", token(iss="https://evil.example")),
        ("issuer with a slash", token(iss=ISSUER + "/")),
        ("wrong audience", token(aud="other")),
        ("audience list without ours", token(aud=["other", "more"])),
        ("no audience", token(aud=None)),
        ("no expiry", token(exp=None)),
        ("no subject", token(sub=None)),
        ("empty subject", token(sub="")),
        ("not yet valid", token(nbf=NOW + 120)),
        ("issued in the future", token(iat=NOW + 120, exp=NOW + 600)),
        ("lives for two days", token(exp=NOW + 2 * 86_400)),
        ("lives for two days, iat hidden", token(iat=None, exp=NOW + 2 * 86_400)),
        ("ID token by nonce", token(nonce="n")),
        ("ID token by at_hash", token(at_hash="h")),
        ("typ missing", token(header={"typ": None})),
        ("typ of a logout token", token(header={"typ": "logout+jwt"})),
        ("critical extension", token(header={"crit": ["exp"], "exp": 1})),
        ("b64", token(header={"b64": True})),
        ("key id is a number", token(header={"kid": 7})),
        ("foreign key with our kid", token(FOREIGN)),
        ("foreign key offered by jwk", token(FOREIGN, header={"jwk": FOREIGN.as_dict(private=False)})),
        ("EC key called RS256", token(RSA, kid="ec-1")),
        ("expiry as text", token(exp="soon")),
    ],
)
async def test_token_confusion(name: str, made: str) -> None:
    assert await rig().code(made) is CredentialCode.INVALID_TOKEN, name


async def test_a_foreign_key_address_in_the_header_is_never_fetched() -> None:
    made = rig()
    header: dict[str, object] = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}
    assert await made.code(token(FOREIGN, header=header)) is CredentialCode.INVALID_TOKEN
    assert await made.code(token(header={"x5c": ["A" * 3000], "x5t": "t"})) is None


async def test_duplicated_claims_are_refused() -> None:
    payload = f'{{"iss":"{ISSUER}","aud":"pilotage","sub":"42","sub":"43","exp":{NOW + 600}}}'
    head = '{"alg":"RS256","typ":"JWT","kid":"rsa-1"}'
    assert await rig().code(signed(head, payload, RSA, "RS256")) is CredentialCode.INVALID_TOKEN
    assert await rig().code(signed(head, "[]", RSA, "RS256")) is CredentialCode.INVALID_TOKEN
    assert await rig().code(signed(head, "not json", RSA, "RS256")) is CredentialCode.INVALID_TOKEN
    twice = '{"alg":"RS256","typ":"JWT","typ":"JWT","kid":"rsa-1"}'
    assert await rig().code(signed(twice, payload, RSA, "RS256")) is CredentialCode.INVALID_TOKEN


@pytest.mark.feature("D10.16")
async def test_skew_of_a_minute_both_ways_and_expiry_after_it() -> None:
    made = rig()
    assert await made.code(token(exp=NOW - 59, iat=NOW - 600)) is None
    assert await made.code(token(exp=NOW - 61, iat=NOW - 600)) is CredentialCode.TOKEN_EXPIRED
    assert await made.code(token(nbf=NOW + 59)) is None


async def test_id_tokens_are_accepted_only_when_the_workspace_says_so() -> None:
    assert await rig(replace(SETTINGS, accept_id_tokens=True)).code(token(nonce="n")) is None


async def test_a_token_over_sixteen_kibibytes_is_a_header_too_large() -> None:
    made = rig()
    assert await made.code("a" * (MAX_TOKEN_BYTES + 1)) is CredentialCode.HEADERS_TOO_LARGE
    assert await made.code("a\udcff.b.c") is CredentialCode.INVALID_TOKEN


async def test_too_many_groups_stay_unresolved() -> None:
    assert await rig().code(token(groups=[], hasgroups=True)) is CredentialCode.GROUPS_UNRESOLVED


async def test_unknown_key_ids_cause_one_fetch_per_thirty_seconds() -> None:
    made = rig()
    assert await made.code(token()) is None
    made.later(seconds=31)
    for attempt in range(20):
        assert await made.code(token(FOREIGN, kid=f"unknown-{attempt}")) is CredentialCode.INVALID_TOKEN
    assert made.provider.fetches == 2
    made.later(seconds=31)
    assert await made.code(token(FOREIGN, kid="unknown")) is CredentialCode.INVALID_TOKEN
    assert made.provider.fetches == 3


async def test_concurrent_unknown_key_ids_share_one_fetch() -> None:
    made = rig()
    await made.code(token())
    made.later(seconds=31)
    tokens = [token(FOREIGN, kid=f"unknown-{n}") for n in range(10)]
    await asyncio.gather(*(made.code(one) for one in tokens))
    assert made.provider.fetches == 2


async def test_a_rotated_key_is_found_at_once_and_old_tokens_are_forgotten() -> None:
    made = rig()
    old = token()
    assert await made.code(old) is None
    made.later(seconds=31)
    made.provider.keys = [RSA_NEXT]
    assert await made.code(token(RSA_NEXT)) is None
    assert await made.code(old) is CredentialCode.INVALID_TOKEN


async def test_idp_outage_keeps_valid_tokens_for_a_day_and_then_says_unavailable() -> None:
    made = rig()
    assert await made.code(token()) is None
    made.provider.is_down = True
    for _ in range(23):
        made.later(hours=1)
        assert await made.code(token(at=made.clock.now())) is None
    made.later(hours=1, seconds=1)
    late = token(at=made.clock.now())
    assert await made.code(late) is CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE
    assert await made.code(token(FOREIGN, at=made.clock.now())) is CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE
    made.provider.is_down = False
    made.later(seconds=6)
    assert await made.code(late) is None
    await made.verifier.close()


async def test_without_any_key_set_the_answer_is_unavailable_never_invalid() -> None:
    made = rig(is_down=True)
    assert not await made.verifier.is_ready()
    assert await made.code(token()) is CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE
    assert made.provider.fetches == 1
    made.provider.is_down = False
    made.later(seconds=6)
    assert await made.verifier.is_ready()
    assert await made.code(token()) is None


async def test_a_set_without_usable_keys_never_replaces_a_good_one() -> None:
    made = rig()
    await made.code(token())
    made.provider.body = b'{"keys": []}'
    made.later(minutes=11)
    assert await made.code(token(at=made.clock.now())) is None


async def test_keys_are_refreshed_in_the_background_at_eighty_percent_of_their_age() -> None:
    made = rig(max_age_s=1000.0)
    await made.code(token())
    made.later(seconds=799)
    await made.code(token(at=made.clock.now()))
    assert made.provider.fetches == 1
    made.later(seconds=2)
    await made.code(token(at=made.clock.now()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made.provider.fetches == 2
    await made.verifier.close()


@pytest.mark.parametrize(("max_age_s", "age"), [(1.0, 300), (None, 600), (10**6, 86_400)])
async def test_the_age_of_keys_is_clamped(max_age_s: float | None, age: int) -> None:
    made = rig(max_age_s=max_age_s)
    await made.cache.key("rsa-1", "RS256")
    made.later(seconds=0.8 * age - 1)
    await made.cache.key("rsa-1", "RS256")
    await asyncio.sleep(0)
    assert made.provider.fetches == 1
    made.later(seconds=2)
    await made.cache.key("rsa-1", "RS256")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert made.provider.fetches == 2
    await made.cache.close()


async def test_a_verified_token_is_remembered_for_a_minute_at_most() -> None:
    made = rig()
    one = token()
    await made.code(one)
    made.provider.is_down = True
    made.later(seconds=59)
    assert await made.code(one) is None
    made.later(seconds=700)
    assert await made.code(one) is CredentialCode.TOKEN_EXPIRED


def test_only_keys_that_can_verify_here_are_used() -> None:
    secret = OctKey.generate_key(256, {"kid": "oct"})
    encryption = RSAKey.generate_key(2048, {"kid": "enc", "use": "enc"})
    wrong_curve = ECKey.generate_key("P-384", {"kid": "p384"})
    published: list[Json] = [
        {"kty": "RSA", "kid": "short", "n": part(b"\xff" * 128), "e": "AQAB"},
        *(key.as_dict(private=False) for key in (encryption, wrong_curve, RSA)),
        secret.as_dict(private=True),
        {**RSA.as_dict(private=False), "kid": "ops", "key_ops": ["encrypt"]},
        {**RSA.as_dict(private=False), "kid": "alg", "alg": "HS256"},
        {"kty": "RSA", "kid": "broken", "n": "!!", "e": "AQAB"},
        {"kty": "new"},
        "text",
    ]
    found = parse_key_set(json.dumps({"keys": published}).encode(), SETTINGS.algorithms)
    assert [key.kid for key in found.keys] == ["rsa-1"]
    assert found.find(None, "RS256") is not None
    assert found.find(None, "ES256") is None
    for body in (b"[]", b"{", b'{"keys": 7}', json.dumps({"keys": [{}] * 101}).encode()):
        with pytest.raises(KeySetError):
            parse_key_set(body, SETTINGS.algorithms)


@asynccontextmanager
async def serving(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/keys", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/keys"
    finally:
        await runner.cleanup()


async def test_keys_are_fetched_over_http_with_their_max_age() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'{"keys": []}', headers={"Cache-Control": "public, max-age=1234, must-revalidate"})

    async with serving(handler) as url:
        fetch = HttpKeyFetch(url, allow_private=("127.0.0.0/8",))
        assert await fetch.fetch() == Published(body=b'{"keys": []}', max_age_s=1234.0)
        await fetch.close()
        await fetch.close()


@pytest.mark.parametrize("kind", ["redirect", "error", "huge"])
async def test_redirects_errors_and_huge_answers_are_outages(kind: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        if kind == "redirect":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/keys"})
        if kind == "error":
            return web.Response(status=500)
        return web.Response(body=b"x" * 1_100_000)

    async with serving(handler) as url:
        fetch = HttpKeyFetch(url, allow_private=("127.0.0.0/8",))
        with pytest.raises(Unavailable):
            await fetch.fetch()
        await fetch.close()


async def test_an_unreachable_provider_is_an_outage_and_a_plain_address_is_refused() -> None:
    fetch = HttpKeyFetch("http://127.0.0.1:1/keys", allow_private=("127.0.0.0/8",))
    with pytest.raises(Unavailable, match="cannot be reached"):
        await fetch.fetch()
    await fetch.close()
    with pytest.raises(ValueError, match="not encrypted"):
        HttpKeyFetch("http://idp.example/keys")
