"""Sign in by key or with the identity provider, sign out, and the choice of light or dark.

Rule: an address to go to afterwards is ours or nothing. A form that met an ended session is kept and shown again after
signing in, however often the provider refuses; nothing is recorded meanwhile. Fail mode: the page again, with a reason
that does not tell keys apart.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from anyio import to_thread

from pilotage.console import cookies
from pilotage.console.reply import Later, Page, Redirect, Reply
from pilotage.console.route import Entry
from pilotage.console.visit import Provider, Visit
from pilotage.control.console_session import SignedIn, close_session, open_proven, open_session
from pilotage.control.provider_session import Begun, answered_login, begin_login, is_other_account
from pilotage.core.errors import Unavailable
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.sign_in import Attempt
from pilotage.serving.addresses import client_address
from pilotage.serving.refusal import Refusal as Unplaced
from pilotage.workspace.people import IdentityMode

_KEPT: Final = "kept."
_OWN_FIELDS: Final = frozenset({"token", "key"})
_SECRET_BYTES: Final = 32


def show_login(visit: Visit) -> Reply:
    """Show the form; who is signed in already goes on."""
    if visit.signed_in is not None:
        return Redirect(to=own_address(visit.query.get("next", "")))
    return login_page(visit)


def login_page(visit: Visit, *, kept: Entry | None = None) -> Page:
    """Return the form. With `kept`, the form that was sent is carried along and shown again afterwards."""
    values = _kept_fields(visit)
    path = visit.typed("kept_path")
    if kept is not None:
        values = {name: value for name, value in visit.form.items() if name not in _OWN_FIELDS}
        path = visit.path
    return Page(
        template="login.html",
        title="Sign in",
        status=200 if kept is None else 401,
        values={
            "is_local": visit.instance.workspace.identity.mode is IdentityMode.LOCAL,
            "has_provider": visit.services.provider is not None,
            "next": own_address(visit.query.get("next") or visit.typed("next")),
            "kept": values,
            "kept_path": path,
            "is_again": kept is not None and visit.signed_in is not None,
        },
    )


def sign_in(visit: Visit) -> Reply:
    """Check the key and begin a session, or go to the identity provider."""
    if visit.services.provider is not None:
        return _go_to(visit.services.provider, visit)
    done = open_session(visit.instance, key=visit.typed("local_key"))
    if isinstance(done, Refusal):
        return _refused(visit, done)
    return _signed_in(
        visit, done, leads_to=visit.typed("next"), kept_path=visit.typed("kept_path"), kept=_kept_fields(visit)
    )


def come_back(visit: Visit) -> Reply:
    """Finish what the identity provider answers: check the state, redeem the code, begin a session."""
    provider = visit.services.provider
    if provider is None:
        return Redirect(to="/login")
    answered = answered_login(visit.instance, visit.login_secret, visit.query.get("state", ""))
    if isinstance(answered, Refusal):
        return _refused(visit, answered)
    login, attempt = answered
    code = visit.query.get("code", "")
    if not code:
        text = "The identity provider did not sign you in. Nothing was recorded. Try again, or ask your administrator."
        return _refused(visit, Refusal(reasons=(Reason(code="LOGIN_DENIED", text=text),)), login)
    return Later(run=_redeeming(provider, visit, login, attempt, code))


def _go_to(provider: Provider, visit: Visit) -> Reply:
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    kept_path = visit.typed("kept_path")
    is_again = visit.signed_in is not None and bool(kept_path)
    login = Begun(
        leads_to=own_address(visit.typed("next")),
        at=visit.now,
        principal=visit.actor.id if is_again else None,
        kept_path=own_address(kept_path) if kept_path else None,
        kept=_kept_fields(visit) if kept_path else None,
    )
    attempt = begin_login(visit.instance, secret, login, address=_address(visit))
    headers = (("set-cookie", cookies.set_login(secret, is_secure=visit.is_secure)),)

    async def run() -> Redirect:
        return Redirect(to=await provider.page(attempt), headers=headers)

    return Later(run=run)


def _address(visit: Visit) -> str:
    """Return who connects, "" when nobody can tell."""
    trusted = visit.instance.workspace.gateway.trusted_proxies
    found = client_address(visit.peer.address or "", visit.peer.forwarded_for, trusted)
    return "" if isinstance(found, Unplaced) else str(found)


def _redeeming(
    provider: Provider, visit: Visit, login: Begun, attempt: Attempt, code: str
) -> Callable[[], Awaitable[Page | Redirect]]:
    async def run() -> Page | Redirect:
        try:
            proven = await provider.redeem(code, attempt, issuer=visit.query.get("iss"))
        except Unavailable as error:
            return _silent(visit, Reason(code=error.code, text=f"{error.message} {error.hint}".strip()), login)
        if isinstance(proven, CredentialRefused):
            if proven.code is CredentialCode.IDENTITY_PROVIDER_UNAVAILABLE:
                return _silent(visit, Reason(code=proven.code.value, text=f"{proven.text} Try again."), login)
            return _refused(visit, Refusal(reasons=(Reason(code="LOGIN_REFUSED", text=proven.text),)), login)
        other = is_other_account(login, proven.account)
        if other is not None:
            return _refused(visit, other)
        signed_in = await to_thread.run_sync(open_proven, visit.instance, proven)
        return await to_thread.run_sync(_finished, visit, signed_in, login)

    return run


def _finished(visit: Visit, signed_in: SignedIn, login: Begun) -> Page | Redirect:
    return _signed_in(visit, signed_in, leads_to=login.leads_to, kept_path=login.kept_path or "", kept=login.kept or {})


def _refused(visit: Visit, refusal: Refusal, login: Begun | None = None) -> Page:
    """Return the form again; an attempt that failed is used up, so the form it kept is carried by the page."""
    page = login_page(visit)
    values = {**page.values, "visit": replace(visit, problems=refusal.reasons)}
    if login is not None and _is_of(visit, login):
        is_again = login.principal is not None
        values |= {"next": login.leads_to, "kept": login.kept or {}, "kept_path": login.kept_path or ""}
        values |= {"is_again": is_again}
    return replace(page, status=401, values=values)


def _silent(visit: Visit, reason: Reason, login: Begun) -> Page:
    return replace(_refused(visit, Refusal(reasons=(reason,)), login), status=503)


def _is_of(visit: Visit, login: Begun) -> bool:
    """Tell whether this browser is still signed in as who began the attempt; one begun by nobody is the browser's."""
    return login.principal is None or (visit.signed_in is not None and visit.actor.id == login.principal)


def _kept_fields(visit: Visit) -> dict[str, str]:
    return {name.removeprefix(_KEPT): value for name, value in visit.form.items() if name.startswith(_KEPT)}


def _signed_in(
    visit: Visit, done: SignedIn, *, leads_to: str, kept_path: str, kept: Mapping[str, str]
) -> Page | Redirect:
    """Give the browser its new session in place of the old one, and go on or show the kept form."""
    if visit.signed_in is not None:
        close_session(visit.instance, visit.signed_in.token)
    headers = [("set-cookie", cookies.set_session(done.token, is_secure=visit.is_secure))]
    if visit.login_secret is not None:
        headers.append(("set-cookie", cookies.drop_login(is_secure=visit.is_secure)))
    if not kept_path:
        return Redirect(to=own_address(leads_to), headers=tuple(headers))
    return Page(
        template="kept.html",
        title="Your form was kept",
        values={"kept": kept, "kept_path": own_address(kept_path), "visit": replace(visit, signed_in=done)},
        headers=tuple(headers),
    )


def sign_out(visit: Visit) -> Reply:
    """End the session."""
    if visit.signed_in is not None:
        close_session(visit.instance, visit.signed_in.token)
    headers = (("set-cookie", cookies.drop_session(is_secure=visit.is_secure)),)
    provider = visit.services.provider
    if provider is None:
        return Redirect(to="/login", headers=headers)

    async def run() -> Redirect:
        # Our own session has ended already; a provider that does not answer keeps nobody here.
        try:
            page = await provider.sign_out_page()
        except Unavailable:
            page = None
        return Redirect(to=page or "/login", headers=headers)

    return Later(run=run)


def choose_theme(visit: Visit) -> Reply:
    """Keep the look in a cookie, so that the server renders it and nothing flashes."""
    chosen = visit.typed("theme")
    theme = chosen if chosen in cookies.THEMES else "auto"
    headers = (("set-cookie", cookies.set_theme(theme, is_secure=visit.is_secure)),)
    return Redirect(to=own_address(visit.typed("next")), headers=headers)


def own_address(text: str) -> str:
    """Return the address when it is a path of ours, else the first page."""
    try:
        parts = urlsplit(text)
    except ValueError:  # "//[" opens an address that never ends
        return "/"
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc and "\\" not in text
    return text if is_ours and text.isprintable() and " " not in text else "/"
