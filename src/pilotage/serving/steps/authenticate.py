"""Step 1, authenticate: who asks (serving.md 2).

Only the verified credential speaks; no header, body field or metadata changes who the asker is. Fail mode: a missing or
doubtful credential is a 401, an outage of what verifies it a 503; never a guess, never an anonymous asker.
"""

from __future__ import annotations

from typing import assert_never

import psycopg

from pilotage.identity.principal import acl_names
from pilotage.serving.context import Asker, Authenticated, Bearer, Known, Received
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import changed, extend


async def authenticate(context: Received, serving: Serving) -> Authenticated | Refusal:
    """Verify the credential and find the pseudonym that records will hold."""
    match context.credential:
        case Bearer():
            asker = await _verified(context.credential, context, serving)
        case Known(principal=principal, kind=kind):
            asker = Asker(
                principal=principal, acl_names=acl_names(principal), pseudonym="", via=principal.via, kind=kind
            )
        case _:
            assert_never(context.credential)
    if isinstance(asker, Refusal):
        return asker
    try:
        pseudonym = await serving.pseudonyms.pseudonym_of(asker.principal.id)
    except (psycopg.Error, OSError, TimeoutError):
        return Refusal(code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2)
    return extend(context, Authenticated, asker=changed(asker, pseudonym=pseudonym))


async def _verified(bearer: Bearer, context: Received, serving: Serving) -> Asker | Refusal:
    if not bearer.token:
        return Refusal(
            code=Code.MISSING_CREDENTIALS, message="Send Authorization: Bearer with a token or a key of this service."
        )
    return await serving.authenticator.authenticate(bearer, at=context.at)
