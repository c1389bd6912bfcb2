"""Opens the verifier of the declared identity provider for one process. Local mode has none."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pilotage.adapters.identity_providers.key_cache import KeyCache
from pilotage.adapters.identity_providers.key_fetch import HttpKeyFetch
from pilotage.adapters.identity_providers.oidc import OidcVerifier
from pilotage.adapters.identity_providers.sign_in import ProviderSignIn
from pilotage.core.clock import Clock
from pilotage.identity.settings import OidcSettings
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.principals import linked_accounts
from pilotage.workspace.records import Workspace


def key_cache(settings: OidcSettings) -> KeyCache:
    """Return a cache of the provider's keys for one event loop."""
    fetch = HttpKeyFetch(settings.jwks_uri, allow_private=settings.allow_private)
    return KeyCache(fetch, algorithms=settings.algorithms, monotonic=time.monotonic)


def provider_sign_in(workspace: Workspace, clock: Clock, root: Path) -> ProviderSignIn | None:
    """Return what signs people in, or None when the workspace declares no provider or no `sign_in` for it."""
    settings = workspace.identity.oidc
    if workspace.identity.mode is not IdentityMode.OIDC or settings is None or settings.sign_in is None:
        return None
    return ProviderSignIn(settings, key_cache(settings), clock=clock, root=root, linked=linked_accounts(workspace))


@asynccontextmanager
async def open_verifier(workspace: Workspace, clock: Clock) -> AsyncIterator[OidcVerifier | None]:
    """Yield the verifier, or None in local identity mode. Nothing is fetched before the first token comes."""
    settings = workspace.identity.oidc
    if settings is None:
        yield None
        return
    cache = key_cache(settings)
    verifier = OidcVerifier(settings, cache, clock=clock, monotonic=time.monotonic, linked=linked_accounts(workspace))
    try:
        yield verifier
    finally:
        await verifier.close()
