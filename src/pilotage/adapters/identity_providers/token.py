"""What an access token must look like before and after its signature is checked (serving.md 2.1, RFC 9068, RFC 8725).

Rule: the algorithm comes from our allow-list, never from the token alone; `jku`, `x5u`, `x5c` and `jwk` in a header are
never looked at; the claims registry runs on every token. Fail mode: TokenError; the caller learns only that the token
is not valid or has expired.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.identity.settings import OidcSettings

MAX_TOKEN_BYTES: Final = 16_384
MAX_LIFETIME_S: Final = 86_400
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_ID_TOKEN_CLAIMS = ("nonce", "at_hash")


class TokenError(Exception):
    """The token is not acceptable. `expired` tells the one thing its holder may know."""

    def __init__(self, why: str, *, expired: bool = False) -> None:
        super().__init__(why)
        self.expired = expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The parts of a token header that choose a key."""

    algorithm: str
    kid: str | None


class _Registry(JWSRegistry):
    """Accepts long headers (certificate chains we ignore), and EdDSA by that name without a warning per token.

    Newer names for it (RFC 9864) are not in use by providers yet; the curve is checked with the key.
    """

    max_header_length = MAX_TOKEN_BYTES
    max_payload_length = MAX_TOKEN_BYTES
    algorithms = {**JWSRegistry.algorithms, "EdDSA": copy(JWSRegistry.algorithms["EdDSA"])}  # noqa: RUF012 - as the base


_Registry.algorithms["EdDSA"].security_warning = None


def moment(value: Json) -> datetime | None:
    """Return the time of a numeric date claim, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def read_header(token: str, settings: OidcSettings) -> Header:
    """Check form, type and algorithm of an access token that is not yet trusted; raise TokenError."""
    kind, header = _header(token, settings)
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise TokenError("Its type is not that of an access token.")
    return header


def read_id_header(token: str, settings: OidcSettings) -> Header:
    """Check an ID token's header; it may do without a type, which OpenID Connect never asks for (RFC 7519 5.1)."""
    kind, header = _header(token, settings)
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "jwt"):
        raise TokenError("Its type is not that of an ID token.")
    return header


def _header(token: str, settings: OidcSettings) -> tuple[Json, Header]:
    """Return the type a token gives itself, and what chooses its key."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        raise TokenError("It is not a signed token.")
    header = _json_part(parts[0])
    kind, algorithm, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in settings.algorithms:
        raise TokenError("Its algorithm is not allowed.")
    if "crit" in header or "b64" in header:
        raise TokenError("It carries a critical extension.")
    if kid is not None and not isinstance(kid, str):
        raise TokenError("Its key id is not text.")
    return kind, Header(algorithm=algorithm, kid=kid)


def read_claims(token: str, key: Key, header: Header, settings: OidcSettings, *, now: datetime) -> Mapping[str, Json]:
    """Verify the signature, then the claims; raise TokenError."""
    claims = _signed_claims(token, key, header)
    _check_claims(claims, settings, now=now)
    return claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """For which client an ID token must be made, and which request it answers. `nonce` None: the flow has none."""

    client: str
    nonce: str | None


def read_id_claims(
    token: str, key: Key, header: Header, settings: OidcSettings, expected: Expected, *, now: datetime
) -> Mapping[str, Json]:
    """Verify an ID token as OpenID Connect Core 3.1.3.7 asks; raise TokenError."""
    claims = _signed_claims(token, key, header)
    moment = int(now.timestamp())
    _validate(claims, settings, audience=expected.client, moment=moment, dated=True)
    if expected.nonce is not None and claims.get("nonce") != expected.nonce:
        raise TokenError("It answers another request.")
    party = claims.get("azp")
    audience = claims["aud"]
    if party not in {None, expected.client} or (isinstance(audience, list) and len(audience) > 1 and party is None):
        raise TokenError("It was made for another client.")
    seen = claims.get("auth_time")
    if isinstance(seen, int | float) and seen > moment + settings.skew_s:
        raise TokenError("It says that the sign-in is yet to come.")
    return claims


def _signed_claims(token: str, key: Key, header: Header) -> dict[str, Json]:
    registry = _Registry(algorithms=[header.algorithm], strict_check_header=False)
    try:
        signed = jws.deserialize_compact(token.encode("ascii"), key, algorithms=[header.algorithm], registry=registry)
        claims = parse_json(bytes(signed.payload or b""), max_depth=20)
    except (JoseError, CanonicalError, UnicodeEncodeError, ValueError) as error:
        raise TokenError("Its signature or payload is not valid.") from error
    if not isinstance(claims, dict):
        raise TokenError("Its payload is not an object.")
    return claims


def _validate(claims: dict[str, Json], settings: OidcSettings, *, audience: str, moment: int, dated: bool) -> None:
    """Check issuer, audience, subject and times; `dated`: the token must say when it was issued."""
    registry = JWTClaimsRegistry(
        now=moment,
        leeway=settings.skew_s,
        iss={"essential": True, "value": settings.issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        iat={"essential": dated},
        sub={"essential": True},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError as error:
        raise TokenError("It has expired.", expired=True) from error
    except JoseError as error:
        raise TokenError("A claim does not hold.") from error


def _check_claims(claims: dict[str, Json], settings: OidcSettings, *, now: datetime) -> None:
    moment = int(now.timestamp())
    _validate(claims, settings, audience=settings.audience, moment=moment, dated=False)
    expires, issued = claims["exp"], claims.get("iat", moment - settings.skew_s)
    assert isinstance(expires, int | float)
    assert isinstance(issued, int | float)
    if expires - issued > MAX_LIFETIME_S + (0 if "iat" in claims else settings.skew_s):
        raise TokenError("It lives longer than a day.")
    if not settings.accept_id_tokens and any(name in claims for name in _ID_TOKEN_CLAIMS):
        raise TokenError("It is an ID token.")


def _json_part(part: str) -> Mapping[str, Json]:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = parse_json(data, max_depth=10)
    except (binascii.Error, ValueError, CanonicalError) as error:
        raise TokenError("Its header cannot be read.") from error
    if not isinstance(value, Mapping):
        raise TokenError("Its header is not an object.")
    return value
