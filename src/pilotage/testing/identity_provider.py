"""A small OpenID provider on loopback for tests: authorization code with PKCE, device code, key rotation.

It signs in whoever `subject` names, at once, and checks what a real provider checks: client, redirect address, PKCE,
one use of a code. Its answers are bent by `wrong`: claims that replace those of the next ID tokens (None removes
one), and by `typ`, the type in their headers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jws
from joserfc.jwk import RSAKey

from pilotage.core.clock import Clock
from pilotage.identity.settings import OidcSettings, SignInSettings

CLIENT = "pilotage-console"
SECRET = "of-the-test-provider"  # noqa: S105 - a secret of nothing
PUBLIC_URL = "http://127.0.0.1:8080"


@dataclass
class TestProvider:
    """Run it as a context; `settings` then describes it."""

    __test__ = False

    clock: Clock
    subject: str = "maria"
    public_url: str = PUBLIC_URL
    claims: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    typ: str | None = "JWT"
    signed_in_at: float | None = None
    has_approved: bool = True
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    signs_with: RSAKey | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _runner: web.AppRunner | None = None
    _thread: threading.Thread | None = None

    @property
    def issuer(self) -> str:
        """Where it stands."""
        return f"http://127.0.0.1:{self._port}"

    def settings(self, **changes: Any) -> OidcSettings:  # noqa: ANN401 - fields of SignInSettings
        """Return what `pilotage.yaml` would declare."""
        given: dict[str, Any] = {
            "client_id": CLIENT,
            "public_url": self.public_url,
            "client_secret": "env:TEST_OIDC_SECRET",
        }
        return OidcSettings(
            issuer=self.issuer,
            audience="pilotage",
            jwks_uri=f"{self.issuer}/keys",
            allow_private=("127.0.0.0/8",),
            sign_in=SignInSettings(**{**given, **changes}),
        )

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": f"after {self.key.kid}"})

    def __enter__(self) -> Self:
        started = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._start())
            started.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, name="test-provider", daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        assert self._thread is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._describe),
                web.get("/keys", self._keys),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.post("/device", self._device),
            ]
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _describe(self, _: web.Request) -> web.Response:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "end_session_endpoint": "end"}
        names["device_authorization_endpoint"] = "device"
        found = {name: f"{self.issuer}/{path}" for name, path in names.items()}
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **found})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self.asked.append(asked)
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != f"{self.public_url}/login/return":
            return web.Response(status=400, text="unknown client or redirect_uri")
        if asked.get("prompt") == "login":
            self.signed_in_at = self.clock.now().timestamp()
        answer = {"state": asked["state"], "iss": self.issuer}
        if self.has_approved:
            code = f"code-{len(self.asked)}"
            self._codes[code] = asked
            answer["code"] = code
        else:
            answer["error"] = "access_denied"
        return web.Response(status=302, headers={"location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    async def _token(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.tokens.append(fields)
        if fields["grant_type"].endswith("device_code"):
            if not self.has_approved:
                return web.json_response({"error": "authorization_pending"}, status=400)
            return web.json_response({"id_token": self._signed(fields["client_id"], None)})
        basic = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self._codes.pop(fields["code"], None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != proof or request.headers.get("Authorization") != basic:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"id_token": self._signed(CLIENT, asked["nonce"]), "token_type": "Bearer"})

    async def _device(self, request: web.Request) -> web.Response:
        fields = await request.post()
        assert fields["client_id"]
        found = {"device_code": "device-1", "user_code": "WDJB-MJHT", "verification_uri": f"{self.issuer}/activate"}
        return web.Response(
            body=json.dumps({**found, "expires_in": 600, "interval": 5}).encode(), content_type="application/json"
        )

    def _signed(self, client: str, nonce: str | None) -> str:
        now = self.clock.now().timestamp()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": client,
            "iat": int(now),
            "exp": int(now) + 3600,
            "auth_time": int(now if self.signed_in_at is None else self.signed_in_at),
            "email": f"{self.subject}@bank.example",
            **self.claims,
        }
        if nonce is not None:
            claims["nonce"] = nonce
        bent = {name: value for name, value in (claims | self.wrong).items() if value is not None}
        key = self.signs_with or self.key
        header = {"alg": "RS256", "kid": key.kid} | ({} if self.typ is None else {"typ": self.typ})
        return jws.serialize_compact(header, json.dumps(bent).encode(), key, algorithms=["RS256"])
