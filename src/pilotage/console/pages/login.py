"""Sign in, sign out, and the choice of light or dark.

Rule: an address to go to afterwards is ours or nothing. A form that met an ended session is kept and shown again after
signing in; nothing is recorded meanwhile. Fail mode: the page again, with a reason that does not tell keys apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from pilotage.console import cookies
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.route import Entry
from pilotage.console.visit import Visit
from pilotage.control.console_session import close_session, open_session
from pilotage.core.reason import Refusal
from pilotage.workspace.people import IdentityMode

_KEPT: Final = "kept."
_OWN_FIELDS: Final = frozenset({"token", "key"})


def show_login(visit: Visit) -> Reply:
    """Show the form; who is signed in already goes on."""
    if visit.signed_in is not None:
        return Redirect(to=own_address(visit.query.get("next", "")))
    return login_page(visit)


def login_page(visit: Visit, *, kept: Entry | None = None) -> Page:
    """Return the form. With `kept`, the form that was sent is carried along and shown again afterwards."""
    values = {name.removeprefix(_KEPT): value for name, value in visit.form.items() if name.startswith(_KEPT)}
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
            "next": own_address(visit.query.get("next") or visit.typed("next")),
            "kept": values,
            "kept_path": path,
            "is_again": kept is not None and visit.signed_in is not None,
        },
    )


def sign_in(visit: Visit) -> Reply:
    """Check the key and begin a session."""
    done = open_session(visit.instance, key=visit.typed("local_key"))
    if isinstance(done, Refusal):
        page = login_page(visit)
        return replace(page, status=401, values={**page.values, "visit": replace(visit, problems=done.reasons)})
    if visit.signed_in is not None:
        close_session(visit.instance, visit.signed_in.token)
    headers = (("set-cookie", cookies.set_session(done.token, is_secure=visit.is_secure)),)
    path = visit.typed("kept_path")
    if not path:
        return Redirect(to=own_address(visit.typed("next")), headers=headers)
    kept = {name.removeprefix(_KEPT): value for name, value in visit.form.items() if name.startswith(_KEPT)}
    return Page(
        template="kept.html",
        title="Your form was kept",
        values={"kept": kept, "kept_path": own_address(path), "visit": replace(visit, signed_in=done)},
        headers=headers,
    )


def sign_out(visit: Visit) -> Reply:
    """End the session."""
    if visit.signed_in is not None:
        close_session(visit.instance, visit.signed_in.token)
    return Redirect(to="/login", headers=(("set-cookie", cookies.drop_session(is_secure=visit.is_secure)),))


def choose_theme(visit: Visit) -> Reply:
    """Keep the look in a cookie, so that the server renders it and nothing flashes."""
    chosen = visit.typed("theme")
    theme = chosen if chosen in cookies.THEMES else "auto"
    headers = (("set-cookie", cookies.set_theme(theme, is_secure=visit.is_secure)),)
    return Redirect(to=own_address(visit.typed("next")), headers=headers)


def own_address(text: str) -> str:
    """Return the address when it is a path of ours, else the first page."""
    parts = urlsplit(text)
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc and "\\" not in text
    return text if is_ours and text.isprintable() and " " not in text else "/"
