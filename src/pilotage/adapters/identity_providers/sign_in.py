"""Signs people in with the identity provider: by authorization code with PKCE, or by device code (RFC 8628).

Rule: an ID token is believed after its signature, issuer, audience, authorized party, times and nonce were checked,
with keys that follow the provider's rotation; a decision of weight needs an `auth_time` of the last 15 minutes. Fail
mode: a CredentialRefused that says what to do; an outage is Unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from pilotage.adapters.identity_providers.endpoints import ProviderClient
from pilotage.adapters.identity_providers.key_cache import KeyCache
from pilotage.adapters.identity_providers.token import Expected, TokenError, moment, read_id_claims, read_id_header
from pilotage.adapters.models.secret import read_secret
from pilotage.core.canonical import Json
from pilotage.core.clock import Clock
from pilotage.core.errors import Unavailable
from pilotage.identity.claims import Linked, principal_from_claims
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.settings import OidcSettings, SignInSettings
from pilotage.identity.sign_in import RECENT, Attempt, Proven, has_second_factor

RETURN_PATH: Final = "/login/return"
_LONGEST_S: Final = 36_000
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST_WAIT_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """What a person types at the provider's page, and how this side asks whether they did."""

    code: str
    user_code: str
    page: str
    whole_page: str | None
    interval_s: float
    lasts_s: float


class ProviderSignIn:
    """Sign-in at one provider. `root` is where `file:` secrets start; `linked` maps `iss|sub` to declared people."""

    def __init__(
        self,
        settings: OidcSettings,
        keys: KeyCache,
        *,
        clock: Clock,
        root: Path,
        linked: Mapping[str, Linked] | None = None,
    ) -> None:
        if settings.sign_in is None:
            message = "identity.oidc declares no sign_in."
            raise ValueError(message)
        self._settings = settings
        self._sign_in: SignInSettings = settings.sign_in
        self._keys = keys
        self._clock = clock
        self._root = root
        self._linked = {
            account: Linked(person=one.person, region=one.region) for account, one in (linked or {}).items()
        }
        self._client = ProviderClient(settings, self._sign_in)

    @property
    def return_address(self) -> str:
        """Return the redirect URI to register with the provider."""
        return self._sign_in.public_url.rstrip("/") + RETURN_PATH

    async def page(self, attempt: Attempt) -> str:
        """Return the provider's page for an attempt; raise Unavailable."""
        fields = {
            "response_type": "code",
            "client_id": self._sign_in.client_id,
            "redirect_uri": self.return_address,
            "scope": " ".join(self._sign_in.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
            "max_age": str(int(RECENT.total_seconds()) if attempt.is_fresh else _LONGEST_S),
        }
        if attempt.is_fresh:
            fields["prompt"] = "login"
        return _with_query((await self._client.endpoints()).authorization, fields)

    async def redeem(self, code: str, attempt: Attempt, *, issuer: str | None = None) -> Proven | CredentialRefused:
        """Exchange the code of an answered attempt for who is there. `issuer` is the answer's `iss` (RFC 9207)."""
        if issuer is not None and issuer != self._settings.issuer:
            return _refused("The answer came from another provider. Sign in again.")
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.return_address,
            "code_verifier": attempt.verifier,
        }
        answered = await self._token(fields, self._sign_in.client_id)
        token = answered.get("id_token")
        if not isinstance(token, str):
            return _refused(f"The provider did not confirm the sign-in ({_error(answered)}). Sign in again.")
        proven = await self._proven(token, self._sign_in.client_id, nonce=attempt.nonce)
        if isinstance(proven, Proven) and attempt.is_fresh:
            return self._require_fresh(proven)
        return proven

    async def sign_out_page(self) -> str | None:
        """Return the provider's page that ends its own session, when it has one."""
        address = (await self._client.endpoints()).end_session
        fields = {"client_id": self._sign_in.client_id, "post_logout_redirect_uri": self._sign_in.public_url}
        return None if address is None else _with_query(address, fields)

    async def device_code(self) -> DeviceCode:
        """Ask for a device code; raise Unavailable when the provider has no such flow."""
        address = (await self._client.endpoints()).device_authorization
        if address is None:
            message = "The identity provider publishes no device_authorization_endpoint."
            hint = "Switch the device flow on for the client, or declare sign_in.device_authorization_endpoint."
            raise Unavailable("DEVICE_LOGIN_NONE", message, hint=hint)
        fields = {"client_id": self._device_client, "scope": " ".join(self._sign_in.scopes)}
        answered = (await self._client.post(address, fields)).body
        code, user_code, page = (answered.get(name) for name in ("device_code", "user_code", "verification_uri"))
        if not isinstance(code, str) or not isinstance(user_code, str) or not isinstance(page, str):
            message = f"The identity provider gives no device code ({_error(answered)})."
            hint = f"Allow the device flow for the client {self._device_client}."
            raise Unavailable("DEVICE_LOGIN_NONE", message, hint=hint)
        whole = answered.get("verification_uri_complete")
        return DeviceCode(
            code=code,
            user_code=user_code,
            page=page,
            whole_page=whole if isinstance(whole, str) else None,
            interval_s=_number(answered.get("interval"), 5.0),
            lasts_s=min(_number(answered.get("expires_in"), _LONGEST_WAIT_S), _LONGEST_WAIT_S),
        )

    async def await_device(
        self, device: DeviceCode, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Proven | CredentialRefused:
        """Ask at the provider's pace until the person answered, or the code has ended."""
        waited, interval = 0.0, device.interval_s
        fields = {"grant_type": _DEVICE_GRANT, "device_code": device.code}
        while waited < device.lasts_s:
            await sleep(interval)
            waited += interval
            answered = await self._token(fields, self._device_client)
            token, error = answered.get("id_token"), answered.get("error")
            if isinstance(token, str):
                return await self._proven(token, self._device_client, nonce=None)
            if error == "slow_down":
                interval += 5.0
            elif error != "authorization_pending":
                return _refused(f"The provider did not confirm the sign-in ({_error(answered)}). Sign in again.")
        return _refused("The code has ended before it was confirmed. Sign in again.")

    async def close(self) -> None:
        """Release the connections."""
        await self._keys.close()

    @property
    def _device_client(self) -> str:
        return self._sign_in.device_client_id or self._sign_in.client_id

    async def _token(self, fields: Mapping[str, str], client: str) -> Mapping[str, Json]:
        address = (await self._client.endpoints()).token
        reference = self._sign_in.client_secret
        if reference is None or client != self._sign_in.client_id:
            return (await self._client.post(address, {**fields, "client_id": client})).body
        secret = read_secret(reference, root=self._root)
        return (await self._client.post(address, fields, basic=(client, secret))).body

    async def _proven(self, token: str, client: str, *, nonce: str | None) -> Proven | CredentialRefused:
        expected = Expected(client=client, nonce=nonce)
        try:
            header = read_id_header(token, self._settings)
            found = await self._keys.key(header.kid, header.algorithm)
            if found is None:
                return _refused("The provider signed its answer with a key that it does not publish. Sign in again.")
            claims = read_id_claims(token, found.key, header, self._settings, expected, now=self._clock.now())
        except TokenError as error:
            return _refused(f"The provider's answer is not valid here. {error} Sign in again.")
        principal = principal_from_claims(claims, self._settings, linked=self._linked)
        if isinstance(principal, CredentialRefused):
            return principal
        return Proven(
            principal=principal,
            authenticated_at=moment(claims.get("auth_time")),
            second_factor=has_second_factor(claims.get("amr")),
        )

    def _require_fresh(self, proven: Proven) -> Proven | CredentialRefused:
        at = proven.authenticated_at
        if at is None:
            return _refused(
                "The provider does not say when you signed in (auth_time); ask your administrator to add it."
            )
        if self._clock.now() - at > RECENT:
            return _refused("The provider did not ask you to sign in again. Sign out there, then sign in again.")
        return proven


def _refused(text: str) -> CredentialRefused:
    return CredentialRefused(code=CredentialCode.INVALID_TOKEN, text=text)


def _with_query(address: str, fields: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"


def _error(answered: Mapping[str, Json]) -> str:
    error = answered.get("error")
    return error[:80] if isinstance(error, str) and error.isprintable() else "no id_token"


def _number(value: Json, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    return float(value) if 0 < value < 86_400 else default
