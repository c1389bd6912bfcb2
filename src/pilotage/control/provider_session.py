"""Sign-ins with the identity provider: an attempt begins in a browser and comes back to the same one (console.md 5).

Rule: the browser's cookie holds a secret, the database only its SHA-256; where the attempt leads and the form it keeps
are sealed under a key of that secret, so nobody else reads what a person typed. An attempt is used once and lasts ten
minutes; a confirmed session must come back as the same account. Fail mode: a Refusal that says to sign in again; who
keeps too many forms signs in without.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from pilotage.adapters.sealed_text import seal, unseal
from pilotage.control.console_session import token_hash
from pilotage.control.instance import Instance
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.sign_in import Attempt, attempt_of, sealing_key
from pilotage.store.console_logins import StoredLogin, add_login, kept_forms, remove_old_logins, take_login

LASTS: Final = timedelta(minutes=10)
KEPT_BY_ONE: Final = 10
"""Forms kept for one account, or for one address (IPv6: one /64) without a session."""
_KEPT_AT_ONCE: Final = 1_000
"""Forms kept for browsers without a session; above that, sign-ins go on without."""
_HOLDER_KEY: Final = "console-login-holder/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in. `principal` is who must come back when a session confirms itself; `kept` is a form to show again."""

    leads_to: str
    at: datetime
    principal: str | None = None
    kept_path: str | None = None
    kept: Mapping[str, str] | None = field(default=None, repr=False)


class _Sealed(msgspec.Struct, forbid_unknown_fields=True):
    leads_to: str
    kept_path: str | None
    kept: dict[str, str] | None


def begin_login(instance: Instance, secret: str, login: Begun, *, address: str) -> Attempt:
    """Remember where a sign-in leads, and return what the authorization request carries. `address` is who connects."""
    name = token_hash(secret)
    with instance.engine.begin() as connection:
        remove_old_logins(connection, login.at - LASTS)
        holder = None
        if login.kept is not None:
            holder = _holder(instance, login.principal, address)
            own, unknown = kept_forms(connection, holder)
            if own >= KEPT_BY_ONE or (login.principal is None and unknown >= _KEPT_AT_ONCE):
                login, holder = replace(login, kept_path=None, kept=None), None
        body = _Sealed(login.leads_to, login.kept_path, None if login.kept is None else dict(login.kept))
        sealed = seal(msgspec.json.encode(body), key=sealing_key(secret), place=name)
        stored = StoredLogin(principal=login.principal, sealed=sealed, holder=holder, at=login.at)
        add_login(connection, name, stored)
    return attempt_of(secret, is_fresh=login.principal is not None)


def answered_login(instance: Instance, secret: str | None, state: str) -> tuple[Begun, Attempt] | Refusal:
    """Return the attempt that this browser began and the provider answers, once."""
    if not secret or not hmac.compare_digest(attempt_of(secret).state.encode(), state.encode()):
        return _no("This sign-in was not begun in this browser.")
    name = token_hash(secret)
    with instance.engine.begin() as connection:
        found = take_login(connection, name, after=instance.clock.now() - LASTS)
    opened = None if found is None else unseal(found.sealed, key=sealing_key(secret), place=name)
    if found is None or opened is None:
        return _no("This sign-in has ended or was used before.")
    body = msgspec.json.decode(opened, type=_Sealed)
    login = Begun(
        leads_to=body.leads_to, at=found.at, principal=found.principal, kept_path=body.kept_path, kept=body.kept
    )
    return login, attempt_of(secret, is_fresh=found.principal is not None)


def forget_old_logins(instance: Instance) -> None:
    """Remove the sign-ins that nobody can finish any more, with the forms they keep."""
    with instance.engine.begin() as connection:
        remove_old_logins(connection, instance.clock.now() - LASTS)


def is_other_account(login: Begun, account: str) -> Refusal | None:
    """Refuse when somebody else came back than who was to confirm the session."""
    if login.principal in {None, account}:
        return None
    return _no("Another account signed in than the one that began this decision.", code="LOGIN_OTHER")


def _holder(instance: Instance, principal: str | None, address: str) -> str:
    """Return what stands for an account, or for an address of a browser without a session."""
    who = f"address/{_network(address)}" if principal is None else f"account/{principal}"
    return hmac.new(instance.keyring.derive(_HOLDER_KEY), who.encode(), hashlib.sha256).hexdigest()


def _network(address: str) -> str:
    """Return the address, of IPv6 the /64 that one household or one machine has to itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(found if found.version == 4 else ipaddress.ip_network((found, 64), strict=False))


def _no(text: str, *, code: str = "LOGIN_STATE") -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=f"{text} Nothing was recorded. Sign in again."),))
