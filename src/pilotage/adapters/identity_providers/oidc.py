"""Verifies OIDC bearer tokens: form, key, signature, claims, then the Principal they speak for (serving.md 2.1).

Rule: verified tokens are remembered by the SHA-256 of their bytes for at most 60 s, their own end, or until the key set
changes. Fail mode: CredentialRefused; an outage is `identity_provider_unavailable`, never a bad credential.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pilotage.adapters.identity_providers.key_cache import KeyCache, KeysUnavailable
from pilotage.adapters.identity_providers.token import MAX_TOKEN_BYTES, TokenError, moment, read_claims, read_header
from pilotage.core.canonical import Json
from pilotage.core.clock import Clock
from pilotage.identity.claims import Linked, principal_from_claims
from pilotage.identity.principal import Principal
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.settings import OidcSettings
from pilotage.identity.sign_in import has_second_factor

CACHE_ENTRIES: Final = 10_000
CACHE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A verified token. `authenticated_at` is its auth_time or iat; `actors` are services it lets act (`act`).

    `signed_in_at` is its auth_time alone and `second_factor` what its amr says: None when it does not say.
    """

    principal: Principal
    expires_at: datetime
    authenticated_at: datetime | None
    signed_in_at: datetime | None = None
    second_factor: bool | None = None
    actors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remembered:
    verified: Verified
    until: float
    generation: int


class OidcVerifier:
    """Verifies the tokens of one issuer. `linked` maps `iss|sub` to declared people."""

    def __init__(
        self,
        settings: OidcSettings,
        keys: KeyCache,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        linked: Mapping[str, Linked] | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._monotonic = monotonic
        self._linked = dict(linked or {})
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def verify(self, token: str) -> Verified | CredentialRefused:
        """Return who the token speaks for, or why it is refused."""
        if len(token) > MAX_TOKEN_BYTES:
            return _refused(CredentialCode.HEADERS_TOO_LARGE, "The token is larger than 16 KiB.")
        name = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._recall(name)
        if known is not None:
            return known
        try:
            verified = await self._verified(token)
        except TokenError as error:
            if error.expired:
                return _refused(CredentialCode.TOKEN_EXPIRED, "The token has expired; sign in again.")
            return _refused(CredentialCode.INVALID_TOKEN, "The token is not valid here.")
        except KeysUnavailable as error:
            return _refused(CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE, error.message)
        if isinstance(verified, Verified):
            self._remember(name, verified)
        return verified

    async def is_ready(self) -> bool:
        """Tell whether tokens can be verified now, fetching keys if none are held."""
        return await self._keys.warm_up()

    async def close(self) -> None:
        """Release the connections."""
        await self._keys.close()

    async def _verified(self, token: str) -> Verified | CredentialRefused:
        header = read_header(token, self._settings)
        found = await self._keys.key(header.kid, header.algorithm)
        if found is None:
            raise TokenError("Its key is not published.")
        claims = read_claims(token, found.key, header, self._settings, now=self._clock.now())
        principal = principal_from_claims(claims, self._settings, linked=self._linked)
        if isinstance(principal, CredentialRefused):
            return principal
        expires, signed_in_at = moment(claims.get("exp")), moment(claims.get("auth_time"))
        assert expires is not None
        return Verified(
            principal=principal,
            expires_at=expires,
            authenticated_at=signed_in_at or moment(claims.get("iat")),
            signed_in_at=signed_in_at,
            second_factor=has_second_factor(claims.get("amr")),
            actors=_actors(claims),
        )

    def _recall(self, name: bytes) -> Verified | None:
        known = self._known.get(name)
        if known is None:
            return None
        if self._monotonic() >= known.until or known.generation != self._keys.generation:
            del self._known[name]
            return None
        self._known.move_to_end(name)
        return known.verified

    def _remember(self, name: bytes, verified: Verified) -> None:
        left = (verified.expires_at - self._clock.now()).total_seconds() + self._settings.skew_s
        until = self._monotonic() + min(CACHE_S, left)
        self._known[name] = _Remembered(verified=verified, until=until, generation=self._keys.generation)
        while len(self._known) > CACHE_ENTRIES:
            self._known.popitem(last=False)


def _refused(code: CredentialCode, text: str) -> CredentialRefused:
    return CredentialRefused(code=code, text=text)


def _actors(claims: Mapping[str, Json]) -> frozenset[str]:
    """Return the services named by `act` and `may_act` (RFC 8693 4.1, 4.4)."""
    named = [claims.get("act"), claims.get("may_act")]
    found = [actor.get("sub") or actor.get("client_id") for actor in named if isinstance(actor, Mapping)]
    return frozenset(actor for actor in found if isinstance(actor, str))
