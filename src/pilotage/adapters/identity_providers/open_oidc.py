"""Opens the verifier of the declared identity provider for one process. Local mode has none."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pilotage.adapters.identity_providers.key_cache import KeyCache
from pilotage.adapters.identity_providers.key_fetch import HttpKeyFetch
from pilotage.adapters.identity_providers.oidc import OidcVerifier
from pilotage.core.clock import Clock
from pilotage.workspace.principals import linked_accounts
from pilotage.workspace.records import Workspace


@asynccontextmanager
async def open_verifier(workspace: Workspace, clock: Clock) -> AsyncIterator[OidcVerifier | None]:
    """Yield the verifier, or None in local identity mode. Nothing is fetched before the first token comes."""
    settings = workspace.identity.oidc
    if settings is None:
        yield None
        return
    cache = KeyCache(HttpKeyFetch(settings.jwks_uri), algorithms=settings.algorithms, monotonic=time.monotonic)
    verifier = OidcVerifier(settings, cache, clock=clock, monotonic=time.monotonic, linked=linked_accounts(workspace))
    try:
        yield verifier
    finally:
        await verifier.close()
