"""What the issuer publishes about itself (OpenID Connect Discovery 1.0), and requests to what it names.

Rule: the document's issuer equals ours byte for byte; pages people are sent to stand on the issuer's own origin or are
declared; every request goes to a checked address, without redirects, 1 MiB at most. Fail mode: Unavailable, never a
bad credential.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus, urlsplit

import aiohttp

from pilotage.adapters.outward import outward_session
from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.core.errors import Unavailable
from pilotage.core.urls import check_url
from pilotage.identity.settings import OidcSettings, SignInSettings

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0, sock_connect=2.0)
_MAX_BYTES: Final = 1_048_576
_FRESH_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where to go for what. None: the provider has no such thing."""

    authorization: str
    token: str
    end_session: str | None = None
    device_authorization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A provider's JSON answer."""

    status: int
    body: Mapping[str, Json]


class ProviderClient:
    """Requests to one provider; a session per use, since people sign in rarely."""

    def __init__(
        self, settings: OidcSettings, sign_in: SignInSettings, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._sign_in = sign_in
        self._monotonic = monotonic
        self._found: tuple[float, Endpoints] | None = None

    async def endpoints(self) -> Endpoints:
        """Return the endpoints, looked up anew after ten minutes."""
        if self._found is None or self._monotonic() - self._found[0] > _FRESH_S:
            self._found = (self._monotonic(), await self._look_up())
        return self._found[1]

    async def post(self, url: str, fields: Mapping[str, str], *, basic: tuple[str, str] | None = None) -> Answered:
        """Send a form to the provider."""
        headers = {} if basic is None else {"authorization": _basic(*basic)}
        return await self._request("POST", url, fields, headers)

    async def _look_up(self) -> Endpoints:
        given = self._sign_in
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        found: Mapping[str, Json] = {}
        if given.authorization_endpoint is None or given.token_endpoint is None:
            answered = await self._request("GET", url, None, {})
            if answered.status != 200 or answered.body.get("issuer") != self._settings.issuer:
                raise _failed(url, f"is not the description of {self._settings.issuer}")
            found = answered.body
        authorization = given.authorization_endpoint or self._published(found, "authorization_endpoint", is_page=True)
        token = given.token_endpoint or self._published(found, "token_endpoint")
        if authorization is None or token is None:
            raise _failed(url, "names no authorization_endpoint or token_endpoint of this issuer")
        return Endpoints(
            authorization=authorization,
            token=token,
            end_session=given.end_session_endpoint or self._published(found, "end_session_endpoint", is_page=True),
            device_authorization=given.device_authorization_endpoint
            or self._published(found, "device_authorization_endpoint"),
        )

    def _published(self, found: Mapping[str, Json], name: str, *, is_page: bool = False) -> str | None:
        value = found.get(name)
        if not isinstance(value, str):
            return None
        try:
            check_url(value)
        except ValueError:
            return None
        is_own = urlsplit(value)[:2] == urlsplit(self._settings.issuer)[:2]
        return value if is_own or not is_page else None

    async def _request(
        self, method: str, url: str, fields: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Answered:
        allowed = self._settings.allow_private
        sent = {"accept": "application/json", **headers}
        try:
            async with (
                outward_session(url, _TIMEOUT, allowed) as session,
                session.request(method, url, data=fields, headers=sent, allow_redirects=False) as response,
            ):
                data = await _read(response)
                status = response.status
            body = parse_json(data, max_depth=20)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = str(error) if type(error) is OSError else type(error).__name__
            raise _failed(url, "cannot be reached:", detail) from error
        except CanonicalError as error:
            raise _failed(url, "did not answer in JSON") from error
        if not isinstance(body, dict) or status >= 500:
            raise _failed(url, "answered with status", str(status))
        return Answered(status=status, body=body)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while more := await response.content.read(_MAX_BYTES + 1 - len(body)):
        body += more
        if len(body) > _MAX_BYTES:
            message = "the answer is larger than 1 MiB"
            raise OSError(message)
    return body


def _basic(client: str, secret: str) -> str:
    """Return HTTP Basic with both parts form-encoded first (RFC 6749 2.3.1)."""
    return "Basic " + base64.b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()


def _failed(url: str, *what: str) -> Unavailable:
    message = f"The identity provider does not answer: {url} {' '.join(what)}."
    hint = "Try again; check identity.oidc in pilotage.yaml and the provider's status."
    return Unavailable("identity_provider_unavailable", message, hint=hint)
