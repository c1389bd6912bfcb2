"""From a bearer token to the asker: service keys, local keys, and the identity provider's tokens (serving.md 2).

A service may bring the token of a person it acts for when it is a declared delegate; documents must then be visible to
both. With an identity provider local keys are refused. Fail mode: a doubt is a 401 or 403, an outage a 503.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

import psycopg

from pilotage.adapters.identity_providers.oidc import Verified
from pilotage.identity.principal import PrincipalKind, acl_names
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.service_key import KeyKind, KeyParts, ServiceKey, check_key, parse_key
from pilotage.serving.context import Asker, Bearer, KeyLimits
from pilotage.serving.refusal import Code, Refusal
from pilotage.workspace.principals import key_principal
from pilotage.workspace.records import Workspace

KEY_PREFIX = "plt_sk_"
DELEGATION_REQUIRED = "required"
MAX_TOKEN_BYTES = 16_384
MAX_HOLDERS = 10_000


class KeySource(Protocol):
    """Finds stored keys. Real: store/serving_keys.py."""

    async def find(self, key: str) -> ServiceKey | None:
        """Return the key; raise psycopg.Error when the store is down."""
        ...


class TokenVerifier(Protocol):
    """Verifies tokens of the identity provider. Real: adapters/identity_providers/oidc.py."""

    async def verify(self, token: str) -> Verified | CredentialRefused:
        """Return who the token speaks for; every check of serving.md 2.1 runs on every call."""
        ...


class BearerAuthenticator:
    """The authenticator of a process. `tokens` is None in local identity mode."""

    def __init__(self, workspace: Workspace, *, keys: KeySource, tokens: TokenVerifier | None = None) -> None:
        self._workspace = workspace
        self._keys = keys
        self._tokens = tokens
        self._holders: dict[str, tuple[ServiceKey, Asker]] = {}

    async def authenticate(self, bearer: Bearer, *, at: datetime) -> Asker | Refusal:
        """Verify the token, and the token of the person behind it when one was brought."""
        token = bearer.token or ""
        if len(token) > MAX_TOKEN_BYTES or len(bearer.subject_token or "") > MAX_TOKEN_BYTES:
            return Refusal(code=Code.HEADERS_TOO_LARGE, message="The token is larger than this server reads.")
        asker = await self._one(token, at=at)
        if isinstance(asker, Refusal):
            return asker
        if bearer.subject_token is not None:
            return await self._on_behalf(asker, bearer.subject_token, at=at)
        if asker.key is not None and asker.key.needs_subject:
            return Refusal(
                code=Code.DELEGATION_REQUIRED,
                message="This key must bring the person's token in X-Pilotage-Subject-Token.",
            )
        return asker

    async def _one(self, token: str, *, at: datetime) -> Asker | Refusal:
        return await self._by_key(token, at=at) if token.startswith(KEY_PREFIX) else await self._by_token(token)

    async def _by_token(self, token: str) -> Asker | Refusal:
        if self._tokens is None:
            return Refusal(code=Code.INVALID_KEY, message="The key is not valid here.")
        found = await self._tokens.verify(token)
        if isinstance(found, CredentialRefused):
            return _refused(found)
        return Asker(
            principal=found.principal,
            acl_names=acl_names(found.principal),
            pseudonym="",
            via=found.principal.via,
            authenticated_at=found.authenticated_at,
            signed_in_at=found.signed_in_at,
            second_factor=found.second_factor,
            actors=found.actors,
        )

    async def _by_key(self, token: str, *, at: datetime) -> Asker | Refusal:
        parts = parse_key(token)
        # A key with a wrong checksum never reaches the store.
        try:
            key = await self._keys.find(parts.id) if parts is not None else None
        except (psycopg.Error, OSError, TimeoutError):
            return Refusal(
                code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2
            )
        refused = check_key(key, parts or KeyParts(id="", secret=""), now=at)
        if refused is not None or key is None:
            return _refused(refused or CredentialRefused(code=CredentialCode.INVALID_KEY, text="The key is not valid."))
        return self._holder(key)

    def _holder(self, key: ServiceKey) -> Asker | Refusal:
        """Return who a proven, live key speaks for: what it says of a stored key holds until that key changes."""
        known = self._holders.get(key.id)
        if known is not None and (known[0] is key or known[0] == key):
            return known[1]
        principal = key_principal(self._workspace, key)
        if isinstance(principal, CredentialRefused):
            return _refused(principal)
        limits = KeyLimits(
            key=key.id,
            spaces=frozenset(key.spaces),
            workflows=frozenset(key.workflows),
            scopes=frozenset(key.scopes),
            ips=key.ips,
            needs_subject=key.kind is KeyKind.SERVICE and key.delegation == DELEGATION_REQUIRED,
        )
        names = acl_names(principal)
        asker = Asker(principal=principal, acl_names=names, pseudonym="", via=principal.via, key=limits)
        if len(self._holders) >= MAX_HOLDERS:
            self._holders.clear()
        self._holders[key.id] = (key, asker)
        return asker

    async def _on_behalf(self, service: Asker, token: str, *, at: datetime) -> Asker | Refusal:
        if service.principal.kind is not PrincipalKind.SERVICE:
            return Refusal(code=Code.NOT_PERMITTED, message="Only a service may act for a person.")
        person = await self._one(token, at=at)
        if isinstance(person, Refusal):
            return person
        name, oidc = service.principal.label, self._workspace.identity.oidc
        if name not in person.actors and (oidc is None or name not in oidc.delegates):
            return Refusal(code=Code.NOT_PERMITTED, message="This service may not act for this person.")
        if person.principal.kind is not PrincipalKind.PERSON:
            return Refusal(code=Code.NOT_PERMITTED, message="The subject token must be a person's.")
        return replace(person, acting_service=name, also_visible_to=service.acl_names, via=service.via, key=service.key)


def _refused(refused: CredentialRefused) -> Refusal:
    return Refusal(code=Code(refused.code.value), message=refused.text)
