"""Sign-ins with the identity provider: an attempt begins in a browser and comes back to the same one (console.md 5).

Rule: the browser's cookie holds a secret, the database only its SHA-256; an attempt is used once and lasts ten minutes;
a confirmed session must come back as the same account. Fail mode: a Refusal that says to sign in again.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Final

from pilotage.control.console_session import token_hash
from pilotage.control.instance import Instance
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.sign_in import Attempt, attempt_of
from pilotage.store.console_logins import StoredLogin, add_login, kept_forms, remove_old_logins, take_login

LASTS: Final = timedelta(minutes=10)
_KEPT_AT_ONCE: Final = 1_000
"""Forms of people on their way to the provider; above that, sign-ins go on without."""


def begin_login(instance: Instance, secret: str, login: StoredLogin) -> Attempt:
    """Remember where a sign-in leads, and return what the authorization request carries."""
    with instance.engine.begin() as connection:
        remove_old_logins(connection, login.at - LASTS)
        if login.kept is not None and kept_forms(connection, most=_KEPT_AT_ONCE) >= _KEPT_AT_ONCE:
            login = StoredLogin(leads_to=login.leads_to, at=login.at, principal=login.principal)
        add_login(connection, token_hash(secret), login)
    return attempt_of(secret, is_fresh=login.principal is not None)


def answered_login(instance: Instance, secret: str | None, state: str) -> tuple[StoredLogin, Attempt] | Refusal:
    """Return the attempt that this browser began and the provider answers, once."""
    if not secret or not hmac.compare_digest(attempt_of(secret).state, state):
        return _no("This sign-in was not begun in this browser.")
    with instance.engine.begin() as connection:
        found = take_login(connection, token_hash(secret), after=instance.clock.now() - LASTS)
    if found is None:
        return _no("This sign-in has ended or was used before.")
    return found, attempt_of(secret, is_fresh=found.principal is not None)


def is_other_account(login: StoredLogin, account: str) -> Refusal | None:
    """Refuse when somebody else came back than who was to confirm the session."""
    if login.principal in {None, account}:
        return None
    return _no("Another account signed in than the one that began this decision.", code="LOGIN_OTHER")


def _no(text: str, *, code: str = "LOGIN_STATE") -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=f"{text} Nothing was recorded. Sign in again."),))
