"""One attempt to sign in with an identity provider: what is sent, and what it proved (RFC 6749, RFC 7636, OIDC Core).

Rule: state, nonce, PKCE verifier and the key of what is remembered are derived from one secret that only this browser
holds in a cookie, so an answer that another browser began is never accepted. Pure. Fail mode: the provider's answer
proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.ids import PersonId, PrincipalId
from pilotage.identity.principal import Principal

RECENT: Final = timedelta(minutes=15)
"""How old a login may be for a decision of weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What an authorization request carries. `is_fresh`: the person must prove themselves again, now."""

    state: str
    nonce: str
    verifier: str
    is_fresh: bool = False

    @property
    def challenge(self) -> str:
        """Return the S256 challenge of the verifier."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


def attempt_of(secret: str, *, is_fresh: bool = False) -> Attempt:
    """Return the attempt of a browser's secret."""
    state, nonce, verifier = (_derived(secret, use) for use in ("state", "nonce", "verifier"))
    return Attempt(state=state, nonce=nonce, verifier=verifier, is_fresh=is_fresh)


def sealing_key(secret: str) -> bytes:
    """Return the 32 bytes that seal what is remembered of a browser's sign-in."""
    return _hmac(secret, "sealing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Who the provider says is there. Roles are those of the token alone; `authenticated_at` None: it did not say when.

    `second_factor` None: it did not say how (`amr`).
    """

    principal: Principal
    authenticated_at: datetime | None
    second_factor: bool | None = None

    @property
    def person(self) -> PersonId | None:
        """Return the declared person behind the account."""
        return self.principal.person

    @property
    def account(self) -> PrincipalId:
        """Return `iss|sub`."""
        return self.principal.id


def has_second_factor(methods: object) -> bool | None:
    """Read `amr` (RFC 8176): multi-factor, or a factor that is one by itself; None when it is not told."""
    if not isinstance(methods, list) or not methods:
        return None
    named = {str(one).lower() for one in methods}
    return bool(named & {"mfa", "otp", "hwk", "sc", "fpt", "face", "iris", "swk", "fido"})


def _derived(secret: str, use: str) -> str:
    return _text(_hmac(secret, use))


def _hmac(secret: str, use: str) -> bytes:
    return hmac.new(secret.encode(), f"pilotage/sign-in/{use}/v1".encode(), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
